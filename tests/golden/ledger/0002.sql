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
INSERT INTO "ledger_revision" VALUES('0002');
CREATE TABLE refresh (
	refresh_id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	base INTEGER, 
	pins JSON NOT NULL, 
	run_id TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	PRIMARY KEY (refresh_id, product)
);
INSERT INTO "refresh" VALUES('first','shop/orders',NULL,'{}','run','2026-11-21 03:25:09.860989');
INSERT INTO "refresh" VALUES('01a1fc22ede3a49359d52b5048a0ceb2','shop/report',NULL,'{"shop/orders": 1}','run','2026-11-21 03:25:09.987739');
INSERT INTO "refresh" VALUES('second','shop/orders',1,'{}','run','2026-11-21 03:25:10.032008');
INSERT INTO "refresh" VALUES('rollback-01a1fc22ee3b6b892a97ffa33013ccde','shop/orders',2,'{}','operator','2026-11-21 03:25:10.075533');
INSERT INTO "refresh" VALUES('refused','shop/orders',3,'{}','run','2026-11-21 03:25:10.095386');
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
INSERT INTO "release" VALUES('shop/orders',1,'944aae3a3078dbe7a632079d1e3296f8690aaf8b07d998e6349d565b9f00bd0c','refresh',NULL,'first','run','2026-11-21 03:25:09.976333','','',1);
INSERT INTO "release" VALUES('shop/report',1,'c31140f5c8080940c78e63b2a023ab059c0b5cbdd45ee844d73a2b6f3b83ee84','refresh',NULL,'01a1fc22ede3a49359d52b5048a0ceb2','run','2026-11-21 03:25:10.021427','','',1);
INSERT INTO "release" VALUES('shop/orders',2,'0667654e23237076e6843885987fa420f6ef6443eb35aed09f1d15e1ca171363','refresh',1,'second','run','2026-11-21 03:25:10.061394','abc','',1);
INSERT INTO "release" VALUES('shop/orders',3,'f6fa3d842294609d418dc4ca220c0a382c05704c2ad048966898bda25b9c8e5b','rollback',2,'rollback-01a1fc22ee3b6b892a97ffa33013ccde','operator','2026-11-21 03:25:10.091969','','wrong prices',1);
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
INSERT INTO "release_item" VALUES('shop/orders',1,'days','2026-01-01','01a1fc22ed989b5a41c24823b59d1dd0');
INSERT INTO "release_item" VALUES('shop/orders',1,'days','2026-01-02','01a1fc22eda84d02128717c813162bae');
INSERT INTO "release_item" VALUES('shop/orders',1,'orders','','01a1fc22ed85be1685d1f94498886da3');
INSERT INTO "release_item" VALUES('shop/report',1,'report','','01a1fc22edf06885270e6ecbe659f0b9');
INSERT INTO "release_item" VALUES('shop/orders',2,'days','2026-01-01','01a1fc22ed989b5a41c24823b59d1dd0');
INSERT INTO "release_item" VALUES('shop/orders',2,'days','2026-01-02','01a1fc22eda84d02128717c813162bae');
INSERT INTO "release_item" VALUES('shop/orders',2,'orders','','01a1fc22ee1cec1241daab503edae759');
INSERT INTO "release_item" VALUES('shop/orders',3,'days','2026-01-01','01a1fc22ed989b5a41c24823b59d1dd0');
INSERT INTO "release_item" VALUES('shop/orders',3,'days','2026-01-02','01a1fc22eda84d02128717c813162bae');
INSERT INTO "release_item" VALUES('shop/orders',3,'orders','','01a1fc22ed85be1685d1f94498886da3');
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
INSERT INTO "result" VALUES(1,'k1','shop/orders','orders',NULL,'orders.rule',1,1,'first','run','2026-11-21 03:25:09.946586','{"observed": 1.0, "failed_rows": 0}');
INSERT INTO "result" VALUES(2,'k2','shop/orders','orders',NULL,'orders.rule',1,1,'first','run','2026-11-21 03:25:09.946586','{"observed": 1.0, "failed_rows": 0}');
INSERT INTO "result" VALUES(3,'k3','shop/orders','orders',NULL,'orders.rule',0,1,'refused','run','2026-11-21 03:25:10.107962','{"observed": 1.0, "failed_rows": 1}');
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
	quarantined JSON NOT NULL, treated JSON, profile JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "version" VALUES('01a1fc22ed85be1685d1f94498886da3','shop/orders','orders','','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','first','run','2026-11-21 03:25:09.900456',NULL,'{}','{}','{}');
INSERT INTO "version" VALUES('01a1fc22ed989b5a41c24823b59d1dd0','shop/orders','days','2026-01-01','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526','1','first','run','2026-11-21 03:25:09.918107',NULL,'{}','{}','{}');
INSERT INTO "version" VALUES('01a1fc22eda84d02128717c813162bae','shop/orders','days','2026-01-02','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','b404127d0ab4cd492e7d4365cce721199992b446deec31a005bab4afa724e526','1','first','run','2026-11-21 03:25:09.930637',NULL,'{}','{}','{}');
INSERT INTO "version" VALUES('01a1fc22edf06885270e6ecbe659f0b9','shop/report','report','','released',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','a081e19e5ca6c1b9e6f832dda95f917b8ebda8669bbac0431e6c74e37519c65f','1','01a1fc22ede3a49359d52b5048a0ceb2','run','2026-11-21 03:25:10.004384',NULL,'{}','{}','{}');
INSERT INTO "version" VALUES('01a1fc22ee1cec1241daab503edae759','shop/orders','orders','','released',7,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','second','run','2026-11-21 03:25:10.046354',NULL,'{}','{}','{}');
INSERT INTO "version" VALUES('01a1fc22ee5781caf17a56d85a35b46f','shop/orders','orders','','candidate',3,'[["id", "INTEGER"], ["amount", "DOUBLE"]]','1c34c6669900db34caa577c07c4ff051640c2537acee0ff8d5c3abace715cff9','1','refused','run','2026-11-21 03:25:10.104625',NULL,'{}','{}','{}');
CREATE TABLE version_file (
	version_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	quarantine BOOLEAN NOT NULL, 
	path TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	row_count INTEGER NOT NULL, columns JSON, 
	PRIMARY KEY (version_id, position), 
	CONSTRAINT file_of_version FOREIGN KEY(version_id) REFERENCES version (id)
);
INSERT INTO "version_file" VALUES('01a1fc22ed85be1685d1f94498886da3',0,0,'data/shop/orders/orders/01a1fc22ed6f5d00db3d66039e503bc5/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3,'{"amount": [0, "0.0", "3.0"], "id": [0, "0", "2"]}');
INSERT INTO "version_file" VALUES('01a1fc22ed989b5a41c24823b59d1dd0',0,0,'data/shop/orders/days/01a1fc22ed8c608628a721bfd07df13f/2026-01-01.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3,'{"amount": [0, "0.0", "3.0"], "id": [0, "0", "2"]}');
INSERT INTO "version_file" VALUES('01a1fc22eda84d02128717c813162bae',0,0,'data/shop/orders/days/01a1fc22ed9e674a5bf8c30c2a0173ff/2026-01-02.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3,'{"amount": [0, "0.0", "3.0"], "id": [0, "0", "2"]}');
INSERT INTO "version_file" VALUES('01a1fc22edf06885270e6ecbe659f0b9',0,0,'data/shop/report/report/01a1fc22ede65760120426c166b5a2c4/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3,'{"amount": [0, "0.0", "3.0"], "id": [0, "0", "2"]}');
INSERT INTO "version_file" VALUES('01a1fc22ee1cec1241daab503edae759',0,0,'data/shop/orders/orders/01a1fc22ee13789c3e3d5584a7ba2f32/all.parquet',399,'3172709c1403b54946084ea1602692a3ddd7ca39326e7bfa4ef4ae1ae49f58a7',7,'{"amount": [0, "0.0", "9.0"], "id": [0, "0", "6"]}');
INSERT INTO "version_file" VALUES('01a1fc22ee5781caf17a56d85a35b46f',0,0,'data/shop/orders/orders/01a1fc22ee5375abccda85eb0b127852/all.parquet',371,'e54194e03848ad95567d25cddd64432ec22fc1cdb57264b8d72b360a3b8598fc',3,'{"amount": [0, "0.0", "3.0"], "id": [0, "0", "2"]}');
CREATE INDEX version_by_refresh ON version (refresh_id, product);
CREATE INDEX version_by_state ON version (state, product);
CREATE INDEX version_file_by_path ON version_file (path);
CREATE INDEX result_by_rule ON result (product, table_name, rule, id);
CREATE INDEX contract_by_id ON contract (contract_id);
CREATE INDEX release_item_by_version ON release_item (version_id);
CREATE INDEX release_input_by_upstream ON release_input (upstream, upstream_number);
COMMIT;
