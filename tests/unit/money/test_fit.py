"""A shorter answer that limits have room for, or the reason to reject: a pure decision."""

import pytest

from fakes.money import limit, make_call, terms
from pointsman.domain.leases import Grant
from pointsman.domain.limits import Limit
from pointsman.money.fit import MIN_OUTPUT, DoesNotFit, KnownShortfall, ShortenedCall, fit
from pointsman.money.ledger import Shortfall

PROMPT = 512 + 100  # tokens, of `asking`
TOKENS = limit("tokens", 10_000)


def shortfall(
    available: int, last_grant: Grant | None = None, *, is_fresh: bool = True, of: Limit = TOKENS
) -> KnownShortfall:
    found = Shortfall(limit=of, window=0, ends_at=900, amount=PROMPT + 100, available=available, reserved=7, more=50)
    return KnownShortfall(found, last_grant, is_fresh)


def decided(
    *shortfalls: KnownShortfall, may_shorten: bool = True, accepts_shorter: bool = True
) -> ShortenedCall | DoesNotFit:
    call = make_call(max_tokens=100)
    return fit(terms(), call, shortfalls, may_shorten=may_shorten, accepts_shorter=accepts_shorter, ahead_s=800.0)


def grant(remaining: int, leased_elsewhere: int = 0) -> Grant:
    return Grant(TOKENS.counter, 0, 0, remaining, leased_elsewhere)


def test_answer_is_as_long_as_the_tightest_limit_allows() -> None:
    found = decided(shortfall(PROMPT + 60), shortfall(PROMPT + 30))
    assert isinstance(found, ShortenedCall)
    assert found.call.max_tokens == 30


@pytest.mark.parametrize("is_fresh", [True, False])
def test_amount_at_control_counts_while_it_is_fresh(is_fresh: bool) -> None:
    found = decided(shortfall(PROMPT + 30, grant(20), is_fresh=is_fresh))
    assert isinstance(found, ShortenedCall)
    assert found.call.max_tokens == (50 if is_fresh else 30)


def test_answer_is_no_shorter_than_its_reasoning() -> None:
    call = make_call(max_tokens=100, fields={"thinking": {"type": "enabled", "budget_tokens": 40}})
    for room, expected in ((40 + MIN_OUTPUT, 40 + MIN_OUTPUT), (40 + MIN_OUTPUT - 1, None)):
        near = shortfall(PROMPT + room)
        found = fit(terms(), call, [near], may_shorten=True, accepts_shorter=True, ahead_s=0.0)
        assert (found.call.max_tokens if isinstance(found, ShortenedCall) else None) == expected


def test_rejection_reports_if_a_shorter_answer_would_fit() -> None:
    for may_shorten, available, would_fit in ((True, PROMPT + 30, True), (False, PROMPT + 30, False), (True, 0, False)):
        found = decided(shortfall(available), may_shorten=may_shorten, accepts_shorter=False)
        assert isinstance(found, DoesNotFit)
        assert (found.fits_if_shortened, found.reason.until) == (would_fit, 100.0)


def test_room_may_come_free_from_attempts_and_from_other_workers() -> None:
    for last_grant, may_fit in ((None, False), (grant(40, 53), True), (grant(40, 52), False)):
        found = decided(shortfall(PROMPT, last_grant, is_fresh=False), accepts_shorter=False)
        assert isinstance(found, DoesNotFit)
        assert found.may_fit is may_fit


def test_limit_is_spent_if_control_and_other_workers_have_too_little() -> None:
    assert shortfall(0, grant(49)).is_spent
    assert not shortfall(0, grant(50)).is_spent
    assert not shortfall(0, grant(49, 1)).is_spent
    assert not shortfall(0, grant(49), is_fresh=False).is_spent
    assert not shortfall(0).is_spent
