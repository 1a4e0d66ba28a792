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
	record BLOB NOT NULL, estimated_nano INTEGER DEFAULT '0' NOT NULL, reserved_nano INTEGER DEFAULT '0' NOT NULL, client_request_id TEXT DEFAULT '' NOT NULL, ingested INTEGER DEFAULT '0' NOT NULL, team TEXT DEFAULT '' NOT NULL, customer TEXT DEFAULT '' NOT NULL, session TEXT DEFAULT '' NOT NULL, code TEXT DEFAULT '' NOT NULL, duration_us INTEGER DEFAULT '0' NOT NULL, cost_bits INTEGER DEFAULT '0' NOT NULL, duration_bits INTEGER DEFAULT '0' NOT NULL, 
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
CREATE TABLE users (
	id TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	name TEXT NOT NULL, 
	password TEXT NOT NULL, 
	totp TEXT NOT NULL, 
	totp_step INTEGER NOT NULL, 
	is_disabled INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	changed_at FLOAT NOT NULL, 
	logged_in_at FLOAT, 
	PRIMARY KEY (id), 
	CONSTRAINT users_by_identity UNIQUE (issuer, subject)
);
CREATE TABLE grants (
	holder TEXT NOT NULL, 
	role TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY (holder, role, scope, source)
);
CREATE INDEX grants_by_role ON grants (role);
CREATE TABLE roles (
	name TEXT NOT NULL, 
	permissions TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE service_tokens (
	name TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	author TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT NOT NULL, 
	PRIMARY KEY (name), 
	UNIQUE (digest)
);
CREATE TABLE console_sessions (
	digest TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	address TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	refresh TEXT NOT NULL, 
	made_at FLOAT NOT NULL, 
	seen_at FLOAT NOT NULL, 
	ends_at FLOAT NOT NULL, 
	checked_at FLOAT NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE INDEX console_sessions_by_user ON console_sessions (user_id);
CREATE INDEX console_sessions_by_end ON console_sessions (ends_at);
CREATE TABLE login_attempts (
	subject TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	since FLOAT NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (subject)
);
CREATE INDEX ix_login_attempts_until ON login_attempts (until);
CREATE TABLE resources (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	author TEXT NOT NULL, 
	PRIMARY KEY (kind, name)
);
CREATE TABLE config_versions (
	number INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	author TEXT NOT NULL, 
	note TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	changes TEXT NOT NULL, 
	PRIMARY KEY (number)
);
CREATE TABLE replies (
	"key" TEXT NOT NULL, 
	request TEXT NOT NULL, 
	reply TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE api_keys (
	name TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	previous_digest TEXT DEFAULT '' NOT NULL, 
	previous_until FLOAT, 
	hint TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	parent TEXT NOT NULL, 
	settings TEXT NOT NULL, 
	note TEXT NOT NULL, 
	expires_at FLOAT, 
	is_enabled INTEGER DEFAULT '1' NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	changed_at FLOAT NOT NULL, 
	changed INTEGER NOT NULL, 
	PRIMARY KEY (name), 
	UNIQUE (digest)
);
CREATE INDEX ix_api_keys_changed ON api_keys (changed);
CREATE INDEX api_keys_by_previous ON api_keys (previous_digest);
CREATE INDEX api_keys_by_team ON api_keys (team, name);
CREATE INDEX api_keys_by_customer ON api_keys (customer, name);
CREATE INDEX api_keys_by_parent ON api_keys (parent, name);
CREATE INDEX api_keys_by_state ON api_keys (is_enabled, name);
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at);
CREATE TABLE alerts (
	id TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	fired_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	content BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX alerts_by_firing ON alerts (fired_at, id);
CREATE INDEX alerts_by_end ON alerts (ended_at);
CREATE TABLE alert_messages (
	id TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	content BLOB NOT NULL, 
	ended_at FLOAT, 
	outcome TEXT DEFAULT '' NOT NULL, 
	problem TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX alert_messages_by_channel ON alert_messages (channel, ended_at, at);
CREATE INDEX alert_messages_by_end ON alert_messages (ended_at);
CREATE TABLE usage_days (
	day INTEGER NOT NULL, 
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
	unpriced INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	held_nano INTEGER NOT NULL, 
	PRIMARY KEY (day, virtual_key, team, customer, provider, model, variant)
)
 WITHOUT ROWID

;
CREATE TABLE usage_tag_days (
	day INTEGER NOT NULL, 
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
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	PRIMARY KEY (day, tag, virtual_key, team, customer, provider, model, variant)
)
 WITHOUT ROWID

;
CREATE TABLE split_days (
	day INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	target TEXT NOT NULL, 
	measure TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (day, model, variant, target, measure)
)
 WITHOUT ROWID

;
CREATE TABLE request_minutes (
	minute INTEGER NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	status TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	duration_us INTEGER NOT NULL, 
	gateway_us INTEGER NOT NULL, 
	streams INTEGER NOT NULL, 
	ttft_us INTEGER NOT NULL, 
	PRIMARY KEY (minute, virtual_key, team, customer, provider, model, variant, status)
)
 WITHOUT ROWID

;
CREATE TABLE request_hours (
	hour INTEGER NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	status TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	duration_us INTEGER NOT NULL, 
	gateway_us INTEGER NOT NULL, 
	streams INTEGER NOT NULL, 
	ttft_us INTEGER NOT NULL, 
	PRIMARY KEY (hour, virtual_key, team, customer, provider, model, variant, status)
)
 WITHOUT ROWID

;
CREATE TABLE request_days (
	day INTEGER NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	status TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	duration_us INTEGER NOT NULL, 
	gateway_us INTEGER NOT NULL, 
	streams INTEGER NOT NULL, 
	ttft_us INTEGER NOT NULL, 
	PRIMARY KEY (day, virtual_key, team, customer, provider, model, variant, status)
)
 WITHOUT ROWID

;
CREATE TABLE sessions (
	session TEXT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	first_at FLOAT NOT NULL, 
	last_at FLOAT NOT NULL, 
	requests INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	duration_us INTEGER NOT NULL, 
	gateway_us INTEGER NOT NULL, 
	streams INTEGER NOT NULL, 
	ttft_us INTEGER NOT NULL, 
	PRIMARY KEY (session, virtual_key)
);
CREATE INDEX sessions_by_end ON sessions (last_at, session, virtual_key);
CREATE INDEX sessions_by_key ON sessions (virtual_key, last_at, session);
CREATE TABLE session_agents (
	session TEXT NOT NULL, 
	virtual_key TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	parent_agent TEXT NOT NULL, 
	first_at FLOAT NOT NULL, 
	last_at FLOAT NOT NULL, 
	requests INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	tokens_reasoning INTEGER NOT NULL, 
	nano INTEGER NOT NULL, 
	estimated_nano INTEGER NOT NULL, 
	reserved_nano INTEGER NOT NULL, 
	duration_us INTEGER NOT NULL, 
	gateway_us INTEGER NOT NULL, 
	streams INTEGER NOT NULL, 
	ttft_us INTEGER NOT NULL, 
	PRIMARY KEY (session, virtual_key, agent)
);
CREATE TABLE request_tags (
	request_id TEXT NOT NULL, 
	tag TEXT NOT NULL, 
	PRIMARY KEY (request_id, tag)
)
 WITHOUT ROWID

;
CREATE INDEX request_tags_by_tag ON request_tags (tag, request_id);
CREATE TABLE request_sizes (
	minute INTEGER NOT NULL, 
	requests INTEGER NOT NULL, 
	bytes INTEGER NOT NULL, 
	PRIMARY KEY (minute)
);
CREATE INDEX requests_by_status ON requests (status, request_id);
CREATE INDEX requests_by_team ON requests (team, request_id) WHERE team <> '';
CREATE INDEX requests_by_customer ON requests (customer, request_id) WHERE customer <> '';
CREATE INDEX requests_by_provider ON requests (provider, request_id) WHERE provider <> '';
CREATE INDEX requests_by_model ON requests (model, request_id) WHERE model <> '';
CREATE INDEX requests_by_session ON requests (session, request_id) WHERE session <> '';
CREATE INDEX requests_by_code ON requests (code, request_id) WHERE code <> '';
CREATE INDEX requests_by_client_id ON requests (client_request_id, request_id) WHERE client_request_id <> '';
CREATE INDEX requests_by_cost ON requests (cost_bits, request_id) WHERE cost_bits > 0;
CREATE INDEX requests_by_duration ON requests (duration_bits, request_id) WHERE duration_bits > 0;
CREATE TABLE bodies (
	request_id TEXT NOT NULL, 
	bodies BLOB NOT NULL, 
	PRIMARY KEY (request_id)
);
CREATE TABLE audit (
	number INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	actor TEXT NOT NULL, 
	address TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	team TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	note TEXT NOT NULL, 
	changes TEXT NOT NULL, 
	configuration TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (number)
);
CREATE INDEX audit_by_object ON audit (kind, name);
CREATE INDEX audit_by_actor ON audit (actor);
INSERT INTO alembic_version (version_num) VALUES ('0019');
