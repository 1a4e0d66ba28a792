"""Add records that the store rejected as they were."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "refused",
        *(
            sa.Column(name, _BIG, primary_key=True, autoincrement=False, nullable=False)
            for name in ("epoch", "segment", "byte")
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
