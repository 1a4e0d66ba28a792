"""An attempt is reserved and its intent stored before it is sent. It is charged when it has ended."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep, time
from typing import cast

import pytest
from msgspec.structs import replace

from fakes.batches import WORK
from fakes.clock import PATIENCE_S
from fakes.exchange import claim_of, exchange_of
from fakes.journal import read_all
from fakes.money import PLAIN, limit, make_call
from fakes.routing import endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.batches import SENT, VOID
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import NO_SHARE, Grant, LeaseRequest, LeaseUnavailable
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing, Snapshot
from pointsman.domain.targets import candidate
from pointsman.domain.verdicts import Reason
from pointsman.engine import billing as module
from pointsman.engine.billing import Billing, ReservedAttempt, lease_requests
from pointsman.engine.lease_client import LeaseClient
from pointsman.engine.live import Live
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.tasks import Bell
from pointsman.journal import writer as writing
from pointsman.journal.records import BatchRecord, ChargeScope, CounterRef, Intent, Outcome
from pointsman.journal.writer import JournalUnavailable, JournalWriter
from pointsman.money.fit import MIN_OUTPUT, DoesNotFit, ShortenedCall, moment
from pointsman.money.ledger import Ledger, Shortfall
from pointsman.money.terms import DEFAULT_OUTPUT
from pointsman.providers import PROVIDERS

ALPHA = candidate(endpoint("alpha"), "gpt-4o")
ROOMY = 10**12
BUDGET = limit("usd", ROOMY)


def configured(
    *limits: Limit, price: bool = True, unknown: str = "allow-and-flag", output: int | None = None
) -> Snapshot:
    key = VirtualKey(name="me", digest=b"d", team="t", customer="c", limits=limits)
    override = PriceOverride(model="*", owner=None, price=PLAIN if price else None, output=output)
    built = snapshot([ALPHA.endpoint])
    return replace(built, virtual_keys={b"d": key}, pricing=Pricing(unknown, (override,)))


class Scene:
    def __init__(
        self,
        configuration: Snapshot,
        journal: JournalWriter | None = None,
        ledger: Ledger | None = None,
        lease_client: LeaseClient | None = None,
    ) -> None:
        self.live = Live(configuration)
        self.billing = Billing(self.live, ledger or Ledger(), journal, lease_client)
        self.key = configuration.virtual_keys[b"d"]
        self.billing_terms = self.billing.terms_cache.find(self.live.snapshot, self.key, ALPHA)

    def reserve(self, call: Call | None = None, request_id: str = "r", ordinal: int = 1) -> ReservedAttempt:
        found = self.try_to_reserve(call, request_id, ordinal)
        assert isinstance(found, ReservedAttempt)
        return found

    def try_to_reserve(
        self, call: Call | None = None, request_id: str = "r", ordinal: int = 1
    ) -> ReservedAttempt | Reason | list[Shortfall]:
        return self.billing.reserve(self.billing_terms, call or make_call(max_tokens=100), request_id, ordinal)

    def fit_failure(self, shortfalls: list[Shortfall]) -> DoesNotFit:
        found = self.billing.fit(
            self.billing_terms, make_call(max_tokens=100), shortfalls, monotonic(), accepts_shorter=False
        )
        assert isinstance(found, DoesNotFit)
        return found

    def settled(self, counter: Limit) -> int:
        return self.billing.ledger.account((counter,)).counters[0].window.settled


class SilentLeaseClient:
    """A client of control that gets no answers."""

    def ask(
        self, lease_requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        pass


def shortfalls_of(scene: Scene) -> list[Shortfall]:
    """Return the limits that have no room for another attempt."""
    shortfalls = scene.try_to_reserve(request_id="another")
    assert isinstance(shortfalls, list)
    return shortfalls


def receiver_of(usage: Usage | None) -> AnswerReceiver:
    exchange, _ = exchange_of()
    receiver = AnswerReceiver(make_call(), PROVIDERS["openai"].codecs["chat"], claim_of(exchange), Bell(), Routing())
    receiver.usage = usage
    return receiver


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 16)
    yield writer
    writer.close()


def test_attempt_is_reserved_charged_and_journaled(journal: JournalWriter) -> None:
    provider = limit("requests", 9, "minute", level="provider", name="alpha")
    scene = Scene(configured(BUDGET, provider), journal)
    reserved = scene.reserve()
    assert (reserved.attempt_id, reserved.bound.nano, reserved.bound.tokens) == ("r-1", 612 * 150 + 100 * 600, 712)
    (intent,) = read_all(journal.folder, is_live=True)[0]
    assert isinstance(intent, Intent)
    assert (intent.request_id, intent.ordinal, intent.nano, intent.tokens) == (
        "r",
        1,
        reserved.bound.nano,
        reserved.bound.tokens,
    )
    charge = scene.billing.settle(reserved, receiver_of(Usage(10, 5, tokens_cached=3, tokens_reasoning=2)), None)
    assert charge.nano == 10 * 150 + 5 * 600
    assert scene.settled(BUDGET) == charge.nano
    _, outcome = read_all(journal.folder, is_live=True)[0]
    assert isinstance(outcome, Outcome)
    expected = (charge.nano, 10, 5, 3, 2, "ok", "provider", True, 15, charge.nano)
    assert outcome == Outcome(reserved.billing_terms.scope.number, "r", 1, outcome.at, *expected)
    assert reserved.billing_terms.scope.counters == (
        CounterRef(counter=BUDGET.counter, metric="usd", unit="day"),
        CounterRef(counter=provider.counter, metric="requests", unit="minute", counts_attempts=True),
    )
    assert (
        reserved.billing_terms.scope.virtual_key,
        reserved.billing_terms.scope.team,
        reserved.billing_terms.scope.customer,
    ) == ("me", "t", "c")


def test_failed_attempt_is_recorded_and_costs_nothing(journal: JournalWriter) -> None:
    scene = Scene(configured(BUDGET), journal)
    charge = scene.billing.settle(scene.reserve(), receiver_of(None), failure(failures.CONNECT_FAILED))
    assert (charge.nano, scene.settled(BUDGET), scene.billing.ledger.open_attempts) == (0, 0, 0)
    outcome = read_all(journal.folder, is_live=True)[0][-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.outcome, outcome.source) == ("connect_failed", "none")


def test_attempt_without_room_is_not_journaled(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 10)), journal)
    shortfalls = scene.try_to_reserve()
    assert isinstance(shortfalls, list)
    assert lease_requests(shortfalls) == [
        LeaseRequest(shortfalls[0].limit.counter, shortfalls[0].window, shortfalls[0].amount - 10, 10)
    ]
    assert read_all(journal.folder, is_live=True)[0] == []


def test_unwritable_intent_leaves_no_reservation(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 1 << 90)), journal)
    with pytest.raises(OverflowError):
        scene.try_to_reserve(make_call(max_tokens=1 << 70))
    assert scene.billing.ledger.open_attempts == 0


# Maximums of answers.


@pytest.mark.parametrize(
    ("limits", "operation", "is_bounded"),
    [
        ((BUDGET,), "chat", True),
        ((limit("tokens", ROOMY),), "completion", True),
        ((limit("requests", 9),), "chat", False),
        ((limit("usd", 9, soft=True),), "chat", False),
        ((BUDGET,), "responses", False),
        ((), "chat", False),
    ],
)
def test_answer_without_a_maximum_gets_one_if_it_counts_in_a_limit(
    limits: tuple[Limit, ...], operation: Operation, is_bounded: bool
) -> None:
    for known, bound in ((50, 50), (None, DEFAULT_OUTPUT)):
        scene = Scene(configured(*limits, output=known))
        asked = make_call(operation)
        sent = scene.reserve(asked).call
        assert sent.max_tokens == (bound if is_bounded else None)
        assert asked.max_tokens is None, "the client's call is unchanged: another attempt may need another maximum"
        assert scene.reserve(make_call(operation, max_tokens=7), "r2").call.fields == {}


def test_free_calls_reserve_nothing(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 1), limit("tokens", 1), price=False), journal)
    for number, call in enumerate((make_call("file", size=10**8), make_call("other", method="GET"))):
        reserved = scene.reserve(call, str(number))
        assert (reserved.bound.nano, reserved.bound.tokens) == (0, 0)
        kept = scene.billing.settle(reserved, receiver_of(Usage(8, 5)), None)
        assert (kept.nano, kept.tokens) == (0, 0), "the reported usage was charged before"
    assert len(read_all(journal.folder, is_live=True)[0]) == 4


# Unknown prices.


@pytest.mark.parametrize(
    ("limits", "unknown", "expected"),
    [
        ((BUDGET,), "allow-and-flag", "and a budget applies"),
        ((BUDGET,), "deny", "and a budget applies"),
        ((), "deny", "and pricing.unknown is deny"),
        ((limit("usd", 9, soft=True),), "deny", "and pricing.unknown is deny"),
        ((limit("usd", 9, soft=True),), "allow-and-flag", None),
        ((limit("tokens", ROOMY),), "allow-and-flag", None),
        ((), "allow-and-flag", None),
    ],
)
def test_unknown_price_is_rejected_by_policy_and_by_a_budget(
    limits: tuple[Limit, ...], unknown: str, expected: str | None
) -> None:
    scene = Scene(configured(*limits, price=False, unknown=unknown))
    found = scene.try_to_reserve()
    if expected is None:
        assert isinstance(found, ReservedAttempt)
        assert scene.billing.settle(found, receiver_of(Usage(1, 1)), None).is_priced is False
    else:
        message = f"the price of alpha/gpt-4o is unknown, {expected}; set it in pricing.overrides"
        assert found == Reason("price_unknown", message)
    assert scene.billing.ledger.open_attempts == 0


@pytest.mark.parametrize("operation", ["batch", "other"])
@pytest.mark.parametrize("price", [True, False])
def test_operation_billed_later_is_rejected_by_a_budget(operation: Operation, price: bool) -> None:
    scene = Scene(configured(BUDGET, price=price))
    found = scene.try_to_reserve(make_call(operation))
    assert isinstance(found, Reason)
    assert (found.code, "until the provider has completed it" in found.message) == ("price_unknown", True)
    assert scene.billing.ledger.open_attempts == 0
    assert isinstance(scene.try_to_reserve(make_call(operation, path="/batches/b/cancel")), ReservedAttempt)
    assert isinstance(
        Scene(configured(limit("usd", 9, soft=True))).try_to_reserve(make_call(operation)), ReservedAttempt
    )


def test_operation_billed_later_may_have_a_price_per_request() -> None:
    configuration = configured(BUDGET)
    override = PriceOverride(model="*", owner=None, price=replace(PLAIN, request_nano=7), output=None)
    scene = Scene(replace(configuration, pricing=Pricing("allow-and-flag", (override,))))
    assert scene.reserve(make_call("batch")).bound.nano > 7
    free = PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=0), is_by_request=True), output=None)
    scene = Scene(replace(configuration, pricing=Pricing("allow-and-flag", (free,))))
    assert scene.reserve(make_call("batch")).bound.nano == 0, "0 is free, and known"


# A full journal.


def test_full_journal_rejects_limited_attempts_and_counts_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=4096, max_bytes=4096)
    ends_at = monotonic() + PATIENCE_S
    while writer.problem is None:
        assert monotonic() < ends_at
        sleep(0.001)
    monkeypatch.setattr(writing, "RESERVED_BYTES", 4096)
    scene = Scene(configured(BUDGET), writer)
    found = scene.try_to_reserve()
    assert isinstance(found, Reason)
    assert found.code == "journal_unavailable"
    assert "has reached its limit" in found.message
    assert scene.billing.ledger.open_attempts == 0, "nothing stays reserved"
    free = Scene(configured(), writer)
    free.reserve()
    assert free.billing.unrecorded == 1
    writer.close()


@pytest.mark.parametrize("error", [JournalUnavailable("full"), OSError("broken")])
def test_batch_whose_intent_cannot_be_stored_was_never_made(error: Exception) -> None:
    stored: list[BatchRecord] = []

    class Broken:
        def store(self, scope: ChargeScope, record: BatchRecord) -> None:
            stored.append(record)

        def intent(self, *arguments: object, **more: object) -> None:
            raise error

    scene = Scene(configured(BUDGET), cast("JournalWriter", Broken()))
    call = replace(make_call("batch"), batch=WORK)
    with contextlib.suppress(OSError):
        assert isinstance(scene.try_to_reserve(call), Reason)
    assert [one.state for one in stored] == [SENT, VOID], "control must not look for it"
    assert scene.billing.ledger.open_attempts == 0


# Rejections.


def test_rejection_names_the_limit_and_the_amount_left() -> None:
    tight = limit("usd", 160_000)
    scene = Scene(configured(tight, limit("requests", 5, "minute")))
    scene.reserve(make_call(max_tokens=1))
    reason = scene.fit_failure(shortfalls_of(scene)).reason
    assert reason.code == "over_budget"
    left = "the budget of $0.00016 per day of virtual key me has $0.0000676 left"
    until = moment(tight.period.window(time())[1])
    assert reason.message == f"{left} until {until}, but this attempt may need up to $0.0001518"
    assert reason.until is not None
    assert 0 < reason.until - monotonic() <= 86_400
    assert scene.live.exhausted == {}, "a smaller request may fit"


def test_attempt_larger_than_a_limit_gets_no_retry_time() -> None:
    scene = Scene(configured(limit("tokens", 700, "minute")))
    reason = scene.fit_failure(shortfalls_of(scene)).reason
    assert reason.code == "over_rate_limit"
    limited = "the limit of 700 tokens per minute of virtual key me"
    assert reason.message.startswith(
        f"{limited} is less than the 712 that this attempt may need; it has 700 left until"
    )
    assert reason.until is None
    assert scene.live.exhausted == {}


def test_limit_is_exhausted_only_if_nothing_is_left_or_reserved() -> None:
    tight = limit("requests", 1, "minute")
    scene = Scene(configured(tight))
    reserved = scene.reserve()
    assert scene.fit_failure(shortfalls_of(scene)).reason.code == "over_rate_limit"
    assert scene.live.exhausted == {}, "part of the reservation may be released"
    scene.billing.settle(reserved, receiver_of(Usage(1, 1)), None)
    scene.fit_failure(shortfalls_of(scene))
    assert scene.live.exhausted.keys() == {tight.counter}


@pytest.mark.parametrize(
    ("left", "leased", "is_over", "expected"),
    [
        (0, 0, True, "has $0 left"),
        (0, 5, False, "has $0 left and $0.000000005 leased to other workers until"),  # they may return some
        (5, 0, False, "has $0.000000005 left"),  # a smaller request may fit
        (None, None, False, "has $0 left"),  # no answer yet
    ],
)
def test_rejection_counts_the_amount_left_at_control(
    left: int | None, leased: int | None, is_over: bool, expected: str
) -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE), lease_client=SilentLeaseClient())
    shortfalls = shortfalls_of(scene)
    if left is not None and leased is not None:
        scene.billing.note_grants([Grant(BUDGET.counter, shortfalls[0].window, 0, left, leased)], monotonic())
    assert expected in scene.fit_failure(shortfalls).reason.message
    assert (scene.live.exhausted.keys() == {BUDGET.counter}) is is_over


def test_attempt_may_fit_after_others_return_their_leases() -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE), lease_client=SilentLeaseClient())
    shortfalls = shortfalls_of(scene)

    def may_fit(left: int, leased: int) -> bool:
        scene.billing.note_grants([Grant(BUDGET.counter, shortfalls[0].window, 0, left, leased)], monotonic())
        return scene.fit_failure(shortfalls).may_fit

    assert not scene.fit_failure(shortfalls).may_fit
    assert may_fit(10, shortfalls[0].amount - 10)
    assert not may_fit(10, shortfalls[0].amount - 11)


def test_limit_is_spent_for_a_moment_after_a_grant_without_enough() -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE))
    shortfalls = scene.try_to_reserve()
    assert isinstance(shortfalls, list)
    more, window = shortfalls[0].more, shortfalls[0].window

    def is_spent(left: int, leased: int, window: int, *, after_s: float = 0.0) -> bool:
        scene.billing.note_grants([Grant(BUDGET.counter, window, 0, left, leased)], 10.0)
        return scene.billing.is_spent(shortfalls, 10.0 + after_s)

    assert not scene.billing.is_spent(shortfalls, 10.0)
    assert not is_spent(0, 1, window), "another worker has a lease"
    assert is_spent(0, 0, window)
    assert is_spent(more - 1, 0, window)
    assert not is_spent(more, 0, window), "control has enough"
    assert not is_spent(0, 0, window - 86_400), "the grant is for another window"
    assert not is_spent(0, 0, window, after_s=module.GRANT_FRESH_S)


# Shorter answers.


def shorten(call: Call, *limits: Limit, left: int = 0) -> ShortenedCall | None:
    scene = Scene(replace(configured(*limits, output=1000), near_limit="shorten"))
    shortfalls = scene.try_to_reserve(call)
    assert isinstance(shortfalls, list)
    scene.billing.note_grants(
        [Grant(shortfall.limit.counter, shortfall.window, 0, left, 0) for shortfall in shortfalls], 10.0
    )
    found = scene.billing.fit(scene.billing_terms, call, shortfalls, 10.0, accepts_shorter=True)
    return found if isinstance(found, ShortenedCall) else None


def test_shorter_answer_fits_every_limit_and_names_the_tightest() -> None:
    money, tokens = limit("usd", 612 * 150 + 50 * 600), limit("tokens", 612 + 40)
    for limits, longest, named in (((money,), 50, "budget of"), ((money, tokens), 40, "limit of 652 tokens")):
        found = shorten(make_call(max_tokens=100), *limits)
        assert found is not None
        assert found.call.max_tokens == longest
        assert found.reason.code == "shortened"
        assert found.reason.message.startswith(f"the answer is limited to {longest} tokens: the {named}")
    found = shorten(make_call(), money, left=10 * 600)
    assert found is not None
    assert found.call.max_tokens == 60, "the amount left at control counts, and the model's maximum is the default"
    assert found.call.fields == {}, "the codec sets the field"


@pytest.mark.parametrize(
    "call",
    [
        make_call("embedding", size=10**6),
        make_call("image"),
        make_call("responses"),  # only its size is known
        make_call(max_tokens=0),
        make_call(max_tokens=MIN_OUTPUT - 1),
        make_call(size=10**6, max_tokens=100),
    ],
)
def test_calls_without_a_useful_shorter_answer_are_not_shortened(call: Call) -> None:
    assert shorten(call, limit("usd", 512 * 150)) is None


def test_answer_that_fits_by_now_is_not_shortened() -> None:
    call = make_call(max_tokens=100)
    found = shorten(call, limit("usd", 612 * 150), left=100 * 600)
    assert found is not None
    assert found.call is call


# The clock.


def test_windows_follow_the_monotonic_clock_after_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, steady = 1_764_000_000.0, 50.0
    monkeypatch.setattr(module, "time", lambda: wall)
    monkeypatch.setattr(module, "monotonic", lambda: steady)
    tight = limit("requests", 1, "minute")
    scene = Scene(configured(tight))
    scene.billing.settle(scene.reserve(), receiver_of(Usage(1, 1)), None)
    wall -= 3600
    assert isinstance(scene.try_to_reserve(request_id="r2"), list), "the same window"
    steady += 61
    wall += 61
    scene.billing.settle(scene.reserve(request_id="r2"), receiver_of(Usage(1, 1)), None)
    for _ in range(5):
        assert isinstance(scene.try_to_reserve(request_id="r3"), list)
    steady += 60
    wall += 60
    scene.reserve(request_id="r3")
    wall += 7200
    scene.reserve(request_id="r4")
    assert scene.billing.ledger.account((tight,)).counters[0].window.start == wall // 60 * 60
