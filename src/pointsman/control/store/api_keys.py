"""The table of virtual keys that were made by API: the rows that control writes, and the pages that admin reads."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from time import time
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import and_, delete, false, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.store.replies import Repeat, earlier_reply
from pointsman.control.store.tables import API_KEYS, Row

KeyState = Literal["active", "disabled", "expired"]
PAGE = 2000  # rows read at once
MEMBER = "member:"  # begins the author of a key that a member made

Writing = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_T = API_KEYS.c


class KeyQuery(Struct, frozen=True, kw_only=True):
    """The keys to list, in the order of their names: those after the name `after`. `text` is a part of the name, and
    `hint` the beginning of the value or of its SHA-256. `owners` are those of a caller that may see some keys only."""

    limit: int
    name: str | None = None
    after: str = ""
    text: str = ""
    hint: str = ""
    team: str | None = None
    customer: str | None = None
    parent: str | None = None
    author: str | None = None
    state: KeyState | None = None
    owners: Mapping[str, Collection[str]] | None = None

    def statement(self, now_unix_s: float) -> Any:
        """Return the query. It finds names first, whose index is small, and then reads these keys."""
        found = select(_T.name).where(*self._conditions(now_unix_s)).order_by(_T.name).limit(self.limit)
        return select(API_KEYS).where(_T.name.in_(found.scalar_subquery())).order_by(_T.name)

    def _conditions(self, now_unix_s: float) -> list[Any]:
        chosen: list[Any] = [_T.name > self.after] if self.after else []
        for column, value in (
            (_T.name, self.name),
            (_T.team, self.team),
            (_T.customer, self.customer),
            (_T.parent, self.parent),
            (_T.created_by, self.author),
        ):
            if value is not None:
                chosen.append(column == value)
        if self.text:
            chosen.append(func.lower(_T.name).contains(self.text.lower(), autoescape=True))
        if self.hint:
            prefix = self.hint.lower().removeprefix("sha256:")
            chosen.append(
                or_(_T.digest.startswith(prefix, autoescape=True), _T.hint.startswith(self.hint, autoescape=True))
            )
        is_over = and_(_T.expires_at.is_not(None), _T.expires_at <= now_unix_s)
        if self.state == "expired":
            chosen.append(is_over)
        elif self.state is not None:
            chosen.append(_T.is_enabled == int(self.state == "active"))
        if self.state == "active":
            chosen.append(or_(_T.expires_at.is_(None), _T.expires_at > now_unix_s))
        if self.owners is not None:
            columns = {"virtual_key": (_T.name, _T.parent), "team": (_T.team,), "customer": (_T.customer,)}
            seen = [
                column.in_(list(names)) for level, names in self.owners.items() for column in columns.get(level, ())
            ]
            chosen.append(or_(false(), *seen))
        return chosen


class ApiKeyTable:
    """The statements of the table. `writing` begins a transaction, and `rows` reads rows; both raise `StoreError`."""

    def __init__(self, writing: Writing, rows: Callable[[Any], Any]) -> None:
        self._writing = writing
        self._rows = rows
        self._last: int | None = None

    async def get(self, name: str) -> Row | None:
        """Return a key by its name."""
        found: list[Row] = await self._rows(select(API_KEYS).where(_T.name == name))
        return found[0] if found else None

    async def children(self, parent: str) -> list[Row]:
        """Return all children of a key."""
        found: list[Row] = await self._rows(select(API_KEYS).where(_T.parent == parent).order_by(_T.name))
        return found

    async def made_by(self, author: str) -> list[Row]:
        """Return all keys that one author made."""
        found: list[Row] = await self._rows(select(API_KEYS).where(_T.created_by == author).order_by(_T.name))
        return found

    async def of_members(self) -> list[Row]:
        """Return the enabled keys that members made for themselves."""
        are_theirs = (_T.created_by.startswith(MEMBER, autoescape=True), _T.is_enabled == 1)
        found: list[Row] = await self._rows(select(API_KEYS).where(*are_theirs).order_by(_T.name))
        return found

    async def extent(self, modulus: int) -> tuple[int, int]:
        """Return the number of keys, and the sum of the numbers of their last changes by this modulus."""
        total = func.coalesce(func.sum(_T.changed % modulus), 0)
        (row,) = await self._rows(select(func.count().label("count"), total.label("total")).select_from(API_KEYS))
        return int(row["count"]), int(row["total"])

    async def every(self) -> AsyncIterator[Row]:
        """Yield all keys, in the order of their names."""
        after = ""
        while rows := await self._rows(select(API_KEYS).where(_T.name > after).order_by(_T.name).limit(PAGE)):
            for row in rows:
                yield row
            after = rows[-1]["name"]

    async def taken(self, digest: str) -> str | None:
        """Return the name of the key that has this value or had it before."""
        query = select(_T.name).where(or_(_T.digest == digest, _T.previous_digest == digest)).limit(1)
        found: list[Row] = await self._rows(query)
        return found[0]["name"] if found else None

    async def reply(self, repeat: Repeat | None) -> str | None:
        """Return the reply to an earlier call. Raises `KeyReusedError`."""
        if repeat is None:
            return None
        async with self._writing() as connection:
            return await earlier_reply(connection, repeat)

    async def write(
        self,
        new: Sequence[Row],
        changed: Sequence[Row],
        gone: Sequence[str],
        connection: AsyncConnection | None = None,
    ) -> list[Row]:
        """Write new and changed keys and delete others, in the transaction of `connection` or in one of its own. Return
        the written rows, with the number of their change."""
        async with nullcontext(connection) if connection is not None else self._writing() as writing:
            if self._last is None:
                self._last = (await writing.execute(select(func.max(_T.changed)))).scalar() or 0
            first = max(self._last + 1, int(time() * 1e6))
            rows = [{**row, "changed": number} for number, row in enumerate((*new, *changed), first)]
            if new:
                await writing.execute(insert(API_KEYS), rows[: len(new)])
            for row in rows[len(new) :]:
                await writing.execute(update(API_KEYS).where(_T.name == row["name"]).values(**row))
            if gone:
                await writing.execute(delete(API_KEYS).where(_T.name.in_(list(gone))))
        self._last = first + len(rows)
        return rows

    async def move_teams(self, customers: Mapping[str, str]) -> None:
        """Note the present customer of each of these teams at its keys."""
        async with self._writing() as connection:
            for team, customer in customers.items():
                at = (_T.team == team, _T.customer != customer)
                await connection.execute(update(API_KEYS).where(*at).values(customer=customer))

    async def expiring(self, after_unix_s: float, before_unix_s: float, at_most: int) -> list[Row]:
        """Return the enabled keys that expire between these times, the first ones first. Children are left out: they
        last for a short time by their nature."""
        chosen = (_T.expires_at > after_unix_s, _T.expires_at <= before_unix_s, _T.is_enabled == 1, _T.parent == "")
        columns = (_T.name, _T.team, _T.customer, _T.expires_at)
        found: list[Row] = await self._rows(
            select(*columns).where(*chosen).order_by(_T.expires_at, _T.name).limit(at_most)
        )
        return found

    async def over(self, before_unix_s: float, at_most: int) -> list[str]:
        """Return the names of some children that expired before this time."""
        query = select(_T.name).where(_T.parent != "", _T.expires_at < before_unix_s).limit(at_most)
        return [row["name"] for row in await self._rows(query)]
