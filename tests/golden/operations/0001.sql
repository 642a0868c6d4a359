CREATE INDEX incident_by_product ON incident (product, state)
CREATE INDEX incident_event_by_incident ON incident_event (incident_id, id)
CREATE INDEX notice_by_incident ON notice (incident_id)
CREATE INDEX notice_by_state ON notice (state, due_at)
CREATE INDEX probe_by_subject ON probe (product, kind, subject, id)
CREATE INDEX refresh_cost_by_product ON refresh_cost (product, at)
CREATE INDEX transition_by_product ON transition (product, id)
CREATE TABLE bookmark (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (name)
)
CREATE TABLE health (
	product TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	score FLOAT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (product, at)
)
CREATE TABLE incident (
	id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	state TEXT NOT NULL, 
	title TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	assignee TEXT NOT NULL, 
	failed_at DATETIME NOT NULL, 
	opened_at DATETIME NOT NULL, 
	notified_at DATETIME, 
	acknowledged_at DATETIME, 
	resolved_at DATETIME, 
	muted_until DATETIME, 
	seen_at DATETIME, 
	episode INTEGER NOT NULL, 
	seen INTEGER NOT NULL, 
	detail JSON NOT NULL, 
	tickets JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_incident_a_fingerprint UNIQUE (fingerprint)
)
CREATE TABLE incident_event (
	id INTEGER NOT NULL, 
	incident_id TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	kind TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT event_of_incident FOREIGN KEY(incident_id) REFERENCES incident (id)
)
CREATE TABLE measurement (
	id INTEGER NOT NULL, 
	product TEXT NOT NULL, 
	objective TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	days FLOAT NOT NULL, 
	good FLOAT NOT NULL, 
	total FLOAT NOT NULL, 
	target FLOAT NOT NULL, 
	attainment FLOAT, 
	budget_left FLOAT, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_measurement_a_moment UNIQUE (product, objective, days, at)
)
CREATE TABLE notice (
	id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	product TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	recipient TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	body TEXT NOT NULL, 
	facts JSON NOT NULL, 
	digest TEXT NOT NULL, 
	state TEXT NOT NULL, 
	held TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	due_at DATETIME NOT NULL, 
	sent_at DATETIME, 
	attempts INTEGER NOT NULL, 
	last_error TEXT NOT NULL, 
	failing_since DATETIME, 
	lease TEXT NOT NULL, 
	leased_until DATETIME, 
	PRIMARY KEY (id), 
	CONSTRAINT one_notice_a_key UNIQUE ("key")
)
CREATE TABLE operations_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT operations_revision_pkc PRIMARY KEY (version_num)
)
CREATE TABLE probe (
	id INTEGER NOT NULL, 
	product TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	ok BOOLEAN NOT NULL, 
	value FLOAT, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id)
)
CREATE TABLE refresh_cost (
	refresh_id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	outcome TEXT NOT NULL, 
	wall_s FLOAT NOT NULL, 
	cpu_s FLOAT NOT NULL, 
	rows INTEGER NOT NULL, 
	bytes INTEGER NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (refresh_id, product)
)
CREATE TABLE transition (
	id INTEGER NOT NULL, 
	product TEXT NOT NULL, 
	version TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	from_status TEXT NOT NULL, 
	to_status TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id)
)
