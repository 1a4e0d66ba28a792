"""Reserve, settle and release over every counter at once, in windows that never reopen."""

import pytest

from fakes.money import limit
from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, Return, Share
from pointsman.domain.limits import Limit
from pointsman.money import ledger as module
from pointsman.money.ledger import Ledger, Reservation, Shortfall

NOW = 1_764_000_000.0  # the beginning of a minute
DAY = int(NOW // 86_400) * 86_400
USD = limit("usd", 1000)
TOKENS = limit("tokens", 500, "minute", level="team", name="t")
REQUESTS = limit("requests", 3, "minute", level="customer", name="c")
ATTEMPTS = limit("requests", 3, "minute", level="provider", name="p")
ALL = (USD, TOKENS, REQUESTS, ATTEMPTS)
HALF = Share(1, 2, 0.0)


def take(
    ledger: Ledger,
    attempt: str,
    nano: int = 100,
    tokens: int = 10,
    *,
    limits: tuple[Limit, ...] = ALL,
    ordinal: int = 1,
    now: float = NOW,
) -> Reservation:
    found = ledger.reserve(ledger.account(limits), attempt, nano, tokens, ordinal, now)
    assert isinstance(found, Reservation)
    return found


def refused(
    ledger: Ledger,
    nano: int = 100,
    tokens: int = 10,
    *,
    limits: tuple[Limit, ...] = ALL,
    ordinal: int = 1,
    now: float = NOW,
) -> list[Shortfall]:
    found = ledger.reserve(ledger.account(limits), "refused", nano, tokens, ordinal, now)
    assert isinstance(found, list)
    return found


def state(ledger: Ledger, limit: Limit) -> tuple[int, int, int]:
    """What is granted, reserved and settled in the present window."""
    window = ledger.account((limit,)).counters[0].window
    return window.granted, window.reserved, window.settled


def test_an_attempt_counts_in_every_limit_by_its_metric() -> None:
    ledger = Ledger()
    take(ledger, "a")
    assert [state(ledger, one) for one in ALL] == [(1000, 100, 0), (500, 10, 0), (3, 1, 0), (3, 1, 0)]
    ledger.settle("a", 60, 4)
    assert [state(ledger, one) for one in ALL] == [(1000, 0, 60), (500, 0, 4), (3, 0, 1), (3, 0, 1)]
    assert (ledger.open_attempts, ledger.overruns) == (0, 0)


def test_a_request_is_counted_once_and_at_providers_each_attempt() -> None:
    ledger = Ledger()
    for ordinal in (1, 2, 3):
        take(ledger, f"a{ordinal}", ordinal=ordinal)
    assert (state(ledger, REQUESTS), state(ledger, ATTEMPTS)) == ((3, 1, 0), (3, 3, 0))
    (short,) = refused(ledger, ordinal=4)
    assert short.limit is ATTEMPTS


def test_all_or_none() -> None:
    ledger = Ledger()
    take(ledger, "a", 100, 400)
    before = [state(ledger, one) for one in ALL]
    shorts = refused(ledger, 950, 150)
    assert shorts == [
        Shortfall(
            limit=USD, window=DAY, ends_at=DAY + 86_400, amount=950, available=900, reserved=100, more=50, opened=1000
        ),
        Shortfall(
            limit=TOKENS,
            window=int(NOW),
            ends_at=int(NOW) + 60,
            amount=150,
            available=100,
            reserved=400,
            more=50,
            opened=500,
        ),
    ]
    assert [state(ledger, one) for one in ALL] == before
    assert ledger.open_attempts == 1
    take(ledger, "b", 900, 100)  # what fits exactly fits


def test_every_step_is_idempotent_by_attempt() -> None:
    ledger = Ledger()
    first = take(ledger, "a")
    assert take(ledger, "a", 999) is first
    assert state(ledger, USD) == (1000, 100, 0)
    assert ledger.settle("a", 60, 4) is first
    assert ledger.settle("a", 60, 4) is None
    ledger.release("a")
    ledger.release("never was")
    assert state(ledger, USD) == (1000, 0, 60)


def test_a_release_leaves_nothing_behind() -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.release("a")
    assert [state(ledger, one)[1:] for one in ALL] == [(0, 0)] * 4
    assert ledger.settle("a", 1, 1) is None


def test_what_is_free_costs_nothing_even_where_nothing_is_left() -> None:
    ledger = Ledger()
    take(ledger, "a", 1000, 10, limits=(USD,))
    take(ledger, "b", 0, 0, limits=(USD,))


def test_a_soft_limit_counts_and_refuses_nothing() -> None:
    soft = limit("usd", 100, soft=True)
    ledger = Ledger()
    take(ledger, "a", 5000, limits=(soft,))
    ledger.settle("a", 4000, 0)
    assert state(ledger, soft) == (100, 0, 4000)


@pytest.mark.parametrize(("nano", "tokens"), [(101, 1), (1, 11), (1000, 1000)])
def test_an_overrun_is_charged_and_counted(nano: int, tokens: int) -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.settle("a", nano, tokens)
    assert ledger.overruns == 1
    assert state(ledger, USD) == (1000, 0, nano)


# Windows.


def test_a_settlement_goes_to_the_window_of_its_reservation() -> None:
    ledger = Ledger()
    take(ledger, "a", tokens=400, limits=(TOKENS,))
    take(ledger, "b", tokens=500, limits=(TOKENS,), now=NOW + 60)  # a new window has the whole again
    assert ledger.holdings() == [
        Holding(TOKENS.counter, int(NOW) + 60, 500, 500),
        Holding(TOKENS.counter, int(NOW), 500, 500),
    ]
    ledger.settle("a", 0, 300)
    assert state(ledger, TOKENS) == (500, 500, 0)
    assert ledger.holdings() == [Holding(TOKENS.counter, int(NOW) + 60, 500, 500)], "the old one is done with"


@pytest.mark.parametrize("back", [0.001, 61.0, 3600.0, 1e9])
def test_a_clock_that_was_set_back_opens_no_window_again(back: float) -> None:
    ledger = Ledger()
    take(ledger, "a", tokens=500, limits=(TOKENS,), now=NOW + 60)
    (short,) = refused(ledger, tokens=1, limits=(TOKENS,), now=NOW + 60 - back)
    assert short.window == int(NOW) + 60
    ledger.settle("a", 0, 499)
    found = take(ledger, "b", tokens=1, limits=(TOKENS,), now=NOW - back)
    assert found.at == NOW + 60, "and the journal says the same"


def test_a_clock_that_was_set_forward_skips_windows() -> None:
    ledger = Ledger()
    take(ledger, "a", tokens=500, limits=(TOKENS,))
    take(ledger, "b", tokens=500, limits=(TOKENS,), now=NOW + 1e9)
    ledger.settle("a", 0, 1)
    ledger.settle("b", 0, 1)
    assert state(ledger, TOKENS) == (500, 0, 1)


# Leases.


def test_windows_open_with_the_share() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 500, limits=(USD,))
    (short,) = refused(ledger, 1, limits=(USD,))
    assert (short.more, short.opened) == (1, 500)
    assert short.want() == LeaseRequest(USD.counter, DAY, 1, 500)
    assert refused(Ledger(NO_SHARE), limits=(USD,))[0].opened == 0
    assert refused(Ledger(Share(1, 2, NOW)), limits=(USD,))[0].available == 0, "this day began before the share"


def test_grants_add_up_and_those_for_other_windows_change_nothing() -> None:
    ledger = Ledger(NO_SHARE)
    refused(ledger, limits=(TOKENS,))
    ledger.granted([Grant(TOKENS.counter, int(NOW), 300, 0, 0), Grant(TOKENS.counter, int(NOW), 100, 0, 0)])
    ledger.granted([Grant(TOKENS.counter, int(NOW) - 60, 100, 0, 0), Grant("unknown", int(NOW), 100, 0, 0)])
    assert state(ledger, TOKENS) == (400, 0, 0)


def test_a_recall_gives_back_what_is_idle() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.settle("a", 70, 0)
    take(ledger, "b", 130, limits=(USD,))
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 300, 500)]
    assert state(ledger, USD) == (200, 130, 70)
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 0, 500)]
    assert refused(ledger, 1, limits=(USD,))


def test_a_window_that_was_recalled_before_it_was_opened_opens_with_nothing() -> None:
    ledger = Ledger(HALF)
    assert ledger.recall([(TOKENS.counter, int(NOW))]) == [Return(TOKENS.counter, int(NOW), 0, 0)]
    assert ledger.holdings() == [Holding(TOKENS.counter, int(NOW), 0, 0)]
    assert refused(ledger, limits=(TOKENS,))[0].opened == 0
    take(ledger, "a", limits=(TOKENS,), now=NOW + 60)


def test_a_window_that_was_recalled_is_told_once_whatever_it_opened_with() -> None:
    """Told twice, once with nothing, control would take what was granted since for free."""
    ledger = Ledger(NO_SHARE)
    ledger.recall([(USD.counter, DAY)])
    refused(ledger, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.holdings() == [Holding(USD.counter, DAY, 300, 0)]


def test_a_window_that_is_over_is_not_said_to_be_unopened() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    ledger.settle("a", 1, 5)
    take(ledger, "b", limits=(TOKENS,), now=NOW + 60)
    assert ledger.recall([(TOKENS.counter, int(NOW))]) == []


def test_recalled_windows_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAIVED", 5)
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    names = [limit(name=f"k{number}") for number in range(20)]
    ledger.recall([(one.counter, DAY) for one in names])
    assert len(ledger._waived) <= 5
    for one in names:
        assert refused(ledger, limits=(one,)), "and none of them opens with its share all the same"


# Changes of the configuration.


def changed(*limits: Limit) -> dict[str, Limit]:
    return {one.counter: one for one in limits}


def test_editing_a_limit_keeps_what_was_spent() -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.settle("a", 60, 4)
    raised = limit("usd", 2000)
    assert ledger.reconfigure(changed(raised), NOW) == []
    assert state(ledger, raised) == (2000, 0, 60)
    ledger.reconfigure(changed(limit("usd", 50)), NOW)
    assert refused(ledger, 1, limits=(limit("usd", 50),))[0].available == -10


def test_what_is_idle_of_a_lowered_limit_is_given_back_at_once() -> None:
    """Else a worker that holds the whole of a month's budget would go on spending it."""
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY, 500, 0, 0)])
    lowered = limit("usd", 200)
    assert ledger.reconfigure(changed(lowered), NOW) == [Return(USD.counter, DAY, 900, 500)]
    assert refused(ledger, 1, limits=(lowered,))[0].available == 0
    ledger.settle("a", 100, 0)


def test_a_raise_is_not_taken_before_control_has_granted_it() -> None:
    """Control takes a window that is not open here to open with the share of the limit before."""
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    raised = limit("usd", 100_000)
    ledger.reconfigure(changed(raised, TOKENS), NOW)
    (short,) = refused(ledger, 1, limits=(raised,))
    assert (short.available, short.opened) == (0, 0)
    assert ledger.share == Share(1, 2, NOW), "and control learns of it when the line is made again"
    take(ledger, "b", 50_000, limits=(raised,), now=NOW + 86_400)


def test_a_limit_may_become_soft_and_hard_again() -> None:
    ledger = Ledger()
    soft = limit("usd", 1000, soft=True)
    take(ledger, "a", 1000, limits=(USD,))
    ledger.reconfigure(changed(soft), NOW)
    take(ledger, "b", 500, limits=(soft,))
    ledger.reconfigure(changed(USD), NOW)
    assert refused(ledger, 1, limits=(USD,))


def test_requests_of_before_do_not_bring_the_old_limit_back() -> None:
    ledger = Ledger()
    take(ledger, "a", 10, limits=(USD,))
    lowered = limit("usd", 50)
    ledger.reconfigure(changed(lowered), NOW)
    assert refused(ledger, 500, limits=(USD,))[0].limit is lowered


def test_a_limit_that_is_gone_is_forgotten_once_its_window_is_over() -> None:
    ledger = Ledger()
    take(ledger, "a", limits=(USD,))
    ledger.reconfigure({}, NOW + 86_400)
    assert ledger.holdings() == [Holding(USD.counter, DAY, 1000, 1000)], "something is reserved"
    ledger.settle("a", 50, 5)
    assert ledger.holdings() == []


def test_a_limit_that_comes_back_goes_on_where_it_was() -> None:
    """Else its lease would be told anew, and what was spent of it before be counted against that of others."""
    ledger = Ledger(HALF)
    take(ledger, "a", 400, limits=(USD,))
    ledger.settle("a", 400, 0)
    ledger.reconfigure({}, NOW)
    back = limit("usd", 1000)
    ledger.reconfigure(changed(back), NOW)
    (short,) = refused(ledger, 101, limits=(back,))
    assert (short.available, short.opened) == (100, 500)


def test_another_zone_means_other_windows() -> None:
    from zoneinfo import ZoneInfo

    from msgspec.structs import replace

    ledger = Ledger()
    take(ledger, "a", 1000, limits=(USD,))
    moved = replace(USD, period=replace(USD.period, zone=ZoneInfo("Asia/Kathmandu")))
    ledger.reconfigure(changed(moved), NOW)
    found = take(ledger, "b", 1000, limits=(moved,))
    assert moved.period.window(NOW)[0] == found.windows[0].start != DAY


def test_handles_are_shared_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTER_SETS", 10)
    ledger = Ledger()
    assert ledger.account((USD, TOKENS)) is ledger.account((USD, TOKENS))
    for number in range(50):
        take(ledger, str(number), 10, 0, limits=(USD, limit(name=f"k{number}")))
    assert len(ledger._counter_sets) <= 10
    assert state(ledger, USD) == (1000, 500, 0), "counters are one, however often their handles are made"


# What control lends before it is asked.


def test_what_is_lent_ahead_is_there_when_its_window_opens() -> None:
    ledger = Ledger(NO_SHARE)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0), Grant(USD.counter, DAY, 50, 0, 0)])
    assert ledger.holdings() == [Holding(USD.counter, DAY, 350)]
    take(ledger, "a", 340, limits=(USD,))
    assert state(ledger, USD) == (350, 340, 0)
    assert ledger.holdings() == [Holding(USD.counter, DAY, 350)], "opened with nothing of its own"
    (short,) = refused(ledger, 100, limits=(USD,))
    assert (short.more, short.opened) == (90, 0)


def test_what_is_lent_ahead_waits_for_its_window() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY - 86_400, 7, 0, 0), Grant(USD.counter, DAY + 86_400, 8, 0, 0)])
    take(ledger, "b", 508, limits=(USD,), now=NOW + 86_400)
    assert state(ledger, USD) == (508, 508, 0), "with its share"


def test_what_is_lent_ahead_is_given_back_when_it_is_recalled() -> None:
    ledger = Ledger(NO_SHARE)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 300)]
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 0)]
    refused(ledger, 1, limits=(USD,))


@pytest.mark.parametrize(("amount", "is_kept"), [(1000, True), (2000, True), (999, False), (None, False)])
def test_what_is_lent_ahead_of_a_limit_that_is_lowered_or_gone_is_given_back(amount: int | None, is_kept: bool) -> None:
    ledger = Ledger(NO_SHARE)
    ledger.reconfigure({USD.counter: USD}, NOW)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    limits = {} if amount is None else {USD.counter: limit("usd", amount)}
    assert ledger.reconfigure(limits, NOW) == ([] if is_kept else [Return(USD.counter, DAY, 300)])
    assert ledger.holdings() == ([Holding(USD.counter, DAY, 300)] if is_kept else [])


def test_what_is_lent_ahead_is_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AHEAD", 3)
    ledger = Ledger(NO_SHARE)
    names = [f"virtual_key:{number}|usd|day" for number in range(5)]
    returned = ledger.granted([Grant(name, DAY, 1, 0, 0) for name in names])
    assert [one.counter for one in ledger.holdings()] == names[:3]
    assert returned == [Return(name, DAY, 1) for name in names[3:]], "else it would be held by nobody, and lent to none"
    assert ledger.granted([Grant(names[0], DAY, 1, 0, 0)]) == []


def test_the_present_windows_are_told_without_taking_anything() -> None:
    ledger = Ledger()
    account = ledger.account((USD, REQUESTS))
    take(ledger, "a", limits=(USD, REQUESTS))
    assert [window.free for window in ledger.present(account, NOW)] == [900, 2]
    assert [window.free for window in ledger.present(account, NOW + 60)] == [900, 3]
    assert [window.start for window in ledger.present(account, NOW)] == [DAY, NOW + 60], "windows never reopen"
