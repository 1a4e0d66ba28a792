"""Add the virtual keys that are made by API."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXTS = ("hint", "team", "customer", "parent", "settings", "note")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False, unique=True),
        sa.Column("previous_digest", sa.Text(), nullable=False, server_default=""),
        sa.Column("previous_until", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("is_enabled", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed", _BIG, nullable=False, index=True),
    )
    op.create_index("api_keys_by_previous", "api_keys", ["previous_digest"])
    for name, column in (("team", "team"), ("customer", "customer"), ("parent", "parent"), ("state", "is_enabled")):
        op.create_index(f"api_keys_by_{name}", "api_keys", [column, "name"])
    op.create_index("api_keys_by_expiry", "api_keys", ["expires_at"])
