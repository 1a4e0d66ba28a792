"""One change of the access to the console: a transaction, with the checks that all changes share."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import time
from typing import Any

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.audit_log import AuditedChange
from pointsman.control.inquiries.access import AccessOutcome, Author
from pointsman.control.owners import ConfiguredOwners
from pointsman.control.parts import ControlParts
from pointsman.control.store.access_queries import GIVEN, AccessQueries
from pointsman.control.store.access_tables import GRANTS
from pointsman.control.store.database import StoreError
from pointsman.control.store.replies import KeyReusedError, Repeat, earlier_reply, keep_reply
from pointsman.control.store.tables import Row
from pointsman.domain.permissions import OF_OWNERS, OWNER, Permission
from pointsman.domain.rights import EVERYTHING, RoleGrant, problem_with_scope

MAX_GRANTS = 100  # of one user or token
MAX_NAME = 200

_logger = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 -- the end of a change that nobody is at fault for
    """Ends a change without an effect."""

    def __init__(self, outcome: AccessOutcome) -> None:
        super().__init__(outcome.problem)
        self.outcome = outcome


class AccessChange:
    """A transaction that is open. `author` wants it. `audited` is its part of the audit log, if it has one."""

    def __init__(
        self, connection: AsyncConnection, parts: ControlParts, author: Author, audited: AuditedChange | None = None
    ) -> None:
        self.connection = connection
        self.audited = audited
        self.parts = parts
        self.author = author
        self.owners = ConfiguredOwners(parts.configuration.current)
        self.queries = AccessQueries(self.rows)
        self.now = time()

    async def rows(self, query: Any) -> list[Row]:
        """Return the rows of a query."""
        return [dict(row) for row in (await self.connection.execute(query)).mappings()]

    async def execute(self, statement: Any) -> int:
        """Run a statement that writes. Return the number of rows."""
        return int((await self.connection.execute(statement)).rowcount)

    async def may_give(self, grants: Sequence[RoleGrant], field: str = "grants") -> None:
        """Raise `Refused` for roles and scopes that do not exist, and for more rights than the author's."""
        roles = await self.queries.roles()
        if len(set(grants)) > MAX_GRANTS:
            raise refusal("invalid", f"there are more than {MAX_GRANTS} roles", field)
        for one in grants:
            problem = problem_with_scope(one.scope)
            if one.role not in roles:
                problem = f"there is no role {one.role[:100]!r}; the roles are {', '.join(sorted(roles))}"
            elif one.role == OWNER and one.scope != EVERYTHING:
                problem = f"the role {OWNER} is for everything; remove the scope, or choose another role"
            if problem is not None:
                raise refusal("invalid", problem, field)
        await self.must_cover(grants)

    async def must_cover(self, grants: Sequence[RoleGrant]) -> None:
        """Raise `Refused` if these roles have rights that the author lacks. So nobody gives, takes or takes over what
        they do not hold."""
        missing = self.author.rights.lacks(await self.queries.rights(grants), self.owners)
        if missing is not None:
            permission, scope = missing
            place = "everything" if scope == EVERYTHING else scope
            message = f"this includes the permission {permission.value} for {place}, which you do not hold"
            raise refusal("forbidden", f"{message}; ask somebody who does")

    def must_hold(self, permissions: frozenset[Permission]) -> None:
        """Raise `Refused` for permissions that only owners have, or that the author does not hold for everything."""
        if only := sorted(permissions & OF_OWNERS):
            raise refusal("invalid", f"only the role {OWNER} can have {only[0].value}; remove it", "permissions")
        for permission in sorted(permissions):
            if not self.author.rights.scope(permission).is_everything:
                message = f"this includes the permission {permission.value}, which you do not hold for everything"
                raise refusal("forbidden", f"{message}; ask somebody who does")

    async def set_grants(self, holder: str, grants: Sequence[RoleGrant], source: str = GIVEN) -> None:
        """Replace the roles of a holder that have this source."""
        await self.execute(delete(GRANTS).where(GRANTS.c.holder == holder, GRANTS.c.source == source))
        rows = [{"holder": holder, "role": one.role, "scope": one.scope, "source": source} for one in set(grants)]
        if rows:
            await self.connection.execute(insert(GRANTS), rows)

    async def drop_grants(self, holder: str) -> None:
        """Delete all roles of a holder."""
        await self.execute(delete(GRANTS).where(GRANTS.c.holder == holder))

    async def exists(self, column: Any, value: str) -> bool:
        """Return whether a table has a row with this value."""
        return bool(await self.rows(select(column).where(column == value).limit(1)))


def refusal(code: Any, problem: str, field: str = "") -> Refused:
    return Refused(AccessOutcome(code, problem, field))


def check_name(name: str) -> None:
    """Raise `Refused` for a name that cannot be shown and written."""
    if not name or len(name) > MAX_NAME or name != name.strip() or not name.isprintable() or name in {".", ".."}:
        message = f"must have 1 to {MAX_NAME} printable characters, no spaces around it, and more than dots"
        raise refusal("invalid", message, "name")


async def change(
    parts: ControlParts,
    author: Author,
    make: Callable[[AccessChange], Awaitable[str]],
    repeat: Repeat | None = None,
    *,
    is_audited: bool = True,
) -> list[AccessOutcome]:
    """Make a change in one transaction, and return its only outcome. `make` returns the name of the object, or raises
    `Refused`. The same call again, by `repeat`, changes nothing."""
    try:
        async with _changing(parts, author, is_audited=is_audited) as one:
            if (earlier := await earlier_reply(one.connection, repeat)) is not None:
                return [AccessOutcome(name=earlier, is_replayed=True)]
            name = await make(one)
            await keep_reply(one.connection, repeat, name.encode())
            return [AccessOutcome(name=name)]
    except KeyReusedError as error:
        return [AccessOutcome("key_reused", str(error))]
    except Refused as refused:
        return [refused.outcome]
    except StoreError as error:
        return [AccessOutcome("unavailable", str(error))]


@asynccontextmanager
async def _changing(parts: ControlParts, author: Author, *, is_audited: bool) -> AsyncIterator[AccessChange]:
    store = parts.ingest.store
    if store is None:
        raise StoreError("the store is not open yet")
    if not is_audited:
        async with store.transaction() as connection:
            await _lock(connection)
            yield AccessChange(connection, parts, author)
        return
    async with parts.call.transaction(store) as audited:
        await _lock(audited.connection)
        yield AccessChange(audited.connection, parts, author, audited)


async def _lock(connection: AsyncConnection) -> None:
    """Make one change at a time: two owners who disable each other at once would both still find the other one."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"LOCK TABLE {GRANTS.name} IN SHARE ROW EXCLUSIVE MODE"))
