"""The reservation of an attempt, or the reason that nothing bounds it."""

from msgspec.structs import replace

from fakes.batches import MOST, WORK
from fakes.money import make_call, terms
from pointsman.domain.verdicts import Reason
from pointsman.money.bounds import bound_of, bound_of_batch
from pointsman.money.pricing import upper_bound


def test_plain_call_reserves_its_upper_bound() -> None:
    call = make_call(max_tokens=10)
    found = bound_of(terms(), call)
    assert not isinstance(found, Reason)
    assert (found.nano, found.tokens) == upper_bound(terms(), call)


def test_batch_reserves_the_sum_of_its_lines() -> None:
    call = replace(make_call(), batch=WORK)
    for strict in (False, True):
        found = bound_of_batch(call, "a", has_budget=strict, denies_unknown=strict, is_bounded=strict)
        assert found == MOST


def test_batch_without_a_price_or_a_maximum_is_rejected_under_a_budget() -> None:
    unpriced = replace(WORK, models=tuple(replace(one, price=None) for one in WORK.models))
    for work, words in (
        (unpriced, "the price of a/gpt-4o is unknown"),
        (replace(WORK, is_bounded=False), "no maximum"),
    ):
        call = replace(make_call(), batch=work)
        found = bound_of_batch(call, "a", has_budget=True, denies_unknown=False, is_bounded=True)
        assert isinstance(found, Reason)
        assert words in found.message
        assert not isinstance(
            bound_of_batch(call, "a", has_budget=False, denies_unknown=False, is_bounded=False), Reason
        )
