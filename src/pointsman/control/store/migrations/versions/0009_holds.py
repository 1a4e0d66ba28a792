"""Add the orders of operators about providers, targets and provider keys."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "holds",
        *(sa.Column(name, sa.Text(), primary_key=name == "name", nullable=False) for name in ("name", "effect")),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=True),
    )
