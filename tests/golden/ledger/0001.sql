BEGIN TRANSACTION;
CREATE TABLE attempt (
	refresh_id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	partition_key TEXT NOT NULL, 
	state TEXT NOT NULL, 
	message TEXT NOT NULL, 
	PRIMARY KEY (refresh_id, product, table_name, partition_key)
);
INSERT INTO "attempt" VALUES('refused','shop/orders','days','2026-01-03','started','');
INSERT INTO "attempt" VALUES('refused','shop/orders','orders','','refused','orders.rule: 1 row');
CREATE TABLE consumed (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	table_name TEXT NOT NULL, 
	source TEXT NOT NULL, 
	path TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (product, number, table_name, source, path), 
	CONSTRAINT consumed_by_release FOREIGN KEY(product, number) REFERENCES release (product, number)
);
INSERT INTO "consumed" VALUES('shop/orders',1,'orders','till','orders.csv',12,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO "consumed" VALUES('shop/orders',3,'orders','till','orders.csv',12,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc');
CREATE TABLE consumed_candidate (
	refresh_id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	source TEXT NOT NULL, 
	path TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (refresh_id, product, table_name, source, path)
);
INSERT INTO "consumed_candidate" VALUES('first','shop/orders','orders','till','orders.csv',12,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO "consumed_candidate" VALUES('refused','shop/orders','orders','till','orders.csv',12,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc');
CREATE TABLE contract (
	hash VARCHAR(64) NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	contract_id TEXT NOT NULL, 
	contract_version TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (hash, product, table_name)
);
INSERT INTO "contract" VALUES('1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','shop/orders','orders','shop.orders.orders','1.0.0','first');
INSERT INTO "contract" VALUES('b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526','shop/orders','days','shop.orders.days','1.0.0','first');
INSERT INTO "contract" VALUES('a081e19e5ca6c1b9e6f832dda95f917b8ebda8669bbac0431e6c74e37519c65f','shop/report','report','shop.report.report','1.0.0','first');
CREATE TABLE cursor (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (product, number, source), 
	CONSTRAINT cursor_of_release FOREIGN KEY(product, number) REFERENCES release (product, number)
);
INSERT INTO "cursor" VALUES('shop/orders',1,'api','42');
INSERT INTO "cursor" VALUES('shop/orders',2,'api','42');
INSERT INTO "cursor" VALUES('shop/orders',3,'api','42');
CREATE TABLE head (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	PRIMARY KEY (product), 
	CONSTRAINT release_of_head FOREIGN KEY(product, number) REFERENCES release (product, number)
);
INSERT INTO "head" VALUES('shop/orders',3);
INSERT INTO "head" VALUES('shop/report',1);
CREATE TABLE ledger_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ledger_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ledger_revision" VALUES('0001');
CREATE TABLE refresh (
	refresh_id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	base INTEGER, 
	pins JSON NOT NULL, 
	run_id TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	PRIMARY KEY (refresh_id, product)
);
INSERT INTO "refresh" VALUES('first','shop/orders',NULL,'{}','run','2026-11-21 01:05:00.090851');
INSERT INTO "refresh" VALUES('01a1fba29aeed33967cf0136644c04f4','shop/report',NULL,'{"shop/orders": 1}','run','2026-11-21 01:05:00.142260');
INSERT INTO "refresh" VALUES('second','shop/orders',1,'{}','run','2026-11-21 01:05:00.164225');
INSERT INTO "refresh" VALUES('rollback-01a1fba29b23527b709fb1e2c4a0ddad','shop/orders',2,'{}','operator','2026-11-21 01:05:00.195198');
INSERT INTO "refresh" VALUES('refused','shop/orders',3,'{}','run','2026-11-21 01:05:00.207840');
CREATE TABLE release (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	draft_key TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	base INTEGER, 
	refresh_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	published_at DATETIME NOT NULL, 
	git_sha TEXT NOT NULL, 
	note TEXT NOT NULL, 
	retained BOOLEAN NOT NULL, 
	PRIMARY KEY (product, number), 
	CONSTRAINT one_release_a_draft UNIQUE (draft_key)
);
INSERT INTO "release" VALUES('shop/orders',1,'85e8db6184be18f8c81606998b5a18295aed0ba793cc215a762d697c231e790e','refresh',NULL,'first','run','2026-11-21 01:05:00.136079','','',1);
INSERT INTO "release" VALUES('shop/report',1,'529b80df40fe804dff3ffa2f4814fd3c2be3539c0eaeb9123cee9d133bc9113e','refresh',NULL,'01a1fba29aeed33967cf0136644c04f4','run','2026-11-21 01:05:00.160210','','',1);
INSERT INTO "release" VALUES('shop/orders',2,'b1b68101f65dbfc96972488dfc050c21c09b8c6772e3ab238b83c87be7a14ac5','refresh',1,'second','run','2026-11-21 01:05:00.181014','abc','',1);
INSERT INTO "release" VALUES('shop/orders',3,'e0ee775e4f64fb3a6b0eff4bae79718cc280f3a5783db35a4fed6ac1eb8da2d7','rollback',2,'rollback-01a1fba29b23527b709fb1e2c4a0ddad','operator','2026-11-21 01:05:00.204634','','wrong prices',1);
CREATE TABLE release_contract (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	table_name TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (product, number, table_name), 
	CONSTRAINT contract_of_release FOREIGN KEY(product, number) REFERENCES release (product, number)
);
INSERT INTO "release_contract" VALUES('shop/orders',1,'orders','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9');
INSERT INTO "release_contract" VALUES('shop/orders',1,'days','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526');
INSERT INTO "release_contract" VALUES('shop/report',1,'report','a081e19e5ca6c1b9e6f832dda95f917b8ebda8669bbac0431e6c74e37519c65f');
INSERT INTO "release_contract" VALUES('shop/orders',2,'orders','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9');
INSERT INTO "release_contract" VALUES('shop/orders',2,'days','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526');
INSERT INTO "release_contract" VALUES('shop/orders',3,'days','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526');
INSERT INTO "release_contract" VALUES('shop/orders',3,'orders','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9');
CREATE TABLE release_input (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	upstream TEXT NOT NULL, 
	upstream_number INTEGER NOT NULL, 
	PRIMARY KEY (product, number, upstream), 
	CONSTRAINT input_of_release FOREIGN KEY(product, number) REFERENCES release (product, number)
);
INSERT INTO "release_input" VALUES('shop/report',1,'shop/orders',1);
CREATE TABLE release_item (
	product TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	table_name TEXT NOT NULL, 
	partition_key TEXT NOT NULL, 
	version_id TEXT NOT NULL, 
	PRIMARY KEY (product, number, table_name, partition_key), 
	CONSTRAINT item_of_release FOREIGN KEY(product, number) REFERENCES release (product, number), 
	CONSTRAINT version_of_item FOREIGN KEY(version_id) REFERENCES version (id)
);
INSERT INTO "release_item" VALUES('shop/orders',1,'days','2026-01-01','01a1fba29acebc8676317e8cfa53e6a7');
INSERT INTO "release_item" VALUES('shop/orders',1,'days','2026-01-02','01a1fba29ad318428e7daf996f506935');
INSERT INTO "release_item" VALUES('shop/orders',1,'orders','','01a1fba29ac5b329669529ee6db55e0b');
INSERT INTO "release_item" VALUES('shop/report',1,'report','','01a1fba29af4c496e613ab79b6df39db');
INSERT INTO "release_item" VALUES('shop/orders',2,'days','2026-01-01','01a1fba29acebc8676317e8cfa53e6a7');
INSERT INTO "release_item" VALUES('shop/orders',2,'days','2026-01-02','01a1fba29ad318428e7daf996f506935');
INSERT INTO "release_item" VALUES('shop/orders',2,'orders','','01a1fba29b09784b9b189cad0193ca33');
INSERT INTO "release_item" VALUES('shop/orders',3,'days','2026-01-01','01a1fba29acebc8676317e8cfa53e6a7');
INSERT INTO "release_item" VALUES('shop/orders',3,'days','2026-01-02','01a1fba29ad318428e7daf996f506935');
INSERT INTO "release_item" VALUES('shop/orders',3,'orders','','01a1fba29ac5b329669529ee6db55e0b');
CREATE TABLE result (
	id INTEGER NOT NULL, 
	result_key TEXT NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	partition_key TEXT, 
	rule TEXT NOT NULL, 
	passed BOOLEAN NOT NULL, 
	blocking BOOLEAN NOT NULL, 
	refresh_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	judged_at DATETIME NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_result_a_refresh UNIQUE (result_key, refresh_id)
);
INSERT INTO "result" VALUES(1,'k1','shop/orders','orders',NULL,'orders.rule',1,1,'first','run','2026-11-21 01:05:00.123591','{"observed": 1.0, "failed_rows": 0}');
INSERT INTO "result" VALUES(2,'k2','shop/orders','orders',NULL,'orders.rule',1,1,'first','run','2026-11-21 01:05:00.123591','{"observed": 1.0, "failed_rows": 0}');
INSERT INTO "result" VALUES(3,'k3','shop/orders','orders',NULL,'orders.rule',0,1,'refused','run','2026-11-21 01:05:00.220064','{"observed": 1.0, "failed_rows": 1}');
CREATE TABLE version (
	id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	partition_key TEXT NOT NULL, 
	state TEXT NOT NULL, 
	row_count INTEGER NOT NULL, 
	columns JSON NOT NULL, 
	contract_hash VARCHAR(64) NOT NULL, 
	code_version TEXT NOT NULL, 
	refresh_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	valid_thru DATETIME, 
	quarantined JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "version" VALUES('01a1fba29ac5b329669529ee6db55e0b','shop/orders','orders','','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','first','run','2026-11-21 01:05:00.107355',NULL,'{}');
INSERT INTO "version" VALUES('01a1fba29acebc8676317e8cfa53e6a7','shop/orders','days','2026-01-01','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526','1','first','run','2026-11-21 01:05:00.113131',NULL,'{}');
INSERT INTO "version" VALUES('01a1fba29ad318428e7daf996f506935','shop/orders','days','2026-01-02','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526','1','first','run','2026-11-21 01:05:00.116828',NULL,'{}');
INSERT INTO "version" VALUES('01a1fba29af4c496e613ab79b6df39db','shop/report','report','','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','a081e19e5ca6c1b9e6f832dda95f917b8ebda8669bbac0431e6c74e37519c65f','1','01a1fba29aeed33967cf0136644c04f4','run','2026-11-21 01:05:00.150467',NULL,'{}');
INSERT INTO "version" VALUES('01a1fba29b09784b9b189cad0193ca33','shop/orders','orders','','released',7,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','second','run','2026-11-21 01:05:00.171064',NULL,'{}');
INSERT INTO "version" VALUES('01a1fba29b36fd803fe6bdadc595368a','shop/orders','orders','','candidate',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','refused','run','2026-11-21 01:05:00.216230',NULL,'{}');
CREATE TABLE version_file (
	version_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	quarantine BOOLEAN NOT NULL, 
	path TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	row_count INTEGER NOT NULL, 
	PRIMARY KEY (version_id, position), 
	CONSTRAINT file_of_version FOREIGN KEY(version_id) REFERENCES version (id)
);
INSERT INTO "version_file" VALUES('01a1fba29ac5b329669529ee6db55e0b',0,0,'data/shop/orders/orders/01a1fba29ac024a8a3e3ec19b1c482be/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3);
INSERT INTO "version_file" VALUES('01a1fba29acebc8676317e8cfa53e6a7',0,0,'data/shop/orders/days/01a1fba29acb5bf0e011ae7ca0ca8421/2026-01-01.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3);
INSERT INTO "version_file" VALUES('01a1fba29ad318428e7daf996f506935',0,0,'data/shop/orders/days/01a1fba29ad11c229a38f8cbbcb8aeb4/2026-01-02.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3);
INSERT INTO "version_file" VALUES('01a1fba29af4c496e613ab79b6df39db',0,0,'data/shop/report/report/01a1fba29af0fba0472524e6fedff112/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3);
INSERT INTO "version_file" VALUES('01a1fba29b09784b9b189cad0193ca33',0,0,'data/shop/orders/orders/01a1fba29b066c41b30ac0081664b634/all.parquet',399,'3172709c1403b54946084ea1602692a3ddd7ca39326e7bfa4ef4ae1ae49f58a7',7);
INSERT INTO "version_file" VALUES('01a1fba29b36fd803fe6bdadc595368a',0,0,'data/shop/orders/orders/01a1fba29b337a1da6b1c3c1fa675ef6/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3);
CREATE INDEX version_by_refresh ON version (refresh_id, product);
CREATE INDEX version_by_state ON version (state, product);
CREATE INDEX version_file_by_path ON version_file (path);
CREATE INDEX result_by_rule ON result (product, table_name, rule, id);
CREATE INDEX contract_by_id ON contract (contract_id);
CREATE INDEX release_item_by_version ON release_item (version_id);
CREATE INDEX release_input_by_upstream ON release_input (upstream, upstream_number);
COMMIT;
