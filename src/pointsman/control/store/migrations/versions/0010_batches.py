"""Add batches, and what is known of the contents of stored objects."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("state", sa.Column("note", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "batches",
        sa.Column("attempt_id", sa.Text(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("batch_id", "state")),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("provider", "virtual_key", "team", "work", "status")),
        sa.Column("checked_at", sa.Float(), nullable=False),
    )
    op.create_index("batches_by_state", "batches", ["state", "at"])
