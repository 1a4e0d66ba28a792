"""Queries for users, roles, service tokens and sessions. Control runs them in its transactions, and admin on its own
connections."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import func, select

from pointsman.control.store.access_tables import CONSOLE_SESSIONS, GRANTS, ROLES, SERVICE_TOKENS, USERS
from pointsman.control.store.tables import Row
from pointsman.domain.permissions import OWNER, Permission
from pointsman.domain.permissions import ROLES as BUILT_IN
from pointsman.domain.rights import EVERYTHING, Rights, RoleGrant, rights_of
from pointsman.domain.users import LOCAL, ConsoleSession, ServiceToken, User, token_holder, user_holder

GIVEN, MAPPED = "given", "groups"  # the sources of grants
AT_ONCE = 300  # holders in one query
_KNOWN = {one.value for one in Permission}
_TOKEN = tuple(column for column in SERVICE_TOKENS.columns if column.name != "digest")


class CustomRole(Struct, frozen=True):
    """A role that is not built in."""

    name: str
    permissions: frozenset[Permission]
    note: str = ""


class AccessQueries:
    """Queries. `rows` runs one and returns its rows; all raise what it raises."""

    def __init__(self, rows: Callable[[Any], Awaitable[list[Row]]]) -> None:
        self._rows = rows

    async def custom_roles(self) -> list[CustomRole]:
        """Return the roles that are not built in, by name."""
        rows = await self._rows(select(ROLES).order_by(ROLES.c.name))
        return [CustomRole(row["name"], _permissions(row["permissions"]), row["note"]) for row in rows]

    async def roles(self) -> dict[str, frozenset[Permission]]:
        """Return all roles by name."""
        return {**{one.name: one.permissions for one in await self.custom_roles()}, **BUILT_IN}

    async def users(self, after: str, limit: int, name: str | None = None) -> list[User]:
        """Return users whose id comes after this one, in the order of ids; with a `name`, only those with this name."""
        query = select(USERS).where(USERS.c.id > after).order_by(USERS.c.id).limit(limit)
        if name is not None:
            query = query.where(USERS.c.name == name)
        return await self._with_grants(await self._rows(query))

    async def user(self, id_: str) -> User | None:
        return await self._one(select(USERS).where(USERS.c.id == id_))

    async def user_of(self, issuer: str, subject: str) -> User | None:
        """Return the user with this identity."""
        return await self._one(select(USERS).where(USERS.c.issuer == issuer, USERS.c.subject == subject))

    async def local_users(self) -> int:
        """Return the number of users who have a password here."""
        query = select(func.count().label("count")).select_from(USERS).where(USERS.c.issuer == LOCAL)
        return int((await self._rows(query))[0]["count"])

    async def owners(self) -> set[str]:
        """Return the ids of the owners who can log in."""
        holder = func.substr(GRANTS.c.holder, len(user_holder("")) + 1)
        query = select(USERS.c.id).join(GRANTS, holder == USERS.c.id)
        query = query.where(GRANTS.c.role == OWNER, GRANTS.c.scope == EVERYTHING, USERS.c.is_disabled == 0)
        return {row["id"] for row in await self._rows(query.where(GRANTS.c.holder.like("user:%")))}

    async def holders(self, role: str) -> int:
        """Return the number of grants of a role."""
        query = select(func.count().label("count")).select_from(GRANTS).where(GRANTS.c.role == role)
        return int((await self._rows(query))[0]["count"])

    async def tokens(self) -> list[ServiceToken]:
        """Return all service tokens, by name."""
        return await self._tokens(select(*_TOKEN).order_by(SERVICE_TOKENS.c.name))

    async def token(self, name: str) -> ServiceToken | None:
        found = await self._tokens(select(*_TOKEN).where(SERVICE_TOKENS.c.name == name))
        return found[0] if found else None

    async def token_of(self, digest: str) -> ServiceToken | None:
        """Return the service token with this digest, even if it has expired."""
        found = await self._tokens(select(*_TOKEN).where(SERVICE_TOKENS.c.digest == digest))
        return found[0] if found else None

    async def session(self, digest: str) -> ConsoleSession | None:
        """Return the session with this digest, even if it is over."""
        rows = await self._rows(select(CONSOLE_SESSIONS).where(CONSOLE_SESSIONS.c.digest == digest))
        return ConsoleSession(**rows[0]) if rows else None

    async def sessions(self, user_id: str) -> list[ConsoleSession]:
        """Return the sessions of a user, the newest first."""
        query = select(CONSOLE_SESSIONS).where(CONSOLE_SESSIONS.c.user_id == user_id)
        rows = await self._rows(query.order_by(CONSOLE_SESSIONS.c.made_at.desc()))
        return [ConsoleSession(**row) for row in rows]

    async def rights(self, grants: Collection[RoleGrant]) -> Rights:
        """Return the rights that some grants amount to now."""
        if all(one.role in BUILT_IN for one in grants):
            return rights_of(grants, BUILT_IN)
        return rights_of(grants, await self.roles())

    async def _one(self, query: Any) -> User | None:
        found = await self._with_grants(await self._rows(query))
        return found[0] if found else None

    async def _with_grants(self, rows: list[Row]) -> list[User]:
        granted = await self._grants([user_holder(row["id"]) for row in rows], GIVEN)
        mapped = await self._grants([user_holder(row["id"]) for row in rows if row["issuer"] != LOCAL], MAPPED)
        return [
            User(
                **{**row, "is_disabled": bool(row["is_disabled"])},
                granted=granted.get(user_holder(row["id"]), ()),
                mapped=mapped.get(user_holder(row["id"]), ()),
            )
            for row in rows
        ]

    async def _tokens(self, query: Any) -> list[ServiceToken]:
        rows = await self._rows(query)
        granted = await self._grants([token_holder(row["name"]) for row in rows], GIVEN)
        return [ServiceToken(**row, grants=granted.get(token_holder(row["name"]), ())) for row in rows]

    async def _grants(self, holders: Sequence[str], source: str) -> dict[str, tuple[RoleGrant, ...]]:
        found: dict[str, tuple[RoleGrant, ...]] = {}
        for first in range(0, len(holders), AT_ONCE):
            some = GRANTS.c.holder.in_(holders[first : first + AT_ONCE])
            query = select(GRANTS).where(some, GRANTS.c.source == source).order_by(GRANTS.c.role, GRANTS.c.scope)
            for row in await self._rows(query):
                found[row["holder"]] = (*found.get(row["holder"], ()), RoleGrant(row["role"], row["scope"]))
        return found


def _permissions(text: str) -> frozenset[Permission]:
    """Read permissions; those that this version does not know are left out."""
    return frozenset(Permission(name) for name in text.split() if name in _KNOWN)


def permissions_text(permissions: Iterable[Permission]) -> str:
    """Write permissions as the table has them."""
    return " ".join(sorted(permissions))
