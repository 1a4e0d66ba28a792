"""Memos that die with their owner."""

from pointsman.domain.kept import Kept


class Owner:
    pass


def test_each_owner_has_a_dict_that_goes_with_it() -> None:
    kept = Kept[str, int](10)
    one, other = Owner(), Owner()
    kept.of(one)["a"] = 1
    assert kept.of(one) == {"a": 1}
    assert kept.of(other) == {}
    del one
    assert list(kept._dicts) == [id(other)]


def test_a_dict_is_emptied_when_it_is_full() -> None:
    kept, owner = Kept[int, int](3), Owner()
    for number in range(10):
        kept.of(owner)[number] = number
        assert len(kept.of(owner)) <= 3
