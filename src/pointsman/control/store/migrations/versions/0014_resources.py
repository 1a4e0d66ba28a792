"""Add the resources that are made by API, the versions of the configuration, and replies to repeated calls."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "resources",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("kind", "name")),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("version", _BIG, nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("created_at", "updated_at")),
        sa.Column("author", sa.Text(), nullable=False),
    )
    op.create_table(
        "config_versions",
        sa.Column("number", _BIG, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("author", "note", "digest", "changes")),
    )
    op.create_table(
        "replies",
        sa.Column("key", sa.Text(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("request", "reply")),
        sa.Column("at", sa.Float(), nullable=False),
    )
