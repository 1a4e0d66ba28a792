"""What control has lent: never more than the limit, and never lost."""

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


def book_of(workers: int, *epochs: int, amount: int = 1000, knows_all: bool = True) -> LeaseTable:
    """A book whose workers came in the middle of the day."""
    book = LeaseTable(workers, knows_all=knows_all)
    configure(book, amount)
    for slot, epoch in enumerate(epochs):
        book.join(epoch, slot, NOW)
    return book


def configure(book: LeaseTable, amount: int) -> Limit:
    changed = limit("usd", amount)
    book.configure({changed.counter: changed})
    return changed


def ask(book: LeaseTable, epoch: int, more: int, opened: int = 0) -> Grant:
    grants, _ = book.ask(epoch, [LeaseRequest(NAME, DAY, more, opened)])
    return grants[0]


def spent(book: LeaseTable) -> tuple[int, int]:
    (found,) = book.status()
    assert (found.counter, found.window) == (NAME, DAY)
    return found.posted, found.leased


def test_a_worker_alone_holds_the_whole_remainder() -> None:
    book = book_of(1, 7)
    assert ask(book, 7, 10) == Grant(NAME, DAY, 1000, 0, 0)
    assert spent(book) == (0, 1000)
    book.charge(7, NAME, DAY, 300)
    assert spent(book) == (300, 700), "what is held unspent falls as the journal is read"


def test_slices_shrink_as_the_limit_nears() -> None:
    book = book_of(2, 1, 2)
    given = [ask(book, 1 + turn % 2, 5).granted for turn in range(12)]
    assert given == sorted(given, reverse=True)
    assert given[0] == 250
    assert given[-1] < 20
    assert sum(given) <= 1000
    assert spent(book) == (0, sum(given))


def test_who_wants_nothing_learns_what_is_left_and_takes_nothing_from_anybody() -> None:
    book = book_of(2, 1, 2)
    assert ask(book, 1, 900).granted == 900
    book.charge(1, NAME, DAY, 300)
    before = spent(book)
    assert book.ask(2, [LeaseRequest(NAME, DAY, 0)]) == ([Grant(NAME, DAY, 0, 100, 600)], {})
    assert ask(book, 1, 100).granted == 100
    assert book.ask(2, [LeaseRequest(NAME, DAY, 0)]) == ([Grant(NAME, DAY, 0, 0, 700)], {})
    assert spent(book) == (before[0], before[1] + 100)


def test_nothing_is_granted_where_it_would_not_be_enough_and_the_others_are_asked_to_give_back() -> None:
    book = book_of(2, 1, 2)
    assert ask(book, 1, 900).granted == 900
    grants, recalls = book.ask(2, [LeaseRequest(NAME, DAY, 200)])
    assert grants == [Grant(NAME, DAY, 0, 100, 900)]
    assert recalls == {1: [(NAME, DAY)]}
    book.give_back(1, [Return(NAME, DAY, 850, 0)])
    assert ask(book, 2, 200) == Grant(NAME, DAY, 237, 713, 50)


def test_grants_and_returns_that_cross_do_not_undo_each_other() -> None:
    book = book_of(2, 1, 2)
    ask(book, 1, 300)
    ask(book, 1, 100)  # on its way
    book.give_back(1, [Return(NAME, DAY, 300, 0)])  # told before that arrived
    assert spent(book)[1] == ask(book, 2, 1000 - 100 - 300).leased_elsewhere


def test_a_worker_says_what_its_windows_opened_with() -> None:
    """Control thought that a window opened with 500; it did not, or did with less."""
    for opened in (0, 5):
        book = LeaseTable(2)
        configure(book, 1000)
        book.hello(1, 0, EARLY, [], NOW)
        book.hello(2, 1, EARLY, [], NOW)
        assert ask(book, 2, 100, 500) == Grant(NAME, DAY, 0, 0, 500)
        book.give_back(1, [Return(NAME, DAY, 0, opened)])
        book.give_back(1, [Return(NAME, DAY, 0, opened)])
        assert spent(book) == (0, 500 + opened)
        assert ask(book, 1, 1, opened).leased_elsewhere == 500, "saying it again changes nothing"


def test_who_asks_is_given_what_it_was_only_thought_to_hold() -> None:
    book = LeaseTable(2)
    configure(book, 1000)
    book.hello(1, 0, EARLY, [], NOW)
    book.hello(2, 1, EARLY, [], NOW)
    book.charge(1, NAME, DAY, 0)
    assert spent(book) == (0, 1000), "both may have opened it with their share"
    assert ask(book, 2, 100, opened=5) == Grant(NAME, DAY, 123, 372, 500)
    assert spent(book) == (0, 500 + 5 + 123)


def test_what_is_held_is_what_the_worker_says_when_it_calls() -> None:
    book = book_of(2, 1, 2)
    ask(book, 1, 400)  # and the grant is lost with the line
    book.hello(1, 0, None, [Holding(NAME, DAY, 120, 20)], NOW)
    assert spent(book) == (0, 120)
    book.give_back(1, [Return(NAME, DAY, 100, 20)])
    assert spent(book) == (0, 20)


def test_a_dead_workers_lease_is_free_only_after_its_journal_was_read() -> None:
    book = book_of(2, 1, 2)
    ask(book, 1, 900)
    assert ask(book, 2, 500).granted == 0
    book.charge(1, NAME, DAY, 250)
    assert ask(book, 2, 500).granted == 0
    book.charge(1, NAME, DAY, 50)  # an open intent
    book.retire(1, NOW)
    assert spent(book) == (300, 0)
    assert ask(book, 2, 500) == Grant(NAME, DAY, 700, 0, 0), "and the other is alone now"


def test_an_overrun_leaves_less_for_the_others() -> None:
    book = book_of(2, 1, 2)
    ask(book, 1, 100)
    book.charge(1, NAME, DAY, 990)
    assert spent(book) == (990, 0)
    assert ask(book, 2, 11).granted == 0
    assert ask(book, 2, 10).granted == 10


def test_a_lowered_limit_is_lent_no_further_and_a_raised_one_is() -> None:
    book = book_of(1, 1)
    ask(book, 1, 1000)
    book.charge(1, NAME, DAY, 400)
    book.give_back(1, [Return(NAME, DAY, 600, 0)])
    configure(book, 300)
    assert ask(book, 1, 1) == Grant(NAME, DAY, 0, 0, 0)
    raised = configure(book, 500)
    assert ask(book, 1, 1).granted == 100
    assert book.status() == [Spent(NAME, DAY, 400, 100, raised)]


def test_a_limit_that_is_gone_refuses_nothing_and_its_spending_is_kept() -> None:
    book = book_of(1, 1)
    ask(book, 1, 10)
    book.charge(1, NAME, DAY, 990)
    book.configure({})
    assert ask(book, 1, 5000).granted == 5000
    book.give_back(1, [Return(NAME, DAY, 5010, 0)])
    book.forget_ended(NOW, 0.0)
    book.forget_ended(NOW, KEEP_S + 1)
    configure(book, 1000)
    assert book.status()[0].posted == 990


# After a start.


def test_what_was_spent_is_known_from_the_store() -> None:
    book = book_of(1, 7)
    book.restore([(NAME, DAY, 5, 300), (NAME, DAY, 7, 100)])
    assert spent(book) == (400, 0)
    book.hello(7, 0, Share(1, 1, NOW), [Holding(NAME, DAY, 250, 0)], NOW)
    assert spent(book) == (400, 150), "of what it holds, it has spent 100"
    assert ask(book, 7, 1).granted == 450


def test_no_share_is_given_before_every_worker_has_called() -> None:
    book = book_of(1, knows_all=False)
    assert book.join(2, 0, NOW) == NO_SHARE
    assert book.hello(1, 0, Share(1, 1, 5.0), [], NOW) == Share(1, 1, 5.0)
    assert book.know_all(NOW) == [], "the first has all there is"
    assert book.draining(1, NOW) == [(2, Share(1, 1, NOW + 1))]


def test_a_worker_that_opens_no_window_of_before_is_not_taken_to_hold_any() -> None:
    book = LeaseTable(2)
    configure(book, 1000)
    late = Share(1, 2, NOW)
    assert book.hello(1, 0, late, [], NOW) == late
    assert book.hello(2, 1, EARLY, [], NOW) == EARLY
    assert book.hello(2, 1, late, [], NOW) == late, "its configuration has changed since"
    book.hello(1, 0, late, [Holding(NAME, DAY, 700, 500)], NOW)
    assert spent(book) == (0, 700)


# Whatever the order.

SHARE_OF_ALL = Share(1, 4, 0.0)
DEAD, LIVING, SILENT, KILLED = 1, 2, 3, 4  # epochs; the last calls, and dies before control has read what it sent
Step = tuple[str, int]


def after(order: Iterable[Step], spent_by: dict[int, int], read: int) -> list[Spent]:
    """What the book comes to where control begins anew and hears of all this in that order. `spent_by` is what the
    store has of each worker at first, `read` what is read of a journal on top of it."""
    book = LeaseTable(4, knows_all=False)
    store = dict(spent_by)
    holding = {
        LIVING: [Holding(NAME, DAY, 300, 250)],
        KILLED: [Holding(NAME, DAY, 200, 100)],
        SILENT: [],  # it has not opened the window yet, and will open it with its share
    }
    for step, epoch in order:
        if step == "configure":
            book.configure({NAME: USD})
        elif step == "hello":
            book.hello(epoch, epoch, SHARE_OF_ALL, holding[epoch], NOW)
        elif step == "retire":
            book.retire(epoch, NOW)
        elif epoch in store:
            book.restore([(NAME, DAY, epoch, store[epoch])])
            if step == "read":  # which begins where the store says, so that was asked before
                store[epoch] += read
                book.charge(epoch, NAME, DAY, read)
    return book.status()


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
def test_control_that_begins_anew_comes_to_the_same_in_whatever_order_it_hears_of_things(
    order: list[Step], spent_by: dict[int, int], read: int
) -> None:
    posted = sum(spent_by.values()) + 3 * read
    lent = max(0, 300 - spent_by[LIVING] - read) + 250
    assert after(order, spent_by, read) == [Spent(NAME, DAY, posted, lent, USD)]


def test_what_was_spent_before_control_began_anew_stays_when_its_worker_ends() -> None:
    """Workers call before the store is read, and end later in the same window."""
    book = book_of(1, knows_all=False)
    book.hello(7, 0, Share(1, 1, NOW), [Holding(NAME, DAY, 1000, 0)], NOW)
    book.restore([(NAME, DAY, 7, 920)])
    assert spent(book) == (920, 80), "one row for one limit"
    book.know_all(NOW)
    book.retire(7, NOW)
    book.join(8, 0, NOW)
    assert ask(book, 8, 80) == Grant(NAME, DAY, 80, 0, 0)


def test_nothing_is_lent_before_all_is_known() -> None:
    book = book_of(1, 7, knows_all=False)
    assert ask(book, 7, 1) == Grant(NAME, DAY, 0, 0, 0)
    book.know_all(NOW)
    assert ask(book, 7, 1) == Grant(NAME, DAY, 0, 0, 0)
    book.restore([])
    assert ask(book, 7, 1) == Grant(NAME, DAY, 1000, 0, 0)


def test_what_a_store_has_lost_and_is_told_again_counts_once() -> None:
    book = book_of(1, 7)
    book.charge(7, NAME, DAY, 300)
    book.charge(8, NAME, DAY, 30)
    book.restore([(NAME, DAY, 7, 100)], {7, 8})
    assert spent(book) == (330, 0)
    for amount in (150, 20, 40, 5):
        book.charge(7, NAME, DAY, amount)
    book.charge(8, NAME, DAY, 30)
    assert spent(book) == (345, 0)


def test_a_limit_that_comes_later_counts_what_workers_may_have_opened_windows_with() -> None:
    book = LeaseTable(2)
    book.hello(1, 0, EARLY, [], NOW)
    book.hello(2, 1, EARLY, [Holding(NAME, DAY, 20, 20)], NOW)
    assert book.status() == [Spent(NAME, DAY, 0, 20, None)]
    configure(book, 1000)
    assert spent(book) == (0, 520)
    after_it = DAY + 86_400.0
    book.forget_ended(after_it, 0.0)
    book.forget_ended(after_it, KEEP_S + 1)
    assert book.status() == [], "and is forgotten like any other"


# Shares.


def test_shares_never_exceed_the_whole() -> None:
    book = book_of(2)
    assert [book.join(epoch, slot, NOW) for epoch, slot in ((1, 0), (2, 1), (3, 0), (4, 1))] == [
        Share(1, 2, NOW + 1),
        Share(1, 2, NOW + 1),
        NO_SHARE,
        NO_SHARE,
    ]
    assert book.draining(2, NOW + 5.5) == [(4, Share(1, 2, NOW + 6))], "who follows in the slot comes first"
    assert book.draining(2, NOW + 6) == []
    assert book.retire(2, NOW + 7) == []
    assert book.retire(1, NOW + 8) == [(3, Share(1, 2, NOW + 9))], "a killed one keeps its share until it is read"


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 2), (1, 3)])
def test_nor_do_they_while_the_number_of_workers_changes(before: int, after: int) -> None:
    book = book_of(before, *range(before))
    book.size = after
    shares = {epoch: book.join(epoch, 0, NOW) for epoch in range(before)}

    def total() -> float:
        return sum(share.part / share.whole for share in shares.values())

    for number in range(max(before, after)):
        if number < after:
            shares[100 + number] = book.join(100 + number, number, NOW)
        if number < before:
            shares[number] = NO_SHARE
            shares.update(book.draining(number, NOW))
        assert total() <= 1 + 1e-9
    assert total() == pytest.approx(1)


def test_a_worker_that_drains_gets_no_share_again() -> None:
    book = book_of(1, 1)
    book.draining(1, NOW)
    assert book.hello(1, 0, NO_SHARE, [], NOW) == NO_SHARE


def test_windows_that_begin_with_a_share_are_taken_to_be_opened() -> None:
    book = LeaseTable(2)
    configure(book, 1000)
    book.hello(1, 0, EARLY, [], NOW)
    book.join(2, 1, NOW)  # in the middle of this window
    book.charge(1, NAME, DAY, 100)
    assert spent(book) == (100, 400)
    book.draining(1, NOW + 5)
    tomorrow = DAY + 86_400
    book.charge(2, NAME, tomorrow, 1)
    found = next(found for found in book.status() if found.window == tomorrow)
    assert (found.posted, found.leased) == (1, 499), "the one that drains opens it no more"


def test_a_clock_that_was_set_back_gives_no_window_twice() -> None:
    book = book_of(1)
    book.hello(1, 0, Share(1, 1, 0.0), [], NOW)
    book.charge(1, NAME, DAY, 1)
    book.draining(1, DAY - 10.0)
    assert book.join(2, 0, DAY - 10.0).since > DAY


# Memory.


def test_windows_that_are_over_are_forgotten_whatever_was_left_in_them() -> None:
    book = book_of(1, 1)
    ask(book, 1, 10)
    after = DAY + 86_400.0
    book.forget_ended(after, 50.0)
    book.forget_ended(after, 50.0 + KEEP_S)
    assert book.status(), "attempts that began in it may still be charged"
    book.forget_ended(after, 51.0 + KEEP_S)
    assert book.status() == []


def test_a_clock_that_is_wrong_for_a_moment_has_nothing_forgotten() -> None:
    book = book_of(1, 1)
    book.charge(1, NAME, DAY, 990)
    book.forget_ended(NOW + 1e9, 50.0)
    book.forget_ended(NOW, 60.0)
    book.forget_ended(NOW + 1e9, 51.0 + KEEP_S)
    assert book.status()[0].posted == 990


def test_windows_are_found_by_their_owner() -> None:
    book = book_of(1, 1)
    other = "virtual_key:you|usd|day"
    book.restore([(other, DAY, 5, 300)])
    ask(book, 1, 10)
    assert set(book.names()) == {(NAME, DAY), (other, DAY)}
    assert book.names("virtual_key:you") == [(other, DAY)]
    assert book.spent_in((other, DAY)).posted == 300
    book.charge(1, other, DAY, 1)
    assert book.names("virtual_key:you") == [(other, DAY)]
    assert book.spent_in((other, DAY)).posted == 301
    assert book.names("virtual_key:yo") == []


def test_very_many_windows_are_forgotten_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "FORGET_AT_ONCE", 10)
    made = [
        Limit(level="virtual_key", owner=f"virtual_key:{number}", metric="usd", period=Period("day"), amount=1000)
        for number in range(25)
    ]
    limits = {one.counter: one for one in made}
    book = LeaseTable(1)
    book.configure(limits)
    for counter in limits:
        book.charge(1, counter, DAY, 7)
    book.charge(1, next(iter(limits)), DAY + 86_400, 7)
    after = DAY + 86_400.0
    book.forget_ended(after, 0.0)
    left = []
    for _ in range(4):
        book.forget_ended(after, KEEP_S + 1)
        left.append(len(book.names()))
    assert left == [16, 6, 1, 1]
    assert book.names("virtual_key:24") == book.names("virtual_key:3") == []
    assert book.names("virtual_key:0") == [(next(iter(limits)), DAY + 86_400)]


# What is lent before it is asked for.


def ahead(book: LeaseTable, epoch: int, grant: Grant, *reached: int) -> dict[int, int]:
    """How much each other worker is lent."""
    found = book.lease_ahead(epoch, [grant], reached)
    assert all((one.counter, one.window) == (NAME, DAY) for grants in found.values() for one in grants)
    return {other: one.granted for other, (one,) in found.items()}


def test_others_are_lent_a_part_of_what_one_asks_for() -> None:
    book = book_of(3, 1, 2, 3)
    grant = ask(book, 1, 100)
    assert grant.granted == 166
    assert ahead(book, 1, grant, 1, 2, 3) == {2: 139, 3: 139}
    assert spent(book) == (0, 166 + 2 * 139)
    assert ahead(book, 1, ask(book, 1, 100), 1, 2, 3) == {}, "once"
    assert ahead(book, 2, ask(book, 2, 100), 1, 2, 3) == {}


def test_nothing_is_lent_ahead_to_who_is_not_there_or_leaves_or_has_a_share() -> None:
    book = book_of(3, 1, 2, 3)
    book.draining(3, NOW)
    assert ahead(book, 1, ask(book, 1, 100), 1, 3) == {}
    early = LeaseTable(2)
    configure(early, 1000)
    for epoch in (1, 2):
        early.hello(epoch, epoch - 1, EARLY, [], NOW)
    assert ahead(early, 1, ask(early, 1, 100, 500), 1, 2) == {}


def test_nothing_is_lent_ahead_where_there_was_not_enough() -> None:
    book = book_of(2, 1, 2)
    grant = ask(book, 1, 1001)
    assert grant.granted == 0
    assert ahead(book, 1, grant, 1, 2) == {}
    assert ahead(book, 1, ask(book, 1, 998), 1, 2) == {}, "of 2 no part is left for anybody"


def test_what_was_lent_ahead_and_did_not_arrive_is_free_again() -> None:
    book = book_of(2, 1, 2)
    assert ahead(book, 1, ask(book, 1, 500), 1, 2) == {2: 125}
    book.hello(2, 1, NO_SHARE, [], NOW)
    assert spent(book) == (0, 500)
    assert ahead(book, 1, ask(book, 1, 100), 1, 2) == {2: 93}
    book.hello(2, 1, NO_SHARE, [Holding(NAME, DAY, 93)], NOW)
    assert spent(book) == (0, 500 + 125 + 93)


def test_what_was_lent_ahead_and_spoken_of_is_what_the_worker_says() -> None:
    book = book_of(2, 1, 2)
    assert ahead(book, 1, ask(book, 1, 500), 1, 2) == {2: 125}
    book.give_back(2, [Return(NAME, DAY, 125)])
    assert spent(book) == (0, 500)
    book.hello(2, 1, NO_SHARE, [], NOW)
    assert spent(book) == (0, 500)
    book.retire(2, NOW)
    assert spent(book) == (0, 500)


def test_what_is_corrected_is_free_at_once_whoever_spent_it() -> None:
    book = book_of(1, 7)
    ask(book, 7, 1000)
    book.charge(7, NAME, DAY, 1000)
    assert ask(book, 7, 300).granted == 0
    for _ in range(2):
        book.corrected(NAME, DAY, -400)
        assert spent(book) == (600, 0), "it is told in all, so telling it twice changes nothing"
    assert ask(book, 7, 300).granted == 400


def test_a_correction_outlives_the_book_while_the_worker_lives() -> None:
    rows = [(NAME, DAY, 7, 1000), (NAME, DAY, CORRECTIONS, -400)]
    holding = Holding(NAME, DAY, 1000)
    for early in (True, False):
        book = book_of(1, knows_all=False)
        if early:
            book.hello(7, 0, NO_SHARE, [holding], NOW)
        for _ in range(2):
            book.restore(rows)
        if not early:
            book.hello(7, 0, NO_SHARE, [holding], NOW)
        book.know_all(NOW)
        assert spent(book) == (600, 0)
