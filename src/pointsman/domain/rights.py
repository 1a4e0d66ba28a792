"""The rights of a caller of the admin API: permissions, each for all objects or for those of some owners.

A scope is `*` for everything, or the owner of limits whose objects it has: `customer:NAME`, `team:NAME` or
`virtual_key:NAME`.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from pointsman.domain.permissions import IMPLIED, OWNER, ROLES, Permission

EVERYTHING = "*"
CUSTOMER, TEAM, KEY = "customer", "team", "virtual_key"
LEVELS = (CUSTOMER, TEAM, KEY)


class Owners(Protocol):
    """The configured owners: the team of a virtual key, and the customer of a team or of a virtual key. `None` means
    that there is none, or that the object is unknown."""

    def team_of(self, key: str) -> str | None: ...

    def customer_of(self, level: str, name: str) -> str | None: ...


class AccessScope(Struct, frozen=True):
    """The objects that a permission is held for. `owners` are texts such as `team:research`."""

    is_everything: bool = False
    owners: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.is_everything or bool(self.owners)

    def names(self, level: str) -> list[str]:
        """Return the owners of a level by name."""
        return sorted(one.partition(":")[2] for one in self.owners if one.startswith(f"{level}:"))

    def by_level(self) -> dict[str, list[str]] | None:
        """Return the names of the owners by level, or `None` for everything."""
        return None if self.is_everything else {level: self.names(level) for level in LEVELS}

    def covers(self, key: str | None = None, team: str | None = None, customer: str | None = None) -> bool:
        """Return whether an object of these owners is in the scope."""
        if self.is_everything:
            return True
        named = ((KEY, key), (TEAM, team), (CUSTOMER, customer))
        return any(f"{level}:{name}" in self.owners for level, name in named if name)

    def contains(self, scope: str, owners: Owners) -> bool:
        """Return whether all objects of another scope are in this one."""
        if self.is_everything:
            return True
        level, _, name = scope.partition(":")
        if level == KEY:
            return self.covers(name, owners.team_of(name), owners.customer_of(KEY, name))
        if level == TEAM:
            return self.covers(None, name, owners.customer_of(TEAM, name))
        return scope in self.owners  # for everything, false


ALL = AccessScope(is_everything=True)
NOTHING = AccessScope()


class RoleGrant(Struct, frozen=True, order=True):
    """A role for a scope."""

    role: str
    scope: str = EVERYTHING


class Right(Struct, frozen=True):
    """Permissions for a scope."""

    permissions: frozenset[Permission]
    scope: str = EVERYTHING


class Rights(Struct, frozen=True):
    """The rights of a caller: the sum of all that was granted."""

    held: tuple[Right, ...] = ()

    def scope(self, permission: Permission) -> AccessScope:
        """Return the objects for which a permission is held."""
        if permission in IMPLIED:
            return ALL
        scopes = frozenset(one.scope for one in self.held if permission in one.permissions)
        return ALL if EVERYTHING in scopes else AccessScope(owners=scopes)

    def lacks(self, other: "Rights", owners: Owners) -> tuple[Permission, str] | None:
        """Return a permission with its scope that is in the other rights and not in these, or `None`: nobody may grant
        more than they hold."""
        for one in other.held:
            for permission in sorted(one.permissions):
                if not self.scope(permission).contains(one.scope, owners):
                    return permission, one.scope
        return None


OF_AN_OWNER = Rights((Right(ROLES[OWNER]),))


def rights_of(grants: Iterable[RoleGrant], roles: Mapping[str, frozenset[Permission]]) -> Rights:
    """Return the rights that some grants amount to. Roles that do not exist any more have no permissions."""
    return Rights(tuple(Right(roles.get(one.role, frozenset()), one.scope) for one in sorted(grants)))


def problem_with_scope(scope: str) -> str | None:
    """Return the reason why a text is no scope, or `None`."""
    level, colon, name = scope.partition(":")
    if scope == EVERYTHING or (colon and level in LEVELS and name and len(name) <= 200):
        return None
    return f"{scope[:100]!r} is no scope; write *, customer:NAME, team:NAME or virtual_key:NAME"
