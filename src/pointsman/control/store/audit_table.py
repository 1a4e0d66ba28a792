"""The table of the audit log: rows are added in the transaction of a change, and never changed or deleted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text, and_, false, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.store.tables import METADATA, Row
from pointsman.domain.audit import AuditRecord, ChainEnd
from pointsman.domain.rights import ALL, AccessScope

AT_ONCE = 1000  # records read at once

_TEXTS = (
    "actor", "address", "request_id", "action", "kind", "name", "team", "customer", "outcome", "note", "changes",
    "configuration", "hash",
)  # fmt: skip

# `domain.audit.AuditRecord`.
AUDIT = Table(
    "audit",
    METADATA,
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    *(Column(name, Text, nullable=False) for name in _TEXTS),
    Index("audit_by_object", "kind", "name"),
    Index("audit_by_actor", "actor"),
)
_T = AUDIT.c


class AuditFilter(Struct, frozen=True, kw_only=True):
    """The records to list. `equal` are values of columns, and `before` and `after` numbers of records."""

    equal: dict[str, str] = {}
    since: float | None = None
    until: float | None = None
    before: int | None = None
    after: int | None = None
    scope: AccessScope = ALL

    def conditions(self) -> list[Any]:
        """Return the conditions of a query."""
        found: list[Any] = [_T[name] == value for name, value in self.equal.items()]
        if self.since is not None:
            found.append(_T.at >= self.since)
        if self.until is not None:
            found.append(_T.at < self.until)
        if self.before is not None:
            found.append(_T.number < self.before)
        if self.after is not None:
            found.append(_T.number > self.after)
        if not self.scope.is_everything:
            found.append(
                or_(
                    false(),
                    _T.team.in_(self.scope.names("team")),
                    _T.customer.in_(self.scope.names("customer")),
                    and_(_T.kind == "key", _T.name.in_(self.scope.names("virtual_key"))),
                )
            )
        return found


async def chain_end(connection: AsyncConnection) -> ChainEnd:
    """Return the end of the chain."""
    query = select(_T.number, _T.hash).order_by(_T.number.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return ChainEnd(int(row.number), row.hash) if row is not None else ChainEnd()


async def add_records(connection: AsyncConnection, records: Sequence[AuditRecord]) -> None:
    """Add records to the end."""
    await connection.execute(insert(AUDIT), [asdict(one) for one in records])


async def last_configuration(connection: AsyncConnection) -> str:
    """Return the digest of the configuration that the newest record with one has."""
    query = select(_T.configuration).where(_T.configuration != "").order_by(_T.number.desc()).limit(1)
    return (await connection.execute(query)).scalar() or ""


Rows = Callable[[Any], Awaitable[list[Row]]]


async def newest_records(rows: Rows, chosen: AuditFilter, limit: int) -> list[AuditRecord]:
    """Return records, the newest first."""
    query = select(AUDIT).where(*chosen.conditions()).order_by(_T.number.desc()).limit(limit)
    return [AuditRecord(**row) for row in await rows(query)]


async def every_record(rows: Rows, chosen: AuditFilter | None = None) -> AsyncIterator[AuditRecord]:
    """Yield records in the order of the chain."""
    conditions = chosen.conditions() if chosen is not None else []
    after = 0
    while True:
        query = select(AUDIT).where(*conditions, _T.number > after).order_by(_T.number).limit(AT_ONCE)
        found = await rows(query)
        for row in found:
            yield AuditRecord(**row)
        if len(found) < AT_ONCE:
            return
        after = found[-1]["number"]
