"""Add the time at which a batch is looked at again, and the reason that it could not be settled before."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("batches", sa.Column("due_at", sa.Float(), nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("problem", sa.Text(), nullable=False, server_default=""))
    op.create_index("batches_by_due", "batches", ["state", "due_at"])
