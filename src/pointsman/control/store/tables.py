"""The tables of the store, the same in SQLite and PostgreSQL. Money is in nano-dollars, times in Unix seconds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, text

Row = dict[str, Any]
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

METADATA = MetaData()

_BIG = BigInteger().with_variant(Integer(), "sqlite")


def _sums_table(name: str, time: str, keys: Sequence[str], sums: Sequence[str]) -> Table:
    """Return a table of sums by time and texts. SQLite stores its rows in the order of the key, once."""
    return Table(
        name,
        METADATA,
        Column(time, _BIG, primary_key=True, autoincrement=False),
        *(Column(key, Text, primary_key=True) for key in keys),
        *(Column(one, _BIG, nullable=False) for one in sums),
        sqlite_with_rowid=False,
    )


def _some(name: str, column: str, where: str) -> Index:
    """Return an index of requests by a column, which leaves out the rows that have no value there."""
    return Index(name, column, "request_id", sqlite_where=text(where), postgresql_where=text(where))


_TEXT_INDEXES = {
    "team": "team", "customer": "customer", "provider": "provider", "model": "model", "session": "session",
    "code": "code", "client_id": "client_request_id",
}  # fmt: skip

# The position in each journal. `low_*` is the position of its oldest open intent.
JOURNALS = Table(
    "journals",
    METADATA,
    Column("name", Text, primary_key=True),
    *(Column(name, _BIG, nullable=False) for name in ("segment", "byte", "low_segment", "low_byte")),
    Column("retired", Integer, nullable=False, server_default="0"),
)

# The spending in each window of a counter, by the epoch of the worker that spent it.
COUNTERS = Table(
    "counters",
    METADATA,
    Column("counter", Text, primary_key=True),
    Column("window_start", _BIG, primary_key=True, autoincrement=False),
    Column("epoch", _BIG, primary_key=True, autoincrement=False),
    Column("window_end", _BIG, nullable=False, index=True),
    Column("posted", _BIG, nullable=False),
)

# Sums over attempts by hour. Empty text means none. `estimated_nano` and `reserved_nano` are the parts of `nano`
# that no provider reported; limits hold `held_nano` beyond it.
USAGE = Table(
    "usage",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),
    *(
        Column(name, Text, primary_key=True)
        for name in ("virtual_key", "team", "customer", "provider", "model", "variant")
    ),
    *(
        Column(name, _BIG, nullable=False)
        for name in ("attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
    ),
    *(Column(name, _BIG, nullable=False) for name in ("nano", "reserved_nano", "unpriced")),
    Column("estimated_nano", _BIG, nullable=False, server_default="0"),
    Column("held_nano", _BIG, nullable=False, server_default="0"),
)

USAGE_KEYS = tuple(column.name for column in USAGE.columns if column.primary_key)
USAGE_SUMS = tuple(column.name for column in USAGE.columns if not column.primary_key)
USAGE_DAYS = _sums_table("usage_days", "day", USAGE_KEYS[1:], USAGE_SUMS)  # the same sums by day in UTC

# Sums over requests by hour and tag. `tag` is `name=value`; provider, model and variant are those of a request's last
# attempt. Empty text means none.
USAGE_TAGS = Table(
    "usage_tags",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in USAGE_KEYS[1:]),
    *(Column(name, _BIG, nullable=False) for name in ("requests", "tokens_in", "tokens_out", "nano")),
    Column("estimated_nano", _BIG, nullable=False, server_default="0"),
    Column("reserved_nano", _BIG, nullable=False, server_default="0"),
)

TAG_KEYS = tuple(column.name for column in USAGE_TAGS.columns if column.primary_key)
TAG_SUMS = tuple(column.name for column in USAGE_TAGS.columns if not column.primary_key)
TAG_DAYS = _sums_table("usage_tag_days", "day", TAG_KEYS[1:], TAG_SUMS)

# Sums over the requests and attempts of the targets of public names, by hour. `control.variants` has the measures.
SPLITS = Table(
    "splits",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),
    *(Column(name, Text, primary_key=True) for name in ("model", "variant", "target", "measure")),
    Column("value", _BIG, nullable=False),
)

SPLIT_KEYS = tuple(column.name for column in SPLITS.columns if column.primary_key)
SPLIT_DAYS = _sums_table("split_days", "day", SPLIT_KEYS[1:], ("value",))

# Sums over requests by minute, hour and day of their ends. Names are as in `usage_tags`, and `status` is a text, `0` if
# the worker died. `failures` counts statuses of 400 or more, and 0. `ttft_us` sums up the times to the first content of
# the `streams` that had some.
REQUEST_SUMS = (
    "requests", "failures", "attempts", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "nano",
    "estimated_nano", "reserved_nano", "duration_us", "gateway_us", "streams", "ttft_us",
)  # fmt: skip
REQUEST_DIMENSIONS = (*USAGE_KEYS[1:], "status")
REQUEST_MINUTES = _sums_table("request_minutes", "minute", REQUEST_DIMENSIONS, REQUEST_SUMS)
REQUEST_HOURS = _sums_table("request_hours", "hour", REQUEST_DIMENSIONS, REQUEST_SUMS)
REQUEST_DAYS = _sums_table("request_days", "day", REQUEST_DIMENSIONS, REQUEST_SUMS)

# Sums over the requests of one client session of a virtual key. `first_at` and `last_at` are the ends of its first and
# last request.
SESSIONS = Table(
    "sessions",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("session", "virtual_key")),
    *(Column(name, Text, nullable=False) for name in ("team", "customer")),
    *(Column(name, Float, nullable=False) for name in ("first_at", "last_at")),
    *(Column(name, _BIG, nullable=False) for name in REQUEST_SUMS),
    Index("sessions_by_end", "last_at", "session", "virtual_key"),
    Index("sessions_by_key", "virtual_key", "last_at", "session"),
)

# The same for each agent in a session whose client names its agents.
SESSION_AGENTS = Table(
    "session_agents",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("session", "virtual_key", "agent")),
    Column("parent_agent", Text, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("first_at", "last_at")),
    *(Column(name, _BIG, nullable=False) for name in REQUEST_SUMS),
)

# The scores that clients gave to requests, from 0 to 1. `owner` gave the score; it counts only if the request was the
# owner's. `request_id` sorts by the time of the request.
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("comment", Text, nullable=False),
)

# Single requests; `record` is the line of the request log. `ingested` numbers them in the order of their commits. It is
# 0 for those of older versions. Ids do not: a long request gets its id long before it is stored. `code` is that of its
# failure. `cost_bits` and `duration_bits` are the numbers of bits of `nano` and `duration_us`, so that requests above a
# bound are found in the order of their ids. Most indexes leave out rows without a value, so unused columns cost little.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", Text, primary_key=True),  # sorts by time
    Column("at", Float, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("virtual_key", "model", "provider")),
    Column("status", Integer, nullable=False),
    Column("nano", _BIG, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("client_request_id", Text, nullable=False, server_default=""),
    Column("estimated_nano", _BIG, nullable=False, server_default="0"),
    Column("reserved_nano", _BIG, nullable=False, server_default="0"),
    *(Column(name, Text, nullable=False, server_default="") for name in ("team", "customer", "session", "code")),
    Column("duration_us", _BIG, nullable=False, server_default="0"),
    Column("cost_bits", Integer, nullable=False, server_default="0"),
    Column("duration_bits", Integer, nullable=False, server_default="0"),
    Column("ingested", _BIG, nullable=False, server_default="0"),
    Index("requests_by_key", "virtual_key", "request_id"),
    Index("requests_by_status", "status", "request_id"),
    Index("requests_by_ingestion", "ingested"),
    *(_some(f"requests_by_{name}", column, f"{column} <> ''") for name, column in _TEXT_INDEXES.items()),
    *(_some(f"requests_by_{name}", f"{name}_bits", f"{name}_bits > 0") for name in ("cost", "duration")),
)

# The tags of requests, `name=value`.
REQUEST_TAGS = Table(
    "request_tags",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("request_id", "tag")),
    Index("request_tags_by_tag", "tag", "request_id"),
    sqlite_with_rowid=False,
)

# The number and the size of stored requests by minute of their ids, so that the oldest can be deleted by size. `bytes`
# are those of the records.
REQUEST_SIZES = Table(
    "request_sizes",
    METADATA,
    Column("minute", _BIG, primary_key=True, autoincrement=False),
    *(Column(name, _BIG, nullable=False) for name in ("requests", "bytes")),
)

# Attempts whose cost no provider reported. `source` is the source of `nano`. Budgets hold `held_nano` more until the
# attempt is reconciled, or `until`, when the last of its windows ends. Until then limits of tokens hold `tokens`,
# afterwards `tokens_used`. `counters` is JSON: name, beginning and end of the window, and metric of each counter.
# `hour` and the names after it are the keys of its row in `usage`. `state` is `open`, `lapsed` once its windows have
# ended, or `reconciled` once somebody set its cost to `reconciled_nano`. It is `kept` if an older version stored too
# little of it to correct anything.
UNSETTLED = Table(
    "unsettled",
    METADATA,
    Column("attempt_id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("virtual_key", "provider", "model")),
    Column("nano", _BIG, nullable=False),
    Column("tokens", _BIG, nullable=False),
    Column("state", Text, nullable=False, server_default="kept"),
    Column("source", Text, nullable=False, server_default="reserved"),
    Column("held_nano", _BIG, nullable=False, server_default="0"),
    Column("tokens_used", _BIG, nullable=False, server_default="0"),
    Column("hour", _BIG, nullable=False, server_default="0"),
    Column("team", Text, nullable=False, server_default=""),
    Column("customer", Text, nullable=False, server_default=""),
    Column("variant", Text, nullable=False, server_default=""),
    Column("counters", Text, nullable=False, server_default="[]"),
    Column("until", _BIG, nullable=False, server_default="0"),
    Column("reconciled_nano", _BIG, nullable=False, server_default="0"),
    Column("reconciled_at", Float, nullable=False, server_default="0"),
    Index("unsettled_by_end", "state", "until"),
)

# Objects that providers store, their owners and their providers. `owner` is `team:NAME`, `virtual_key:NAME`, or empty
# for everybody; `at` is the time of its creation or last use.
STATE = Table(
    "state",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("kind", "provider_key", "owner")),
    Column("at", Float, nullable=False, index=True),
    Column("note", Text, nullable=False, server_default=""),
)

# Batches: `domain.batches` has the states, and the `work` as JSON. `status` is the provider's, as of `checked_at`. An
# open batch is looked at again when it is `due_at`, and `problem` is the reason that it could not be settled before.
# The amounts that limits hold are in `unsettled`, under the same id.
BATCHES = Table(
    "batches",
    METADATA,
    Column("attempt_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("batch_id", "state")),
    Column("at", Float, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("provider", "virtual_key", "team", "work", "status")),
    Column("checked_at", Float, nullable=False),
    Column("due_at", Float, nullable=False, server_default="0"),
    Column("problem", Text, nullable=False, server_default=""),
    Index("batches_by_state", "state", "at"),
    Index("batches_by_due", "state", "due_at"),
)

# The bodies of requests, masked: `domain.bodies.KeptBodies` in JSON. They are kept for a time of their own.
BODIES = Table(
    "bodies",
    METADATA,
    Column("request_id", Text, primary_key=True),  # sorts by time
    Column("bodies", LargeBinary, nullable=False),
)

# The orders of operators about providers, targets and provider keys: `domain.holds.Hold`.
HOLDS = Table(
    "holds",
    METADATA,
    Column("name", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("effect", "reason")),
    Column("at", Float, nullable=False),
    Column("until", Float),
)

# Resources that were made by API: `config.resource.Resource`. `spec` is JSON.
RESOURCES = Table(
    "resources",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("kind", "name")),
    Column("spec", Text, nullable=False),
    Column("version", _BIG, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("created_at", "updated_at")),
    Column("author", Text, nullable=False),
)

# The versions of the configuration that changes of resources made. `changes` is JSON, see `store.resources`.
CONFIG_VERSIONS = Table(
    "config_versions",
    METADATA,
    Column("number", _BIG, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("author", "note", "digest", "changes")),
)

# Replies to calls with an idempotency key. `request` identifies the call.
REPLIES = Table(
    "replies",
    METADATA,
    Column("key", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("request", "reply")),
    Column("at", Float, nullable=False),
)

# Virtual keys that were made by API. `digest` and `previous_digest` are the SHA-256 of their values, in hexadecimal.
# The latter is valid until `previous_until`. `hint` is the beginning of the value, and `settings` the policy as JSON.
# That has the team again. `customer` is that of the team, if there is one. `changed` grows with each change of any key.
# Empty text means none.
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("previous_digest", Text, nullable=False, server_default=""),
    Column("previous_until", Float),
    *(Column(name, Text, nullable=False) for name in ("hint", "team", "customer", "parent", "settings", "note")),
    Column("expires_at", Float),
    Column("is_enabled", Integer, nullable=False, server_default="1"),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("changed", _BIG, nullable=False, index=True),
    Index("api_keys_by_previous", "previous_digest"),
    Index("api_keys_by_team", "team", "name"),
    Index("api_keys_by_customer", "customer", "name"),
    Index("api_keys_by_parent", "parent", "name"),
    Index("api_keys_by_expiry", "expires_at"),
    Index("api_keys_by_state", "is_enabled", "name"),
)

# The owner of a store that several gateways can reach: a single row, number 1. See `ownership`.
OWNER = Table(
    "owner",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("epoch", _BIG, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("beat", Float, nullable=False),
)
