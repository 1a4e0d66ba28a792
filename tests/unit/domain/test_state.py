"""The record of a stored object after a change."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman.domain.state import EVERYBODY, GONE, MADE, SEEN, Change, Record, after, owner_of

OWNERS = ("team:red", "team:blue", EVERYBODY)


def record(owner: str = "team:red", at: float = 1.0) -> Record:
    return Record(id="file-1", kind="file", provider="a", key="one", owner=owner, at=at)


def test_object_belongs_to_team_or_else_to_key() -> None:
    assert owner_of("k", "red") == "team:red"
    assert owner_of("k", None) == "virtual_key:k"
    assert owner_of(None, None) == EVERYBODY


def test_seen_object_keeps_its_owner() -> None:
    known = record()
    assert after(None, Change(SEEN, known)) is known
    assert after(known, Change(SEEN, record("team:blue", 2.0))) is known
    later = record(at=2.0)
    assert after(known, Change(SEEN, later)) == later
    noted = replace(known, note="3 lines")
    assert after(noted, Change(SEEN, later)) == replace(later, note="3 lines"), "a use says nothing of the contents"
    assert after(later, Change(SEEN, known)) is later


def test_made_object_replaces_earlier_one_of_same_id() -> None:
    other = record("team:blue", 2.0)
    assert after(record(), Change(MADE, other)) is other
    assert after(other, Change(MADE, record())) is other  # the older change arrived late


def test_deleted_object_has_no_owner() -> None:
    assert after(record(), Change(GONE, record())) is None


@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.floats(0, 9)), min_size=1))
def test_seen_object_does_not_change_owner(seen: list[tuple[str, float]]) -> None:
    known = None
    for owner, at in seen:
        known = after(known, Change(SEEN, record(owner, at)))
    assert known is not None
    assert known.owner == seen[0][0]
    assert known.at == max(at for owner, at in seen if owner == known.owner)
