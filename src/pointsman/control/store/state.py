"""The table of objects that providers store: changes in, records out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import and_, bindparam, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.statements import Statement
from pointsman.control.store.tables import STATE
from pointsman.domain.state import GONE, MADE, Change, Record, after


class Folded(Struct):
    """The net effect of many changes, once for each object: first deleted ones, then created ones, then used ones."""

    gone: list[dict[str, Any]]
    made: list[dict[str, Any]]
    seen: list[dict[str, Any]]


class _Effect(Struct):
    is_gone: bool = False
    is_made: bool = False
    record: Record | None = None


def fold(changes: Iterable[Change]) -> Folded:
    """Reduce changes to at most one of each kind for each object, so that the store writes a row only once."""
    effects: dict[tuple[str, str], _Effect] = {}
    for change in changes:
        effect = effects.setdefault((change.record.id, change.record.provider), _Effect())
        if change.how == GONE:
            effect.is_gone, effect.is_made = True, False
        elif change.how == MADE:
            effect.is_made = True
        effect.record = after(effect.record, change)
    kept = [(effect.is_made, _row(effect.record)) for effect in effects.values() if effect.record is not None]
    return Folded(
        [{"id": name, "provider": provider} for (name, provider), effect in effects.items() if effect.is_gone],
        [row for is_made, row in kept if is_made],
        [row for is_made, row in kept if not is_made],
    )


class StateTable:
    """The statements of the table."""

    def __init__(self, engine: AsyncEngine, insert: Callable[[Any], Any]) -> None:
        made, seen = insert(STATE), insert(STATE)
        newer = made.excluded.at >= STATE.c.at
        changes = {name: made.excluded[name] for name in ("kind", "provider_key", "owner", "at", "note")}
        keys = list(STATE.primary_key)
        self._made = Statement(engine, made.on_conflict_do_update(index_elements=keys, set_=changes, where=newer))
        used = and_(seen.excluded.owner == STATE.c.owner, seen.excluded.at > STATE.c.at)
        renewed = {"at": seen.excluded.at}
        self._seen = Statement(engine, seen.on_conflict_do_update(index_elements=keys, set_=renewed, where=used))
        gone = delete(STATE).where(STATE.c.id == bindparam("id"), STATE.c.provider == bindparam("provider"))
        self._gone = Statement(engine, gone)

    async def write(self, connection: AsyncConnection, changes: Sequence[Change]) -> None:
        if not changes:
            return
        folded = fold(changes)
        await self._gone.run(connection, folded.gone)
        await self._made.run(connection, folded.made)
        await self._seen.run(connection, folded.seen)

    @staticmethod
    def query(ids: Sequence[str]) -> Any:
        """Select rows with the fields of `Record`."""
        columns = [one.label("key") if one is STATE.c.provider_key else one for one in STATE.columns]
        return select(*columns).where(STATE.c.id.in_(ids))

    @staticmethod
    def expired(older_than: float, at_most: int) -> Any:
        """Delete at most this many objects that were not used since."""
        old = select(STATE.c.id, STATE.c.provider).where(STATE.c.at < older_than).limit(at_most)
        return delete(STATE).where(tuple_(STATE.c.id, STATE.c.provider).in_(old))


def _row(record: Record) -> dict[str, Any]:
    return {**asdict(record), "provider_key": record.key}
