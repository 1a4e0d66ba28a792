"""Requests that are not admitted leave few records, and keys cannot be guessed without end."""

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.failures import Failure
from pointsman.engine.rejections import FAILURES, MAX_ADDRESSES, RECORDS_PER_S, WINDOW_S, RejectionThrottle

WRONG = Failure(failures.UNKNOWN_KEY, "no valid key")


class Now:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_few_records_a_second_are_kept_and_the_others_counted() -> None:
    clock = Now()
    rejections = RejectionThrottle(clock)
    assert [rejections.should_keep() for _ in range(20_000)].count(True) == RECORDS_PER_S
    clock.now += 1
    assert rejections.should_keep()
    assert rejections.take_left_out() == 20_000 - RECORDS_PER_S
    assert rejections.take_left_out() == 0


def test_address_with_many_wrong_keys_must_wait() -> None:
    clock = Now()
    rejections, access = RejectionThrottle(clock), Access()
    returned = [rejections.throttle("192.0.2.1", WRONG, access) for _ in range(FAILURES + 1)]
    assert returned[:-1] == [WRONG] * FAILURES
    assert returned[-1].kind is failures.TOO_MANY_WRONG_KEYS
    assert returned[-1].kind.status == 429
    assert "192.0.2.1" in returned[-1].message
    assert returned[-1].retry_after_s is not None
    assert 0 < returned[-1].retry_after_s <= WINDOW_S
    assert rejections.throttle("192.0.2.2", WRONG, access) is WRONG
    clock.now += WINDOW_S
    assert rejections.throttle("192.0.2.1", WRONG, access) is WRONG


def test_ipv6_subscriber_counts_as_one_address() -> None:
    rejections = RejectionThrottle(Now())
    for number in range(FAILURES):
        rejections.throttle(f"2001:db8::{number:x}", WRONG, Access())
    assert rejections.throttle("2001:db8::ffff", WRONG, Access()) is not WRONG
    assert rejections.throttle("2001:db8:0:1::1", WRONG, Access()) is WRONG


def test_trusted_proxy_never_has_to_wait() -> None:
    rejections, access = RejectionThrottle(Now()), Access(("10.0.0.0/8",))
    assert all(rejections.throttle("10.1.2.3", WRONG, access) is WRONG for _ in range(5 * FAILURES))


def test_number_of_remembered_addresses_is_bounded() -> None:
    rejections = RejectionThrottle(Now())
    for number in range(MAX_ADDRESSES + 100):
        rejections.throttle(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", WRONG, Access())
    assert len(rejections._failures) == MAX_ADDRESSES
