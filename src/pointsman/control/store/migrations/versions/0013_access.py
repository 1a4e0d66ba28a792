"""Add users, roles, service tokens, sessions and failed logins."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), primary_key=True, nullable=False),
        *_texts("issuer", "subject", "name", "password", "totp"),
        sa.Column("totp_step", sa.Integer(), nullable=False),
        sa.Column("is_disabled", sa.Integer(), nullable=False),
        *_floats("created_at", "changed_at"),
        sa.Column("logged_in_at", sa.Float(), nullable=True),
        sa.UniqueConstraint("issuer", "subject", name="users_by_identity"),
    )
    names = ("holder", "role", "scope", "source")
    op.create_table("grants", *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in names))
    op.create_index("grants_by_role", "grants", ["role"])
    op.create_table("roles", _key("name"), *_texts("permissions", "note"))
    op.create_table(
        "service_tokens",
        _key("name"),
        sa.Column("digest", sa.Text(), nullable=False, unique=True),
        *_texts("author"),
        *_floats("created_at", "expires_at"),
    )
    op.create_table(
        "console_sessions",
        _key("digest"),
        *_texts("user_id", "address", "provider", "refresh"),
        *_floats("made_at", "seen_at", "ends_at", "checked_at"),
    )
    op.create_index("console_sessions_by_user", "console_sessions", ["user_id"])
    op.create_index("console_sessions_by_end", "console_sessions", ["ends_at"])
    op.create_table(
        "login_attempts", _key("subject"), sa.Column("count", sa.Integer(), nullable=False), *_floats("since", "until")
    )
    op.create_index("ix_login_attempts_until", "login_attempts", ["until"])


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=True, nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _floats(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float(), nullable=False) for name in names]
