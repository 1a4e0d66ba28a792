"""Reserve, settle and release over every counter at once, in windows that never reopen."""

import pytest
from msgspec.structs import replace

from fakes.money import limit
from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, Return, Share
from pointsman.domain.limits import Limit, Period
from pointsman.money import ledger as module
from pointsman.money import waived
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
    attempt_id: str,
    nano: int = 100,
    tokens: int = 10,
    *,
    limits: tuple[Limit, ...] = ALL,
    ordinal: int = 1,
    now: float = NOW,
) -> Reservation:
    found = ledger.reserve(ledger.account(limits), attempt_id, nano, tokens, ordinal, now)
    assert isinstance(found, Reservation)
    return found


def shortfalls_of(
    ledger: Ledger,
    nano: int = 100,
    tokens: int = 10,
    *,
    limits: tuple[Limit, ...] = ALL,
    ordinal: int = 1,
    now: float = NOW,
) -> list[Shortfall]:
    found = ledger.reserve(ledger.account(limits), "rejected", nano, tokens, ordinal, now)
    assert isinstance(found, list)
    return found


def state(ledger: Ledger, limit: Limit) -> tuple[int, int, int]:
    """Return the granted, reserved and settled amounts of the present window."""
    window = ledger.account((limit,)).counters[0].window
    return window.granted, window.reserved, window.settled


def test_attempt_counts_in_every_limit_by_its_metric() -> None:
    ledger = Ledger()
    take(ledger, "a")
    assert [state(ledger, one) for one in ALL] == [(1000, 100, 0), (500, 10, 0), (3, 1, 0), (3, 1, 0)]
    ledger.settle("a", 60, 4)
    assert [state(ledger, one) for one in ALL] == [(1000, 0, 60), (500, 0, 4), (3, 0, 1), (3, 0, 1)]
    assert (ledger.open_attempts, ledger.overruns) == (0, 0)


def test_request_counts_once_and_each_attempt_at_its_provider() -> None:
    ledger = Ledger()
    for ordinal in (1, 2, 3):
        take(ledger, f"a{ordinal}", ordinal=ordinal)
    assert (state(ledger, REQUESTS), state(ledger, ATTEMPTS)) == ((3, 1, 0), (3, 3, 0))
    (shortfall,) = shortfalls_of(ledger, ordinal=4)
    assert shortfall.limit is ATTEMPTS


def test_reservation_covers_all_limits_or_none() -> None:
    ledger = Ledger()
    take(ledger, "a", 100, 400)
    before = [state(ledger, one) for one in ALL]
    shortfalls = shortfalls_of(ledger, 950, 150)
    assert shortfalls == [
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
    take(ledger, "b", 900, 100)  # an exact fit


def test_each_step_is_idempotent_by_attempt() -> None:
    ledger = Ledger()
    first = take(ledger, "a")
    assert take(ledger, "a", 999) is first
    assert state(ledger, USD) == (1000, 100, 0)
    assert ledger.settle("a", 60, 4) is first
    assert ledger.settle("a", 60, 4) is None
    ledger.release("a")
    ledger.release("never was")
    assert state(ledger, USD) == (1000, 0, 60)


def test_release_frees_the_whole_reservation() -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.release("a")
    assert [state(ledger, one)[1:] for one in ALL] == [(0, 0)] * 4
    assert ledger.settle("a", 1, 1) is None


def test_free_attempt_fits_an_exhausted_limit() -> None:
    ledger = Ledger()
    take(ledger, "a", 1000, 10, limits=(USD,))
    take(ledger, "b", 0, 0, limits=(USD,))


def test_soft_limit_counts_and_rejects_nothing() -> None:
    soft = limit("usd", 100, soft=True)
    ledger = Ledger()
    take(ledger, "a", 5000, limits=(soft,))
    ledger.settle("a", 4000, 0)
    assert state(ledger, soft) == (100, 0, 4000)


@pytest.mark.parametrize(("nano", "tokens"), [(101, 1), (1, 11), (1000, 1000)])
def test_overrun_is_charged_and_counted(nano: int, tokens: int) -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.settle("a", nano, tokens)
    assert ledger.overruns == 1
    assert state(ledger, USD) == (1000, 0, nano)


# Windows.


def test_settlement_counts_in_the_window_of_its_reservation() -> None:
    ledger = Ledger()
    take(ledger, "a", tokens=400, limits=(TOKENS,))
    take(ledger, "b", tokens=500, limits=(TOKENS,), now=NOW + 60)  # a new window has the whole limit again
    assert ledger.holdings() == [
        Holding(TOKENS.counter, int(NOW) + 60, 500, 500),
        Holding(TOKENS.counter, int(NOW), 500, 500),
    ]
    ledger.settle("a", 0, 300)
    assert state(ledger, TOKENS) == (500, 500, 0)
    assert ledger.holdings() == [Holding(TOKENS.counter, int(NOW) + 60, 500, 500)], "the old window is over"


@pytest.mark.parametrize("back", [0.001, 61.0, 3600.0, 1e9])
def test_clock_set_back_reopens_no_window(back: float) -> None:
    ledger = Ledger()
    take(ledger, "a", tokens=500, limits=(TOKENS,), now=NOW + 60)
    (shortfall,) = shortfalls_of(ledger, tokens=1, limits=(TOKENS,), now=NOW + 60 - back)
    assert shortfall.window == int(NOW) + 60
    ledger.settle("a", 0, 499)
    found = take(ledger, "b", tokens=1, limits=(TOKENS,), now=NOW - back)
    assert found.at == NOW + 60, "the journal has the same time"


def test_clock_set_forward_skips_windows() -> None:
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
    (shortfall,) = shortfalls_of(ledger, 1, limits=(USD,))
    assert (shortfall.more, shortfall.opened) == (1, 500)
    assert shortfall.lease_request() == LeaseRequest(USD.counter, DAY, 1, 500)
    assert shortfalls_of(Ledger(NO_SHARE), limits=(USD,))[0].opened == 0
    assert shortfalls_of(Ledger(Share(1, 2, NOW)), limits=(USD,))[0].available == 0, "this day began before the share"


def test_grants_add_up_and_ignore_other_windows() -> None:
    ledger = Ledger(NO_SHARE)
    shortfalls_of(ledger, limits=(TOKENS,))
    ledger.granted([Grant(TOKENS.counter, int(NOW), 300, 0, 0), Grant(TOKENS.counter, int(NOW), 100, 0, 0)])
    ledger.granted([Grant(TOKENS.counter, int(NOW) - 60, 100, 0, 0), Grant("unknown", int(NOW), 100, 0, 0)])
    assert state(ledger, TOKENS) == (400, 0, 0)


def test_recall_returns_the_unused_amount() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.settle("a", 70, 0)
    take(ledger, "b", 130, limits=(USD,))
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 300, 500)]
    assert state(ledger, USD) == (200, 130, 70)
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 0, 500)]
    assert shortfalls_of(ledger, 1, limits=(USD,))


def test_window_recalled_before_its_opening_opens_with_nothing() -> None:
    ledger = Ledger(HALF)
    assert ledger.recall([(TOKENS.counter, int(NOW))]) == [Return(TOKENS.counter, int(NOW), 0, 0)]
    assert ledger.holdings() == [Holding(TOKENS.counter, int(NOW), 0, 0)]
    assert shortfalls_of(ledger, limits=(TOKENS,))[0].opened == 0
    take(ledger, "a", limits=(TOKENS,), now=NOW + 60)


def test_recalled_window_is_reported_once() -> None:
    """A second report, with nothing, would make control count later grants as free."""
    ledger = Ledger(NO_SHARE)
    ledger.recall([(USD.counter, DAY)])
    shortfalls_of(ledger, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.holdings() == [Holding(USD.counter, DAY, 300, 0)]


def test_ended_window_is_not_reported_as_unopened() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    ledger.settle("a", 1, 5)
    take(ledger, "b", limits=(TOKENS,), now=NOW + 60)
    assert ledger.recall([(TOKENS.counter, int(NOW))]) == []


def test_memory_of_recalled_windows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waived, "MAX_WAIVED", 5)
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    names = [limit(name=f"k{number}") for number in range(20)]
    ledger.recall([(one.counter, DAY) for one in names])
    assert len(ledger._waived) <= 5
    for one in names:
        assert shortfalls_of(ledger, limits=(one,)), "no window opens with its share"


# Changes of the configuration.


def changed(*limits: Limit) -> dict[str, Limit]:
    return {one.counter: one for one in limits}


def test_edited_limit_keeps_its_spending() -> None:
    ledger = Ledger()
    take(ledger, "a")
    ledger.settle("a", 60, 4)
    raised = limit("usd", 2000)
    assert ledger.reconfigure(changed(raised), NOW) == []
    assert state(ledger, raised) == (2000, 0, 60)
    ledger.reconfigure(changed(limit("usd", 50)), NOW)
    assert shortfalls_of(ledger, 1, limits=(limit("usd", 50),))[0].available == -10


def test_unused_amount_of_a_lowered_limit_is_returned_at_once() -> None:
    """Otherwise a worker that holds the whole budget of a month would continue to spend it."""
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY, 500, 0, 0)])
    lowered = limit("usd", 200)
    assert ledger.reconfigure(changed(lowered), NOW) == [Return(USD.counter, DAY, 900, 500)]
    assert shortfalls_of(ledger, 1, limits=(lowered,))[0].available == 0
    ledger.settle("a", 100, 0)


def test_raised_limit_waits_for_a_grant_of_control() -> None:
    """Control assumes that an unopened window opens with a share of the previous limit."""
    ledger = Ledger(HALF)
    take(ledger, "a", limits=(TOKENS,))
    raised = limit("usd", 100_000)
    ledger.reconfigure(changed(raised, TOKENS), NOW)
    (shortfall,) = shortfalls_of(ledger, 1, limits=(raised,))
    assert (shortfall.available, shortfall.opened) == (0, 0)
    assert ledger.share == Share(1, 2, NOW), "control learns of it after a reconnect"
    take(ledger, "b", 50_000, limits=(raised,), now=NOW + 86_400)


def test_limit_may_become_soft_and_hard_again() -> None:
    ledger = Ledger()
    soft = limit("usd", 1000, soft=True)
    take(ledger, "a", 1000, limits=(USD,))
    ledger.reconfigure(changed(soft), NOW)
    take(ledger, "b", 500, limits=(soft,))
    ledger.reconfigure(changed(USD), NOW)
    assert shortfalls_of(ledger, 1, limits=(USD,))


def test_earlier_requests_do_not_restore_the_old_limit() -> None:
    ledger = Ledger()
    take(ledger, "a", 10, limits=(USD,))
    lowered = limit("usd", 50)
    ledger.reconfigure(changed(lowered), NOW)
    assert shortfalls_of(ledger, 500, limits=(USD,))[0].limit is lowered


def test_lease_returned_before_its_window_opened_is_reported_with_nothing() -> None:
    """The return may be lost with its connection. Control would then count the lease until the window ends."""
    ledger = Ledger(HALF)
    ledger.reconfigure(changed(USD), NOW)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.reconfigure(changed(limit("usd", 500)), NOW) == [Return(USD.counter, DAY, 300)]
    assert ledger.holdings() == [Holding(USD.counter, DAY, 0)]


def test_recalled_window_is_reported_after_a_change_of_the_configuration() -> None:
    ledger = Ledger(HALF)
    ledger.reconfigure(changed(USD), NOW)
    ledger.recall([(USD.counter, DAY)])
    ledger.reconfigure(changed(USD), NOW)
    assert ledger.holdings() == [Holding(USD.counter, DAY, 0)]
    ledger.reconfigure(changed(USD), NOW + 86_400)
    assert ledger.holdings() == [], "its window has ended"


def test_removed_limit_is_forgotten_after_its_window() -> None:
    ledger = Ledger()
    take(ledger, "a", limits=(USD,))
    ledger.reconfigure({}, NOW + 86_400)
    assert ledger.holdings() == [Holding(USD.counter, DAY, 1000, 1000)], "the window has a reservation"
    ledger.settle("a", 50, 5)
    assert ledger.holdings() == []


def test_restored_limit_keeps_its_window() -> None:
    """Otherwise its lease would be reported anew, and its earlier spending counted against other workers."""
    ledger = Ledger(HALF)
    take(ledger, "a", 400, limits=(USD,))
    ledger.settle("a", 400, 0)
    ledger.reconfigure({}, NOW)
    back = limit("usd", 1000)
    ledger.reconfigure(changed(back), NOW)
    (shortfall,) = shortfalls_of(ledger, 101, limits=(back,))
    assert (shortfall.available, shortfall.opened) == (100, 500)


def test_changed_zone_opens_other_windows() -> None:
    from zoneinfo import ZoneInfo

    from msgspec.structs import replace

    ledger = Ledger()
    take(ledger, "a", 1000, limits=(USD,))
    moved = replace(USD, period=replace(USD.period, zone=ZoneInfo("Asia/Kathmandu")))
    ledger.reconfigure(changed(moved), NOW)
    found = take(ledger, "b", 1000, limits=(moved,))
    assert moved.period.window(NOW)[0] == found.windows[0].start != DAY


def test_counter_sets_are_shared_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTER_SETS", 10)
    ledger = Ledger()
    assert ledger.account((USD, TOKENS)) is ledger.account((USD, TOKENS))
    for number in range(50):
        take(ledger, str(number), 10, 0, limits=(USD, limit(name=f"k{number}")))
    assert len(ledger._counter_sets) <= 10
    assert state(ledger, USD) == (1000, 500, 0), "counter sets share their counters"


# Leases without a request.


def test_lease_ahead_is_available_when_its_window_opens() -> None:
    ledger = Ledger(NO_SHARE)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0), Grant(USD.counter, DAY, 50, 0, 0)])
    assert ledger.holdings() == [Holding(USD.counter, DAY, 350)]
    take(ledger, "a", 340, limits=(USD,))
    assert state(ledger, USD) == (350, 340, 0)
    assert ledger.holdings() == [Holding(USD.counter, DAY, 350)], "the window opened without a share"
    (shortfall,) = shortfalls_of(ledger, 100, limits=(USD,))
    assert (shortfall.more, shortfall.opened) == (90, 0)


def test_lease_ahead_waits_for_its_window() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    ledger.granted([Grant(USD.counter, DAY - 86_400, 7, 0, 0), Grant(USD.counter, DAY + 86_400, 8, 0, 0)])
    take(ledger, "b", 508, limits=(USD,), now=NOW + 86_400)
    assert state(ledger, USD) == (508, 508, 0), "the window opened with its share"


def test_recalled_lease_ahead_is_returned() -> None:
    ledger = Ledger(NO_SHARE)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 300)]
    assert ledger.recall([(USD.counter, DAY)]) == [Return(USD.counter, DAY, 0)]
    shortfalls_of(ledger, 1, limits=(USD,))


@pytest.mark.parametrize(("amount", "is_kept"), [(1000, True), (2000, True), (999, False), (None, False)])
def test_lease_ahead_of_a_lowered_or_removed_limit_is_returned(amount: int | None, is_kept: bool) -> None:
    ledger = Ledger(NO_SHARE)
    ledger.reconfigure({USD.counter: USD}, NOW)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    limits = {} if amount is None else {USD.counter: limit("usd", amount)}
    assert ledger.reconfigure(limits, NOW) == ([] if is_kept else [Return(USD.counter, DAY, 300)])
    assert ledger.holdings() == [Holding(USD.counter, DAY, 300 if is_kept else 0)]


def test_number_of_leases_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AHEAD", 3)
    ledger = Ledger(NO_SHARE)
    names = [f"virtual_key:{number}|usd|day" for number in range(5)]
    returned = ledger.granted([Grant(name, DAY, 1, 0, 0) for name in names])
    assert [one.counter for one in ledger.holdings()] == names[:3]
    assert returned == [Return(name, DAY, 1) for name in names[3:]], "an unrecorded lease must be returned"
    assert ledger.granted([Grant(names[0], DAY, 1, 0, 0)]) == []


def test_present_windows_are_returned_without_a_reservation() -> None:
    ledger = Ledger()
    account = ledger.account((USD, REQUESTS))
    take(ledger, "a", limits=(USD, REQUESTS))
    assert [window.free for window in ledger.present(account, NOW)] == [900, 2]
    assert [window.free for window in ledger.present(account, NOW + 60)] == [900, 3]
    assert [window.start for window in ledger.present(account, NOW)] == [DAY, NOW + 60], "windows never reopen"


def test_ended_counters_of_end_users_are_dropped_and_their_sets_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIDY_FROM", 3)
    ledger = Ledger()
    monkeypatch.setattr(ledger, "_tidy_from", 3)
    limits = [
        Limit(level="end_user", owner=f"end_user:all/{n}", metric="usd", period=Period("minute"), amount=10)
        for n in range(20)
    ]
    first = ledger.account((limits[0],))
    assert not isinstance(ledger.reserve(first, "a", 6, 0, ordinal=1, now_unix_s=60.0), list)
    for number, one in enumerate(limits[1:]):
        account = ledger.account((one,))
        now = 60.0 * (number + 2)
        assert not isinstance(ledger.reserve(account, f"b{number}", 10, 0, ordinal=1, now_unix_s=now), list)
        ledger.settle(f"b{number}", 10, 0)
    assert len(ledger._counters) <= 5
    assert ledger.settle("a", 6, 0) is not None, "an open reservation outlives its counter"
    again = ledger.account((replace(limits[0]),))
    now = 60.0 * 40
    assert not isinstance(ledger.reserve(again, "c", 6, 0, ordinal=1, now_unix_s=now), list)
    assert isinstance(ledger.reserve(first, "d", 6, 0, ordinal=1, now_unix_s=now), list), "both count in one counter"
    assert ledger.present(first, now)[0].reserved == 6


def test_changed_limit_of_one_owner_leaves_others_alone() -> None:
    ledger = Ledger(HALF)
    take(ledger, "a", 100, limits=(USD,))
    lowered = limit("usd", 200)
    assert ledger.change([lowered], NOW) == [Return(USD.counter, DAY, 400, 500)]
    assert shortfalls_of(ledger, 1, limits=(lowered,))[0].available == 0
    take(ledger, "b", 1, 200, limits=(TOKENS,))  # with its share, which was not waived


def test_changed_limit_whose_window_is_not_open_waits_for_a_grant() -> None:
    ledger = Ledger(HALF)
    raised = limit("usd", 100_000)
    ledger.granted([Grant(USD.counter, DAY, 300, 0, 0)])
    assert ledger.change([raised], NOW) == [Return(USD.counter, DAY, 300)]
    (shortfall,) = shortfalls_of(ledger, 1, limits=(raised,))
    assert (shortfall.available, shortfall.opened) == (0, 0)
