"""Keep the bodies of requests."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "bodies",
        sa.Column("request_id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("bodies", sa.LargeBinary(), nullable=False),
    )
