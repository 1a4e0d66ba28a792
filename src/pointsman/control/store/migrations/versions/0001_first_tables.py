"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _journals()
    _counters()
    _usage()
    _usage_tags()
    _requests()
    _unsettled()


def _journals() -> None:
    op.create_table(
        "journals",
        sa.Column("name", sa.Text(), primary_key=True),
        *(sa.Column(name, _BIG, nullable=False) for name in ("segment", "byte", "low_segment", "low_byte")),
        sa.Column("retired", sa.Integer(), server_default="0", nullable=False),
    )


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("counter", sa.Text(), primary_key=True),
        sa.Column("window_start", _BIG, primary_key=True, autoincrement=False),
        sa.Column("epoch", _BIG, primary_key=True, autoincrement=False),
        sa.Column("window_end", _BIG, nullable=False, index=True),
        sa.Column("posted", _BIG, nullable=False),
    )


def _usage() -> None:
    keys = ("virtual_key", "team", "customer", "provider", "model", "variant")
    sums = ("attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "nano")
    op.create_table(
        "usage",
        sa.Column("hour", _BIG, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in keys),
        *(sa.Column(name, _BIG, nullable=False) for name in (*sums, "unsettled_nano", "unpriced")),
    )


def _usage_tags() -> None:
    op.create_table(
        "usage_tags",
        sa.Column("hour", _BIG, primary_key=True, autoincrement=False),
        sa.Column("tag", sa.Text(), primary_key=True),
        *(sa.Column(name, _BIG, nullable=False) for name in ("requests", "tokens_in", "tokens_out", "nano")),
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), primary_key=True),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("virtual_key", "model", "provider")),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("nano", _BIG, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Index("requests_by_key", "virtual_key", "request_id"),
    )


def _unsettled() -> None:
    op.create_table(
        "unsettled",
        sa.Column("attempt_id", sa.Text(), primary_key=True),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("virtual_key", "provider", "model")),
        *(sa.Column(name, _BIG, nullable=False) for name in ("nano", "tokens")),
    )
