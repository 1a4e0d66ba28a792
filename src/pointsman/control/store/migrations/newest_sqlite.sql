CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE journals (
	name TEXT NOT NULL, 
	segment INTEGER NOT NULL, 
	byte INTEGER NOT NULL, 
	low_segment INTEGER NOT NULL, 
	low_byte INTEGER NOT NULL, 
	retired INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE counters (
	counter TEXT NOT NULL, 
	window_start INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	window_end INTEGER NOT NULL, 
	posted INTEGER NOT NULL, 
	PRIMARY KEY (counter, window_start, epoch)
);
CREATE INDEX ix_counters_window_end ON counters (window_end);
CREATE TABLE usage (
	hour INTEGER NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	unpriced INTEGER NOT NULL, estimated_nano INTEGER DEFAULT '0' NOT NULL, held_nano INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (hour, virtual_key, team, customer, provider, model, variant)
);
CREATE TABLE requests (
	request_id TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	model TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	record BLOB NOT NULL, estimated_nano INTEGER DEFAULT '0' NOT NULL, reserved_nano INTEGER DEFAULT '0' NOT NULL, client_request_id TEXT DEFAULT '' NOT NULL, ingested INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (request_id)
);
CREATE INDEX requests_by_key ON requests (virtual_key, request_id);
CREATE TABLE unsettled (
	attempt_id TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	nano INTEGER NOT NULL, 
	tokens INTEGER NOT NULL, held_nano INTEGER DEFAULT '0' NOT NULL, tokens_used INTEGER DEFAULT '0' NOT NULL, hour INTEGER DEFAULT '0' NOT NULL, until INTEGER DEFAULT '0' NOT NULL, reconciled_nano INTEGER DEFAULT '0' NOT NULL, state TEXT DEFAULT 'kept' NOT NULL, source TEXT DEFAULT 'reserved' NOT NULL, team TEXT DEFAULT '' NOT NULL, customer TEXT DEFAULT '' NOT NULL, variant TEXT DEFAULT '' NOT NULL, counters TEXT DEFAULT '[]' NOT NULL, reconciled_at FLOAT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (attempt_id)
);
CREATE TABLE "usage_tags" (
	hour INTEGER NOT NULL, 
	tag TEXT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	nano INTEGER NOT NULL, estimated_nano INTEGER DEFAULT '0' NOT NULL, reserved_nano INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (hour, tag, virtual_key, team, customer, provider, model, variant)
);
CREATE INDEX requests_by_client_id ON requests (client_request_id, request_id);
CREATE INDEX unsettled_by_end ON unsettled (state, until);
CREATE TABLE owner (
	one INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	gateway TEXT NOT NULL, 
	place TEXT NOT NULL, 
	beat FLOAT NOT NULL, 
	PRIMARY KEY (one)
);
CREATE TABLE state (
	id TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	provider_key TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	at FLOAT NOT NULL, note TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id, provider)
);
CREATE INDEX ix_state_at ON state (at);
CREATE TABLE splits (
	hour INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	target TEXT NOT NULL, 
	measure TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (hour, model, variant, target, measure)
);
CREATE TABLE feedback (
	request_id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	score FLOAT NOT NULL, 
	comment TEXT NOT NULL, 
	PRIMARY KEY (request_id, owner)
);
CREATE TABLE holds (
	name TEXT NOT NULL, 
	effect TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	until FLOAT, 
	PRIMARY KEY (name)
);
CREATE TABLE batches (
	attempt_id TEXT NOT NULL, 
	batch_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	provider TEXT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	work TEXT NOT NULL, 
	status TEXT NOT NULL, 
	checked_at FLOAT NOT NULL, due_at FLOAT DEFAULT '0' NOT NULL, problem TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (attempt_id)
);
CREATE INDEX batches_by_state ON batches (state, at);
CREATE INDEX batches_by_due ON batches (state, due_at);
CREATE INDEX requests_by_ingestion ON requests (ingested);
INSERT INTO alembic_version (version_num) VALUES ('0012');
