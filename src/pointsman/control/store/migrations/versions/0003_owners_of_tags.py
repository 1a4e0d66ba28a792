"""Add the owner and the provider to usage by tag."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OWNERS = ("virtual_key", "team", "customer", "provider", "model", "variant")
_SUMS = ("requests", "tokens_in", "tokens_out", "nano")


def upgrade() -> None:
    """Give older rows no owner. SQLite cannot change a primary key, so the rows move to another table, which takes the
    name."""
    op.create_table(
        "usage_tags_new",
        sa.Column("hour", _BIG, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("tag", *_OWNERS)),
        *(sa.Column(name, _BIG, nullable=False) for name in _SUMS),
    )
    nobody = ", ".join("''" for _ in _OWNERS)
    op.execute(f"INSERT INTO usage_tags_new SELECT hour, tag, {nobody}, {', '.join(_SUMS)} FROM usage_tags")  # noqa: S608
    op.drop_table("usage_tags")
    op.rename_table("usage_tags_new", "usage_tags")
