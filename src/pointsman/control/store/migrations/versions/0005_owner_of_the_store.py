"""Add the gateway that owns the store."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "owner",
        sa.Column("one", sa.Integer(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("beat", sa.Float(), nullable=False),
    )
