"""Memos that die with their owner."""

from pointsman.engine.memos import Memo


class Owner:
    pass


def test_each_owner_has_a_dict_that_goes_with_it() -> None:
    memo = Memo[str, int](10)
    one, other = Owner(), Owner()
    memo.of(one)["a"] = 1
    assert memo.of(one) == {"a": 1}
    assert memo.of(other) == {}
    del one
    assert list(memo._dicts) == [id(other)]


def test_a_dict_is_emptied_when_it_is_full() -> None:
    memo, owner = Memo[int, int](3), Owner()
    for number in range(10):
        memo.of(owner)[number] = number
        assert len(memo.of(owner)) <= 3
