"""The leases of control: never more than the limit, and never lost."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.money import limit
from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, Return, Share
from pointsman.domain.limits import Limit, Period
from pointsman.money import leases
from pointsman.money.leases import CORRECTIONS, KEEP_S, LeaseTable, Spent

NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
USD = limit("usd", 1000)
NAME = USD.counter
EARLY = Share(1, 2, 0.0)


def table_of(workers: int, *epochs: int, amount: int = 1000, knows_all: bool = True) -> LeaseTable:
    """Return a table whose workers joined in the middle of the day."""
    table = LeaseTable(workers, knows_all=knows_all)
    configure(table, amount)
    for slot, epoch in enumerate(epochs):
        table.join(epoch, slot, NOW)
    return table


def configure(table: LeaseTable, amount: int) -> Limit:
    changed = limit("usd", amount)
    table.configure({changed.counter: changed})
    return changed


def ask(table: LeaseTable, epoch: int, more: int, opened: int = 0) -> Grant:
    grants, _ = table.ask(epoch, [LeaseRequest(NAME, DAY, more, opened)])
    return grants[0]


def spent(table: LeaseTable) -> tuple[int, int]:
    (found,) = table.status()
    assert (found.counter, found.window) == (NAME, DAY)
    return found.posted, found.leased


def test_sole_worker_is_granted_the_whole_remainder() -> None:
    table = table_of(1, 7)
    assert ask(table, 7, 10) == Grant(NAME, DAY, 1000, 0, 0)
    assert spent(table) == (0, 1000)
    table.charge(7, NAME, DAY, 300)
    assert spent(table) == (300, 700), "the unspent lease falls as the journal is read"


def test_grants_shrink_near_the_limit() -> None:
    table = table_of(2, 1, 2)
    granted = [ask(table, 1 + turn % 2, 5).granted for turn in range(12)]
    assert granted == sorted(granted, reverse=True)
    assert granted[0] == 250
    assert granted[-1] < 20
    assert sum(granted) <= 1000
    assert spent(table) == (0, sum(granted))


def test_request_for_zero_returns_the_remaining_amount_without_a_recall() -> None:
    table = table_of(2, 1, 2)
    assert ask(table, 1, 900).granted == 900
    table.charge(1, NAME, DAY, 300)
    before = spent(table)
    assert table.ask(2, [LeaseRequest(NAME, DAY, 0)]) == ([Grant(NAME, DAY, 0, 100, 600)], {})
    assert ask(table, 1, 100).granted == 100
    assert table.ask(2, [LeaseRequest(NAME, DAY, 0)]) == ([Grant(NAME, DAY, 0, 0, 700)], {})
    assert spent(table) == (before[0], before[1] + 100)


def test_insufficient_amount_is_not_granted_but_recalled_from_others() -> None:
    table = table_of(2, 1, 2)
    assert ask(table, 1, 900).granted == 900
    grants, recalls = table.ask(2, [LeaseRequest(NAME, DAY, 200)])
    assert grants == [Grant(NAME, DAY, 0, 100, 900)]
    assert recalls == {1: [(NAME, DAY)]}
    table.give_back(1, [Return(NAME, DAY, 850, 0)])
    assert ask(table, 2, 200) == Grant(NAME, DAY, 237, 713, 50)


def test_crossing_grants_and_returns_do_not_undo_each_other() -> None:
    table = table_of(2, 1, 2)
    ask(table, 1, 300)
    ask(table, 1, 100)  # on its way
    table.give_back(1, [Return(NAME, DAY, 300, 0)])  # sent before the second grant arrived
    assert spent(table)[1] == ask(table, 2, 1000 - 100 - 300).leased_elsewhere


def test_worker_reports_the_opening_amount_of_its_windows() -> None:
    """Control thought that a window opened with 500; it did not, or did with less."""
    for opened in (0, 5):
        table = LeaseTable(2)
        configure(table, 1000)
        table.hello(1, 0, EARLY, [], NOW)
        table.hello(2, 1, EARLY, [], NOW)
        assert ask(table, 2, 100, 500) == Grant(NAME, DAY, 0, 0, 500)
        table.give_back(1, [Return(NAME, DAY, 0, opened)])
        table.give_back(1, [Return(NAME, DAY, 0, opened)])
        assert spent(table) == (0, 500 + opened)
        assert ask(table, 1, 1, opened).leased_elsewhere == 500, "repeating a report changes nothing"


def test_amount_wrongly_assumed_to_be_leased_is_granted() -> None:
    table = LeaseTable(2)
    configure(table, 1000)
    table.hello(1, 0, EARLY, [], NOW)
    table.hello(2, 1, EARLY, [], NOW)
    table.charge(1, NAME, DAY, 0)
    assert spent(table) == (0, 1000), "both may have opened the window with their share"
    assert ask(table, 2, 100, opened=5) == Grant(NAME, DAY, 123, 372, 500)
    assert spent(table) == (0, 500 + 5 + 123)


def test_reported_holdings_replace_the_recorded_ones() -> None:
    table = table_of(2, 1, 2)
    ask(table, 1, 400)  # the grant is lost with the connection
    table.hello(1, 0, None, [Holding(NAME, DAY, 120, 20)], NOW)
    assert spent(table) == (0, 120)
    table.give_back(1, [Return(NAME, DAY, 100, 20)])
    assert spent(table) == (0, 20)


def test_lease_of_a_dead_worker_is_free_after_its_journal_is_read() -> None:
    table = table_of(2, 1, 2)
    ask(table, 1, 900)
    assert ask(table, 2, 500).granted == 0
    table.charge(1, NAME, DAY, 250)
    assert ask(table, 2, 500).granted == 0
    table.charge(1, NAME, DAY, 50)  # an open intent
    table.retire(1, NOW)
    assert spent(table) == (300, 0)
    assert ask(table, 2, 500) == Grant(NAME, DAY, 700, 0, 0), "the other worker is now alone"


def test_overrun_leaves_less_for_other_workers() -> None:
    table = table_of(2, 1, 2)
    ask(table, 1, 100)
    table.charge(1, NAME, DAY, 990)
    assert spent(table) == (990, 0)
    assert ask(table, 2, 11).granted == 0
    assert ask(table, 2, 10).granted == 10


def test_grants_follow_a_lowered_and_a_raised_limit() -> None:
    table = table_of(1, 1)
    ask(table, 1, 1000)
    table.charge(1, NAME, DAY, 400)
    table.give_back(1, [Return(NAME, DAY, 600, 0)])
    configure(table, 300)
    assert ask(table, 1, 1) == Grant(NAME, DAY, 0, 0, 0)
    raised = configure(table, 500)
    assert ask(table, 1, 1).granted == 100
    assert table.status() == [Spent(NAME, DAY, 400, 100, raised)]


def test_removed_limit_grants_everything_and_keeps_its_spending() -> None:
    table = table_of(1, 1)
    ask(table, 1, 10)
    table.charge(1, NAME, DAY, 990)
    table.configure({})
    assert ask(table, 1, 5000).granted == 5000
    table.give_back(1, [Return(NAME, DAY, 5010, 0)])
    table.forget_ended(NOW, 0.0)
    table.forget_ended(NOW, KEEP_S + 1)
    configure(table, 1000)
    assert table.status()[0].posted == 990


# After a start.


def test_spending_is_restored_from_the_store() -> None:
    table = table_of(1, 7)
    table.restore([(NAME, DAY, 5, 300), (NAME, DAY, 7, 100)])
    assert spent(table) == (400, 0)
    table.hello(7, 0, Share(1, 1, NOW), [Holding(NAME, DAY, 250, 0)], NOW)
    assert spent(table) == (400, 150), "the worker has spent 100 of its lease"
    assert ask(table, 7, 1).granted == 450


def test_shares_are_assigned_after_every_worker_has_connected() -> None:
    table = table_of(1, knows_all=False)
    assert table.join(2, 0, NOW) == NO_SHARE
    assert table.hello(1, 0, Share(1, 1, 5.0), [], NOW) == Share(1, 1, 5.0)
    assert table.know_all(NOW) == [], "the first worker has the whole"
    assert table.draining(1, NOW) == [(2, Share(1, 1, NOW + 1))]


def test_worker_with_a_later_share_holds_no_earlier_window() -> None:
    table = LeaseTable(2)
    configure(table, 1000)
    late = Share(1, 2, NOW)
    assert table.hello(1, 0, late, [], NOW) == late
    assert table.hello(2, 1, EARLY, [], NOW) == EARLY
    assert table.hello(2, 1, late, [], NOW) == late, "its configuration has changed since"
    table.hello(1, 0, late, [Holding(NAME, DAY, 700, 500)], NOW)
    assert spent(table) == (0, 700)


# Any order of events.

SHARE_OF_ALL = Share(1, 4, 0.0)
DEAD, LIVING, SILENT, KILLED = 1, 2, 3, 4  # epochs; the last connects, and dies before its journal is read
Step = tuple[str, int]


def after(order: Iterable[Step], spent_by: dict[int, int], read: int) -> list[Spent]:
    """Return the state of a restarted control after these events in this order. `spent_by` is the spending of each
    worker in the store at first, `read` the amount then read from its journal."""
    table = LeaseTable(4, knows_all=False)
    store = dict(spent_by)
    holding = {
        LIVING: [Holding(NAME, DAY, 300, 250)],
        KILLED: [Holding(NAME, DAY, 200, 100)],
        SILENT: [],  # it has not opened the window yet, and will open it with its share
    }
    for step, epoch in order:
        if step == "configure":
            table.configure({NAME: USD})
        elif step == "hello":
            table.hello(epoch, epoch, SHARE_OF_ALL, holding[epoch], NOW)
        elif step == "retire":
            table.retire(epoch, NOW)
        elif epoch in store:
            table.restore([(NAME, DAY, epoch, store[epoch])])
            if step == "read":  # it begins at the position in the store, so the store was read before
                store[epoch] += read
                table.charge(epoch, NAME, DAY, read)
    return table.status()


STEPS: list[Step] = [
    ("configure", 0),
    *(("restore", epoch) for epoch in (DEAD, LIVING, SILENT, KILLED)),
    *(("hello", epoch) for epoch in (LIVING, SILENT, KILLED)),
    *(("read", epoch) for epoch in (DEAD, LIVING, KILLED)),
    *(("retire", epoch) for epoch in (DEAD, KILLED)),
]


AMOUNTS = st.integers(0, 400)


@given(
    order=st.permutations(STEPS),
    spent_by=st.fixed_dictionaries({DEAD: AMOUNTS, LIVING: AMOUNTS, KILLED: AMOUNTS}),
    read=AMOUNTS,
)
def test_restarted_control_reaches_the_same_state_in_any_order_of_events(
    order: list[Step], spent_by: dict[int, int], read: int
) -> None:
    posted = sum(spent_by.values()) + 3 * read
    leased = max(0, 300 - spent_by[LIVING] - read) + 250
    assert after(order, spent_by, read) == [Spent(NAME, DAY, posted, leased, USD)]


def test_spending_from_before_a_restart_stays_after_its_worker_retires() -> None:
    """Workers call before the store is read, and end later in the same window."""
    table = table_of(1, knows_all=False)
    table.hello(7, 0, Share(1, 1, NOW), [Holding(NAME, DAY, 1000, 0)], NOW)
    table.restore([(NAME, DAY, 7, 920)])
    assert spent(table) == (920, 80), "the row of the store counts once"
    table.know_all(NOW)
    table.retire(7, NOW)
    table.join(8, 0, NOW)
    assert ask(table, 8, 80) == Grant(NAME, DAY, 80, 0, 0)


def test_leases_are_granted_only_after_restore_and_know_all() -> None:
    table = table_of(1, 7, knows_all=False)
    assert ask(table, 7, 1) == Grant(NAME, DAY, 0, 0, 0)
    table.know_all(NOW)
    assert ask(table, 7, 1) == Grant(NAME, DAY, 0, 0, 0)
    table.restore([])
    assert ask(table, 7, 1) == Grant(NAME, DAY, 1000, 0, 0)


def test_spending_lost_by_the_store_counts_once_when_read_again() -> None:
    table = table_of(1, 7)
    table.charge(7, NAME, DAY, 300)
    table.charge(8, NAME, DAY, 30)
    table.restore([(NAME, DAY, 7, 100)], {7, 8})
    assert spent(table) == (330, 0)
    for amount in (150, 20, 40, 5):
        table.charge(7, NAME, DAY, amount)
    table.charge(8, NAME, DAY, 30)
    assert spent(table) == (345, 0)


def test_limit_configured_later_counts_possible_opening_amounts() -> None:
    table = LeaseTable(2)
    table.hello(1, 0, EARLY, [], NOW)
    table.hello(2, 1, EARLY, [Holding(NAME, DAY, 20, 20)], NOW)
    assert table.status() == [Spent(NAME, DAY, 0, 20, None)]
    configure(table, 1000)
    assert spent(table) == (0, 520)
    after_it = DAY + 86_400.0
    table.forget_ended(after_it, 0.0)
    table.forget_ended(after_it, KEEP_S + 1)
    assert table.status() == [], "the window is forgotten like any other"


# Shares.


def test_shares_never_exceed_the_whole() -> None:
    table = table_of(2)
    assert [table.join(epoch, slot, NOW) for epoch, slot in ((1, 0), (2, 1), (3, 0), (4, 1))] == [
        Share(1, 2, NOW + 1),
        Share(1, 2, NOW + 1),
        NO_SHARE,
        NO_SHARE,
    ]
    assert table.draining(2, NOW + 5.5) == [(4, Share(1, 2, NOW + 6))], "the successor in the slot comes first"
    assert table.draining(2, NOW + 6) == []
    assert table.retire(2, NOW + 7) == []
    assert table.retire(1, NOW + 8) == [(3, Share(1, 2, NOW + 9))], (
        "a killed worker keeps its share until its journal is read"
    )


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 2), (1, 3)])
def test_shares_never_exceed_the_whole_while_the_number_of_workers_changes(before: int, after: int) -> None:
    table = table_of(before, *range(before))
    table.size = after
    shares = {epoch: table.join(epoch, 0, NOW) for epoch in range(before)}

    def total() -> float:
        return sum(share.part / share.whole for share in shares.values())

    for number in range(max(before, after)):
        if number < after:
            shares[100 + number] = table.join(100 + number, number, NOW)
        if number < before:
            shares[number] = NO_SHARE
            shares.update(table.draining(number, NOW))
        assert total() <= 1 + 1e-9
    assert total() == pytest.approx(1)


def test_draining_worker_gets_no_new_share() -> None:
    table = table_of(1, 1)
    table.draining(1, NOW)
    assert table.hello(1, 0, NO_SHARE, [], NOW) == NO_SHARE


def test_windows_that_begin_under_a_share_count_as_opened() -> None:
    table = LeaseTable(2)
    configure(table, 1000)
    table.hello(1, 0, EARLY, [], NOW)
    table.join(2, 1, NOW)  # in the middle of this window
    table.charge(1, NAME, DAY, 100)
    assert spent(table) == (100, 400)
    table.draining(1, NOW + 5)
    tomorrow = DAY + 86_400
    table.charge(2, NAME, tomorrow, 1)
    found = next(found for found in table.status() if found.window == tomorrow)
    assert (found.posted, found.leased) == (1, 499), "a draining worker opens no new window"


def test_clock_set_back_assigns_no_window_twice() -> None:
    table = table_of(1)
    table.hello(1, 0, Share(1, 1, 0.0), [], NOW)
    table.charge(1, NAME, DAY, 1)
    table.draining(1, DAY - 10.0)
    assert table.join(2, 0, DAY - 10.0).since > DAY


# Memory.


def test_ended_windows_are_forgotten_with_unspent_leases() -> None:
    table = table_of(1, 1)
    ask(table, 1, 10)
    after = DAY + 86_400.0
    table.forget_ended(after, 50.0)
    table.forget_ended(after, 50.0 + KEEP_S)
    assert table.status(), "attempts that began in it may still be charged"
    table.forget_ended(after, 51.0 + KEEP_S)
    assert table.status() == []


def test_clock_error_of_a_moment_forgets_no_window() -> None:
    table = table_of(1, 1)
    table.charge(1, NAME, DAY, 990)
    table.forget_ended(NOW + 1e9, 50.0)
    table.forget_ended(NOW, 60.0)
    table.forget_ended(NOW + 1e9, 51.0 + KEEP_S)
    assert table.status()[0].posted == 990


def test_windows_are_found_by_their_owner() -> None:
    table = table_of(1, 1)
    other = "virtual_key:you|usd|day"
    table.restore([(other, DAY, 5, 300)])
    ask(table, 1, 10)
    assert set(table.names()) == {(NAME, DAY), (other, DAY)}
    assert table.names("virtual_key:you") == [(other, DAY)]
    assert table.spent_in((other, DAY)).posted == 300
    table.charge(1, other, DAY, 1)
    assert table.names("virtual_key:you") == [(other, DAY)]
    assert table.spent_in((other, DAY)).posted == 301
    assert table.names("virtual_key:yo") == []


def test_many_windows_are_forgotten_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "FORGET_AT_ONCE", 10)
    made = [
        Limit(level="virtual_key", owner=f"virtual_key:{number}", metric="usd", period=Period("day"), amount=1000)
        for number in range(25)
    ]
    limits = {one.counter: one for one in made}
    table = LeaseTable(1)
    table.configure(limits)
    for counter in limits:
        table.charge(1, counter, DAY, 7)
    table.charge(1, next(iter(limits)), DAY + 86_400, 7)
    after = DAY + 86_400.0
    table.forget_ended(after, 0.0)
    counts = []
    for _ in range(4):
        table.forget_ended(after, KEEP_S + 1)
        counts.append(len(table.names()))
    assert counts == [16, 6, 1, 1]
    assert table.names("virtual_key:24") == table.names("virtual_key:3") == []
    assert table.names("virtual_key:0") == [(next(iter(limits)), DAY + 86_400)]


# Leases without a request.


def ahead(table: LeaseTable, epoch: int, grant: Grant, *reached: int) -> dict[int, int]:
    """Return the amount leased to each other worker."""
    found = table.lease_ahead(epoch, [grant], reached)
    assert all((one.counter, one.window) == (NAME, DAY) for grants in found.values() for one in grants)
    return {other: one.granted for other, (one,) in found.items()}


def test_other_workers_get_a_lease_ahead_after_a_grant() -> None:
    table = table_of(3, 1, 2, 3)
    grant = ask(table, 1, 100)
    assert grant.granted == 166
    assert ahead(table, 1, grant, 1, 2, 3) == {2: 139, 3: 139}
    assert spent(table) == (0, 166 + 2 * 139)
    assert ahead(table, 1, ask(table, 1, 100), 1, 2, 3) == {}, "a window is leased ahead once"
    assert ahead(table, 2, ask(table, 2, 100), 1, 2, 3) == {}


def test_absent_draining_and_sharing_workers_get_no_lease_ahead() -> None:
    table = table_of(3, 1, 2, 3)
    table.draining(3, NOW)
    assert ahead(table, 1, ask(table, 1, 100), 1, 3) == {}
    early = LeaseTable(2)
    configure(early, 1000)
    for epoch in (1, 2):
        early.hello(epoch, epoch - 1, EARLY, [], NOW)
    assert ahead(early, 1, ask(early, 1, 100, 500), 1, 2) == {}


def test_exhausted_limit_is_not_leased_ahead() -> None:
    table = table_of(2, 1, 2)
    grant = ask(table, 1, 1001)
    assert grant.granted == 0
    assert ahead(table, 1, grant, 1, 2) == {}
    assert ahead(table, 1, ask(table, 1, 998), 1, 2) == {}, "a remainder of 2 has no part for a worker"


def test_lease_ahead_that_did_not_arrive_is_free_again() -> None:
    table = table_of(2, 1, 2)
    assert ahead(table, 1, ask(table, 1, 500), 1, 2) == {2: 125}
    table.hello(2, 1, NO_SHARE, [], NOW)
    assert spent(table) == (0, 500)
    assert ahead(table, 1, ask(table, 1, 100), 1, 2) == {2: 93}
    table.hello(2, 1, NO_SHARE, [Holding(NAME, DAY, 93)], NOW)
    assert spent(table) == (0, 500 + 125 + 93)


def test_lease_ahead_named_by_the_worker_is_replaced_by_its_report() -> None:
    table = table_of(2, 1, 2)
    assert ahead(table, 1, ask(table, 1, 500), 1, 2) == {2: 125}
    table.give_back(2, [Return(NAME, DAY, 125)])
    assert spent(table) == (0, 500)
    table.hello(2, 1, NO_SHARE, [], NOW)
    assert spent(table) == (0, 500)
    table.retire(2, NOW)
    assert spent(table) == (0, 500)


def test_corrected_amount_is_free_at_once() -> None:
    table = table_of(1, 7)
    ask(table, 7, 1000)
    table.charge(7, NAME, DAY, 1000)
    assert ask(table, 7, 300).granted == 0
    for _ in range(2):
        table.corrected(NAME, DAY, -400)
        assert spent(table) == (600, 0), "a correction is a total, so repeating it changes nothing"
    assert ask(table, 7, 300).granted == 400


def test_correction_survives_a_restart_while_its_worker_lives() -> None:
    rows = [(NAME, DAY, 7, 1000), (NAME, DAY, CORRECTIONS, -400)]
    holding = Holding(NAME, DAY, 1000)
    for early in (True, False):
        table = table_of(1, knows_all=False)
        if early:
            table.hello(7, 0, NO_SHARE, [holding], NOW)
        for _ in range(2):
            table.restore(rows)
        if not early:
            table.hello(7, 0, NO_SHARE, [holding], NOW)
        table.know_all(NOW)
        assert spent(table) == (600, 0)
