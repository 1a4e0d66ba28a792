"""Add columns and indexes to find requests by, sums by minute, hour and day, and sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OWNERS = ("virtual_key", "team", "customer", "provider", "model", "variant")
_USAGE = (
    "attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "nano", "reserved_nano",
    "unpriced", "estimated_nano", "held_nano",
)  # fmt: skip
_TAGS = ("requests", "tokens_in", "tokens_out", "nano", "estimated_nano", "reserved_nano")
_REQUESTS = (
    "requests", "failures", "attempts", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "nano",
    "estimated_nano", "reserved_nano", "duration_us", "gateway_us", "streams", "ttft_us",
)  # fmt: skip
_TEXT = {
    "team": "team", "customer": "customer", "provider": "provider", "model": "model", "session": "session",
    "code": "code", "client_id": "client_request_id",
}  # fmt: skip


def upgrade() -> None:
    _add_columns()
    _add_sums("usage_days", "day", _OWNERS, _USAGE, of="usage")
    _add_sums("usage_tag_days", "day", ("tag", *_OWNERS), _TAGS, of="usage_tags")
    _add_sums("split_days", "day", ("model", "variant", "target", "measure"), ("value",), of="splits")
    for time in ("minute", "hour", "day"):
        _add_sums(f"request_{time}s", time, (*_OWNERS, "status"), _REQUESTS)
    _add_sessions()
    op.create_table(
        "request_tags",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("request_id", "tag")),
        sqlite_with_rowid=False,
    )
    op.create_index("request_tags_by_tag", "request_tags", ["tag", "request_id"])
    op.create_table(
        "request_sizes",
        sa.Column("minute", _BIG, primary_key=True, autoincrement=False, nullable=False),
        *(sa.Column(name, _BIG, nullable=False) for name in ("requests", "bytes")),
    )
    _fill()
    _add_indexes()


def _add_columns() -> None:
    for name in ("team", "customer", "session", "code"):
        op.add_column("requests", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("requests", sa.Column("duration_us", _BIG, nullable=False, server_default="0"))
    for name in ("cost_bits", "duration_bits"):
        op.add_column("requests", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))


def _add_sums(name: str, time: str, keys: tuple[str, ...], sums: tuple[str, ...], of: str = "") -> None:
    """Add a table of sums, filled with those of a table by hour."""
    op.create_table(
        name,
        sa.Column(time, _BIG, primary_key=True, autoincrement=False, nullable=False),
        *(sa.Column(key, sa.Text(), primary_key=True, nullable=False) for key in keys),
        *(sa.Column(one, _BIG, nullable=False) for one in sums),
        sqlite_with_rowid=False,
    )
    if of:
        names = ", ".join(keys)
        summed = ", ".join(f"SUM({one})" for one in sums)
        query = f"SELECT hour / 86400 * 86400 AS day, {names}, {summed} FROM {of} GROUP BY 1, {names}"  # noqa: S608
        op.execute(f"INSERT INTO {name} (day, {names}, {', '.join(sums)}) {query}")


def _add_sessions() -> None:
    op.create_table(
        "sessions",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("session", "virtual_key")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("team", "customer")),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("first_at", "last_at")),
        *(sa.Column(name, _BIG, nullable=False) for name in _REQUESTS),
    )
    op.create_index("sessions_by_end", "sessions", ["last_at", "session", "virtual_key"])
    op.create_index("sessions_by_key", "sessions", ["virtual_key", "last_at", "session"])
    op.create_table(
        "session_agents",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("session", "virtual_key", "agent")),
        sa.Column("parent_agent", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("first_at", "last_at")),
        *(sa.Column(name, _BIG, nullable=False) for name in _REQUESTS),
    )


def _fill() -> None:
    """Fill the new columns of stored requests from their records, and their sizes. Sums by minute, sessions and tags
    begin with this version."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"

    def read(field: str) -> str:
        if is_sqlite:
            return f"COALESCE(json_extract(CAST(record AS TEXT), '$.{field}'), '')"
        return f"COALESCE(convert_from(record, 'UTF8')::json ->> '{field}', '')"

    def bits(value: str) -> str:
        if is_sqlite:
            cases = " ".join(f"WHEN {value} < {1 << count} THEN {count}" for count in range(1, 63))
            return f"CASE WHEN {value} <= 0 THEN 0 {cases} ELSE 63 END"
        return f"CASE WHEN {value} <= 0 THEN 0 ELSE length(ltrim(({value})::bit(64)::text, '0')) END"

    duration = f"CAST(COALESCE(NULLIF({read('duration_us')}, ''), '0') AS {'INTEGER' if is_sqlite else 'BIGINT'})"
    texts = ", ".join(f"{name} = {read(name)}" for name in ("team", "customer", "session", "code"))
    op.execute(f"UPDATE requests SET {texts}, duration_us = {duration}, cost_bits = {bits('nano')}")  # noqa: S608
    op.execute(f"UPDATE requests SET duration_bits = {bits('duration_us')}")  # noqa: S608
    minute = "CAST(at / 60 AS INTEGER)" if is_sqlite else "CAST(floor(at / 60) AS BIGINT)"
    op.execute(
        "INSERT INTO request_sizes (minute, requests, bytes) "  # noqa: S608
        f"SELECT {minute} * 60, COUNT(*), SUM(length(record)) FROM requests GROUP BY 1"
    )


def _add_indexes() -> None:
    op.drop_index("requests_by_client_id", "requests")
    op.create_index("requests_by_status", "requests", ["status", "request_id"])
    for name, column in _TEXT.items():
        _add_partial(f"requests_by_{name}", column, f"{column} <> ''")
    for name in ("cost", "duration"):
        _add_partial(f"requests_by_{name}", f"{name}_bits", f"{name}_bits > 0")


def _add_partial(name: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "requests", [column, "request_id"], sqlite_where=condition, postgresql_where=condition)
