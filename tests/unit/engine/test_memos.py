"""Memos are freed with their owners."""

from pointsman.engine.memos import Memo


class Owner:
    pass


def test_dict_of_an_owner_is_freed_with_it() -> None:
    memo = Memo[str, int](10)
    one, other = Owner(), Owner()
    memo.of(one)["a"] = 1
    assert memo.of(one) == {"a": 1}
    assert memo.of(other) == {}
    del one
    assert list(memo._dicts) == [id(other)]


def test_full_dict_is_emptied() -> None:
    memo, owner = Memo[int, int](3), Owner()
    for number in range(10):
        memo.of(owner)[number] = number
        assert len(memo.of(owner)) <= 3
