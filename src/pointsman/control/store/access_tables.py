"""The tables of users, roles, service tokens, sessions and failed logins. Times are Unix seconds."""

from sqlalchemy import Column, Float, Index, Integer, Table, Text, UniqueConstraint

from pointsman.control.store.tables import METADATA

# Users of the console: `domain.users.User`. Local users have the issuer `local`.
USERS = Table(
    "users",
    METADATA,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("issuer", "subject", "name", "password", "totp")),
    Column("totp_step", Integer, nullable=False),
    Column("is_disabled", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("logged_in_at", Float),
    UniqueConstraint("issuer", "subject", name="users_by_identity"),
)

# Roles with their scopes, by holder: `user:ID` or `token:NAME`. The `source` is `given` by people, or `groups` of an
# identity provider.
GRANTS = Table(
    "grants",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("holder", "role", "scope", "source")),
    Index("grants_by_role", "role"),
)

# Roles that are not built in. `permissions` are separated by spaces.
ROLES = Table(
    "roles",
    METADATA,
    Column("name", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("permissions", "note")),
)

# Service tokens by name, with the SHA-256 of each in hexadecimal.
SERVICE_TOKENS = Table(
    "service_tokens",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("author", Text, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("created_at", "expires_at")),
)

# Sessions of the console: `domain.users.ConsoleSession`.
CONSOLE_SESSIONS = Table(
    "console_sessions",
    METADATA,
    Column("digest", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("user_id", "address", "provider", "refresh")),
    *(Column(name, Float, nullable=False) for name in ("made_at", "seen_at", "ends_at", "checked_at")),
    Index("console_sessions_by_user", "user_id"),
    Index("console_sessions_by_end", "ends_at"),
)

# Attempts to log in without success, by `account:DIGEST` or `address:ADDRESS`. They count from `since`, and further
# ones are rejected up to `until`.
LOGIN_ATTEMPTS = Table(
    "login_attempts",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False, index=True),
)
