"""Add the objects that providers store, and their owners."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "state",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("id", "provider")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "provider_key", "owner")),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_index("ix_state_at", "state", ["at"])
