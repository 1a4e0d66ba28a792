"""Add alerts, and the messages about them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "alerts",
        *(sa.Column(name, sa.Text(), primary_key=name == "id", nullable=False) for name in ("id", "rule")),
        sa.Column("fired_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_index("alerts_by_firing", "alerts", ["fired_at", "id"])
    op.create_index("alerts_by_end", "alerts", ["ended_at"])
    op.create_table(
        "alert_messages",
        *(sa.Column(name, sa.Text(), primary_key=name == "id", nullable=False) for name in ("id", "channel")),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False, server_default="") for name in ("outcome", "problem")),
    )
    op.create_index("alert_messages_by_channel", "alert_messages", ["channel", "ended_at", "at"])
    op.create_index("alert_messages_by_end", "alert_messages", ["ended_at"])
