"""Requests that nobody let in cost little: few records, and no endless guessing."""

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.failures import Failure
from pointsman.engine.rejections import FAILURES, MAX_ADDRESSES, RECORDS_PER_S, WINDOW_S, RejectionThrottle

WRONG = Failure(failures.UNKNOWN_KEY, "no valid key")


class Now:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_records_a_second_are_kept_and_the_others_counted() -> None:
    clock = Now()
    door = RejectionThrottle(clock)
    assert [door.keeps() for _ in range(20_000)].count(True) == RECORDS_PER_S
    clock.now += 1
    assert door.keeps()
    assert door.left_out() == 20_000 - RECORDS_PER_S
    assert door.left_out() == 0


def test_an_address_with_many_wrong_keys_is_told_to_wait() -> None:
    clock = Now()
    door, access = RejectionThrottle(clock), Access()
    told = [door.wrong_key("192.0.2.1", WRONG, access) for _ in range(FAILURES + 1)]
    assert told[:-1] == [WRONG] * FAILURES
    assert told[-1].kind is failures.TOO_MANY_WRONG_KEYS
    assert told[-1].kind.status == 429
    assert "192.0.2.1" in told[-1].message
    assert told[-1].retry_after_s is not None
    assert 0 < told[-1].retry_after_s <= WINDOW_S
    assert door.wrong_key("192.0.2.2", WRONG, access) is WRONG
    clock.now += WINDOW_S
    assert door.wrong_key("192.0.2.1", WRONG, access) is WRONG


def test_a_subscriber_of_ipv6_counts_as_one() -> None:
    door = RejectionThrottle(Now())
    for number in range(FAILURES):
        door.wrong_key(f"2001:db8::{number:x}", WRONG, Access())
    assert door.wrong_key("2001:db8::ffff", WRONG, Access()) is not WRONG
    assert door.wrong_key("2001:db8:0:1::1", WRONG, Access()) is WRONG


def test_a_trusted_proxy_is_never_told_to_wait() -> None:
    door, access = RejectionThrottle(Now()), Access(("10.0.0.0/8",))
    assert all(door.wrong_key("10.1.2.3", WRONG, access) is WRONG for _ in range(5 * FAILURES))


def test_what_is_remembered_is_bounded() -> None:
    door = RejectionThrottle(Now())
    for number in range(MAX_ADDRESSES + 100):
        door.wrong_key(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", WRONG, Access())
    assert len(door._failures) == MAX_ADDRESSES
