"""The table of objects stored at providers, on SQLite and PostgreSQL."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pointsman.control.store.state import fold
from pointsman.control.store.store import Batch, Store
from pointsman.domain.state import GONE, MADE, SEEN, Change, Record, after
from unit.control.store.test_store import STORES, on_store


def owned(name: str = "file-1", owner: str = "team:red", at: float = 1.0, provider: str = "a") -> Record:
    return Record(id=name, kind="file", provider=provider, key="k", owner=owner, at=at)


async def written(store: Store, *changes: Change) -> list[Record]:
    await store.commit(Batch(state=list(changes)))
    return await store.state(["file-1", "file-2"])


@STORES
def test_changes_of_one_object_apply_in_order(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        red, blue = owned(), owned(owner="team:blue", at=2.0)
        assert await written(store, Change(MADE, red)) == [red]
        assert await written(store, Change(SEEN, blue)) == [red]
        used = owned(at=3.0)
        assert await written(store, Change(SEEN, used)) == [used]
        assert await written(store, Change(MADE, blue)) == [used]  # reported late: it was used since
        made = owned(owner="team:blue", at=4.0)
        assert await written(store, Change(MADE, made)) == [made]
        assert await written(store, Change(GONE, made)) == []
        assert await written(store, Change(SEEN, red), Change(GONE, red), Change(SEEN, blue)) == [blue]
        other = owned(provider="b")
        assert sorted(await written(store, Change(MADE, other)), key=lambda one: one.provider) == [blue, other]
        assert await store.state([]) == []
        assert len(await store.state([*(f"x{number}" for number in range(1000)), "file-1"])) == 2

    on_store(kind, tmp_path, check)


@STORES
def test_old_records_are_deleted(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.commit(Batch(state=[Change(MADE, owned(f"x{number}", at=float(number))) for number in range(10)]))
        assert await store.prune_state(6.0, at_most=4) == 4
        assert await store.prune_state(6.0) == 2
        assert await store.prune_state(6.0) == 0
        assert len(await store.state([f"x{number}" for number in range(10)])) == 4

    on_store(kind, tmp_path, check)


CHANGES = st.builds(
    Change,
    st.sampled_from([MADE, SEEN, GONE]),
    st.builds(owned, owner=st.sampled_from(["team:red", "team:blue"]), at=st.floats(1, 9)),
)


@given(st.lists(CHANGES))
def test_folded_changes_have_the_same_effect_as_single_ones(changes: list[Change]) -> None:
    known = None
    for change in changes:
        known = after(known, change)
    folded = fold(changes)
    rows = folded.made + folded.seen
    assert len(folded.gone) <= 1 >= len(rows)
    assert bool(folded.gone) == any(change.how == GONE for change in changes)
    if known is None:
        assert rows == []
    else:
        assert [(row["owner"], row["at"]) for row in rows] == [(known.owner, known.at)]
