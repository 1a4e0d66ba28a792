"""Add the sums by target of a public name, and the scores that clients give to requests."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "splits",
        sa.Column("hour", _BIG, primary_key=True, autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.Text(), primary_key=True, nullable=False)
            for name in ("model", "variant", "target", "measure")
        ),
        sa.Column("value", _BIG, nullable=False),
    )
    op.create_table(
        "feedback",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("request_id", "owner")),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("at", "score")),
        sa.Column("comment", sa.Text(), nullable=False),
    )
