"""The tables of the store, the same in SQLite and PostgreSQL. Money is in nano-dollars, times in Unix seconds."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()

_BIG = BigInteger().with_variant(Integer(), "sqlite")

# How far each journal was read. `low_*` is where its oldest open intent begins.
JOURNALS = Table(
    "journals",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("segment", _BIG, nullable=False),
    Column("byte", _BIG, nullable=False),
    Column("low_segment", _BIG, nullable=False),
    Column("low_byte", _BIG, nullable=False),
    Column("retired", Integer, nullable=False, server_default="0"),
)

# What was spent in each window of a counter, by the epoch of the worker that spent it.
COUNTERS = Table(
    "counters",
    METADATA,
    Column("counter", Text, primary_key=True),
    Column("window_start", _BIG, primary_key=True, autoincrement=False),
    Column("epoch", _BIG, primary_key=True, autoincrement=False),
    Column("window_end", _BIG, nullable=False, index=True),
    Column("posted", _BIG, nullable=False),
)

# Sums over attempts by hour. Empty text stands for none.
USAGE = Table(
    "usage",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),
    Column("virtual_key", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("customer", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("attempts", _BIG, nullable=False),
    Column("failures", _BIG, nullable=False),
    Column("tokens_in", _BIG, nullable=False),
    Column("tokens_out", _BIG, nullable=False),
    Column("tokens_cached", _BIG, nullable=False),
    Column("tokens_reasoning", _BIG, nullable=False),
    Column("nano", _BIG, nullable=False),
    Column("unsettled_nano", _BIG, nullable=False),
    Column("unpriced", _BIG, nullable=False),
)

USAGE_KEYS = tuple(column.name for column in USAGE.columns if column.primary_key)
USAGE_SUMS = tuple(column.name for column in USAGE.columns if not column.primary_key)

# Sums over requests by hour and tag. `tag` is `name=value`; provider, model and variant are those of a request's last
# attempt. Empty text stands for none.
USAGE_TAGS = Table(
    "usage_tags",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in USAGE_KEYS[1:]),
    Column("requests", _BIG, nullable=False),
    Column("tokens_in", _BIG, nullable=False),
    Column("tokens_out", _BIG, nullable=False),
    Column("nano", _BIG, nullable=False),
)

TAG_KEYS = tuple(column.name for column in USAGE_TAGS.columns if column.primary_key)
TAG_SUMS = tuple(column.name for column in USAGE_TAGS.columns if not column.primary_key)

# Single requests; `record` is the line of the request log.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", Text, primary_key=True),  # sorts by time
    Column("at", Float, nullable=False),
    Column("virtual_key", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("nano", _BIG, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("requests_by_key", "virtual_key", "request_id"),
)

# Attempts whose worker died before they were over: charged what was reserved.
UNSETTLED = Table(
    "unsettled",
    METADATA,
    Column("attempt_id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("virtual_key", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("nano", _BIG, nullable=False),
    Column("tokens", _BIG, nullable=False),
)

# Records of journals that this store would not take as they were: whose, where they began, when they were set aside,
# what of them is in no other table, and the record itself.
REFUSED = Table(
    "refused",
    METADATA,
    Column("epoch", _BIG, primary_key=True, autoincrement=False),
    Column("segment", _BIG, primary_key=True, autoincrement=False),
    Column("byte", _BIG, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("why", Text, nullable=False),
    Column("record", LargeBinary, nullable=False),
)
