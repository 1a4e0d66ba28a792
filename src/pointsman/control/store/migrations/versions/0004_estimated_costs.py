"""Add the source of costs, attempts to reconcile, and the client's request id."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_USAGE = ("estimated_nano", "held_nano")
_PARTS = ("estimated_nano", "reserved_nano")
_NUMBERS = ("held_nano", "tokens_used", "hour", "until", "reconciled_nano")
_TEXTS = {"state": "kept", "source": "reserved", "team": "", "customer": "", "variant": "", "counters": "[]"}


def upgrade() -> None:
    """Older estimates are indistinguishable from reported costs, and stay so."""
    op.execute("ALTER TABLE usage RENAME COLUMN unsettled_nano TO reserved_nano")
    for name in _USAGE:
        _add_number("usage", name)
    for table in ("usage_tags", "requests"):
        for name in _PARTS:
            _add_number(table, name)
    op.add_column("requests", sa.Column("client_request_id", sa.Text(), nullable=False, server_default=""))
    op.create_index("requests_by_client_id", "requests", ["client_request_id", "request_id"])
    for name in _NUMBERS:
        _add_number("unsettled", name)
    for name, value in _TEXTS.items():
        op.add_column("unsettled", sa.Column(name, sa.Text(), nullable=False, server_default=value))
    op.add_column("unsettled", sa.Column("reconciled_at", sa.Float(), nullable=False, server_default="0"))
    op.create_index("unsettled_by_end", "unsettled", ["state", "until"])


def _add_number(table: str, name: str) -> None:
    op.add_column(table, sa.Column(name, _BIG, nullable=False, server_default="0"))
