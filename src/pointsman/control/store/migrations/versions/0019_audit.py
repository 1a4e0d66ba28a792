"""Add the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXTS = (
    "actor", "address", "request_id", "action", "kind", "name", "team", "customer", "outcome", "note", "changes",
    "configuration", "hash",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", _BIG, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
    )
    op.create_index("audit_by_object", "audit", ["kind", "name"])
    op.create_index("audit_by_actor", "audit", ["actor"])
