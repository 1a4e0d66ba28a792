"""The permissions of the admin API, and the built-in roles: one table.

A new permission needs a line in both parts of this file. Without one in the table, only owners have it.
"""

from enum import StrEnum


class Permission(StrEnum):
    """The permissions of a caller. The name before the colon is the resource."""

    USAGE_READ = "usage:read"
    USAGE_WRITE = "usage:write"
    REQUESTS_READ = "requests:read"
    BODIES_READ = "bodies:read"
    BUDGETS_READ = "budgets:read"
    STATUS_READ = "status:read"
    HEALTH_WRITE = "health:write"
    METRICS_READ = "metrics:read"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    TEAMS_READ = "teams:read"
    TEAMS_WRITE = "teams:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    KEYS_OWN = "keys:own"  # to make keys for oneself, from the templates of one's teams
    AUDIT_READ = "audit:read"
    AUDIT_WRITE = "audit:write"  # to accept a log that was changed
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    ROLES_WRITE = "roles:write"
    OWNERS_WRITE = "owners:write"  # to change owners, and to make others owners
    SELF = "self"  # the caller's own account: everybody who is known has it
    PUBLIC = "public"  # health, the way in, and the files of the console, which hold no secret


OWNER = "owner"
_COLUMNS = (OWNER, "admin", "operator", "analyst", "team-admin", "member", "viewer")
_TABLE = """
                owner  admin  operator  analyst  team-admin  member  viewer
usage:read        x      x       x         x         x         x       x
usage:write       x      x       .         .         .         .       .
requests:read     x      x       x         x         x         x       .
bodies:read       x      x       .         .         .         .       .
budgets:read      x      x       x         x         x         x       x
status:read       x      x       x         x         .         .       x
health:write      x      x       x         .         .         .       .
metrics:read      x      x       x         x         .         .       x
alerts:read       x      x       x         x         .         .       x
alerts:write      x      x       x         .         .         .       .
config:read       x      x       x         x         .         .       x
config:write      x      x       .         .         .         .       .
teams:read        x      x       x         x         x         .       x
teams:write       x      x       .         .         .         .       .
keys:read         x      x       x         x         x         x       .
keys:write        x      x       .         .         x         .       .
keys:own          x      x       x         x         x         x       .
audit:read        x      x       .         .         x         .       .
audit:write       x      .       .         .         .         .       .
users:read        x      x       .         .         .         .       .
users:write       x      x       .         .         .         .       .
roles:write       x      x       .         .         .         .       .
owners:write      x      .       .         .         .         .       .
"""

IMPLIED = frozenset({Permission.SELF, Permission.PUBLIC})  # no role names them


def _built_in() -> dict[str, frozenset[Permission]]:
    roles: dict[str, set[Permission]] = {name: set() for name in _COLUMNS}
    head, *lines = _TABLE.strip().splitlines()
    assert tuple(head.split()) == _COLUMNS
    for line in lines:
        name, *marks = line.split()
        for role, mark in zip(_COLUMNS, marks, strict=True):
            if mark == "x":
                roles[role].add(Permission(name))
    roles[OWNER] = set(Permission) - IMPLIED
    return {name: frozenset(permissions) for name, permissions in roles.items()}


ROLES = _built_in()
"""The built-in roles by name."""

# An owner can do everything, so a role of your own cannot have this one.
OF_OWNERS = frozenset({Permission.OWNERS_WRITE})
