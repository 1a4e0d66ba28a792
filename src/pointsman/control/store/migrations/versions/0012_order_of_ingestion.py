"""Number requests in the order of their ingestion."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("requests", sa.Column("ingested", _BIG, nullable=False, server_default="0"))
    op.create_index("requests_by_ingestion", "requests", ["ingested"])
