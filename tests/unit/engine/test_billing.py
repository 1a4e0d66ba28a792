"""Room is reserved and the intent stored before an attempt is sent; what it used is charged when it is over."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.exchange import claim_of, exchange_of
from fakes.journal import read_all
from fakes.money import PLAIN, asking, limit
from fakes.routing import endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import NO_SHARE, Grant, LeaseRequest, LeaseUnavailable
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Reason
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing, Snapshot
from pointsman.domain.targets import candidate
from pointsman.engine import billing as module
from pointsman.engine.billing import Billing, ReservedAttempt, wants
from pointsman.engine.lease_client import LeaseClient
from pointsman.engine.live import Live
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.tasks import Bell
from pointsman.journal import writer as writing
from pointsman.journal.records import CounterRef, Intent, Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.money.fit import MIN_OUTPUT, DoesNotFit, ShortenedCall
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
        self.tab = self.billing.billing_terms.find(self.live.snapshot, self.key, ALPHA)

    def hold(self, call: Call | None = None, request_id: str = "r", ordinal: int = 1) -> ReservedAttempt:
        found = self.try_to_hold(call, request_id, ordinal)
        assert isinstance(found, ReservedAttempt)
        return found

    def try_to_hold(
        self, call: Call | None = None, request_id: str = "r", ordinal: int = 1
    ) -> ReservedAttempt | Reason | list[Shortfall]:
        return self.billing.hold(self.tab, call or asking(max_tokens=100), request_id, ordinal)

    def refused(self, shorts: list[Shortfall]) -> DoesNotFit:
        found = self.billing.fit(self.tab, asking(max_tokens=100), shorts, monotonic(), shortens=False)
        assert isinstance(found, DoesNotFit)
        return found

    def settled(self, counter: Limit) -> int:
        return self.billing.ledger.account((counter,)).counters[0].window.settled


class Mute:
    """A line to control on which nobody answers."""

    def ask(
        self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        pass


def short_of(scene: Scene) -> list[Shortfall]:
    """The limits that have no room for another attempt."""
    shorts = scene.try_to_hold(request_id="another")
    assert isinstance(shorts, list)
    return shorts


def reception_of(usage: Usage | None) -> AnswerReceiver:
    exchange, _ = exchange_of()
    reception = AnswerReceiver(asking(), PROVIDERS["openai"].codecs["chat"], claim_of(exchange), Bell(), Routing())
    reception.usage = usage
    return reception


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 16)
    yield writer
    writer.close()


def test_an_attempt_from_its_reservation_to_its_charge(journal: JournalWriter) -> None:
    provider = limit("requests", 9, "minute", level="provider", name="alpha")
    scene = Scene(configured(BUDGET, provider), journal)
    hold = scene.hold()
    assert (hold.attempt, hold.bound.nano, hold.bound.tokens) == ("r-1", 612 * 150 + 100 * 600, 712)
    (intent,) = read_all(journal.folder, is_live=True)[0]
    assert isinstance(intent, Intent)
    assert (intent.request_id, intent.ordinal, intent.nano, intent.tokens) == (
        "r",
        1,
        hold.bound.nano,
        hold.bound.tokens,
    )
    charge = scene.billing.settle(hold, reception_of(Usage(10, 5, tokens_cached=3, tokens_reasoning=2)), None)
    assert charge.nano == 10 * 150 + 5 * 600
    assert scene.settled(BUDGET) == charge.nano
    _, outcome = read_all(journal.folder, is_live=True)[0]
    assert isinstance(outcome, Outcome)
    told = (charge.nano, 10, 5, 3, 2, "ok", "provider", True, 15, charge.nano)
    assert outcome == Outcome(hold.tab.scope.number, "r", 1, outcome.at, *told)
    assert hold.tab.scope.counters == (
        CounterRef(counter=BUDGET.counter, metric="usd", unit="day"),
        CounterRef(counter=provider.counter, metric="requests", unit="minute", counts_attempts=True),
    )
    assert (hold.tab.scope.virtual_key, hold.tab.scope.team, hold.tab.scope.customer) == ("me", "t", "c")


def test_a_failure_is_named_and_charged_nothing(journal: JournalWriter) -> None:
    scene = Scene(configured(BUDGET), journal)
    charge = scene.billing.settle(scene.hold(), reception_of(None), failure(failures.CONNECT_FAILED))
    assert (charge.nano, scene.settled(BUDGET), scene.billing.ledger.open_attempts) == (0, 0, 0)
    outcome = read_all(journal.folder, is_live=True)[0][-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.outcome, outcome.source) == ("connect_failed", "none")


def test_what_does_not_fit_is_not_in_the_journal(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 10)), journal)
    shorts = scene.try_to_hold()
    assert isinstance(shorts, list)
    assert wants(shorts) == [LeaseRequest(shorts[0].limit.counter, shorts[0].window, shorts[0].amount - 10, 10)]
    assert read_all(journal.folder, is_live=True)[0] == []


def test_nothing_stays_reserved_for_an_intent_that_cannot_be_written(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 1 << 90)), journal)
    with pytest.raises(OverflowError):
        scene.try_to_hold(asking(max_tokens=1 << 70))
    assert scene.billing.ledger.open_attempts == 0


# Bounds.


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
def test_an_answer_without_a_bound_is_given_one_where_it_counts(
    limits: tuple[Limit, ...], operation: Operation, is_bounded: bool
) -> None:
    for known, bound in ((50, 50), (None, DEFAULT_OUTPUT)):
        scene = Scene(configured(*limits, output=known))
        asked = asking(operation)
        sent = scene.hold(asked).call
        assert sent.max_tokens == (bound if is_bounded else None)
        assert asked.max_tokens is None, "the client's call is not touched: another attempt may need another bound"
        assert scene.hold(asking(operation, max_tokens=7), "r2").call.fields == {}


def test_what_is_free_takes_no_room(journal: JournalWriter) -> None:
    scene = Scene(configured(limit("usd", 1), limit("tokens", 1), price=False), journal)
    for number, call in enumerate((asking("file", size=10**8), asking("other", method="GET"))):
        hold = scene.hold(call, str(number))
        assert (hold.bound.nano, hold.bound.tokens) == (0, 0)
        kept = scene.billing.settle(hold, reception_of(Usage(8, 5)), None)
        assert (kept.nano, kept.tokens) == (0, 0), "it was charged when it arose"
    assert len(read_all(journal.folder, is_live=True)[0]) == 4


# Prices that are not known.


@pytest.mark.parametrize(
    ("limits", "unknown", "said"),
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
def test_an_unknown_price_is_a_policy_and_under_a_budget_a_refusal(
    limits: tuple[Limit, ...], unknown: str, said: str | None
) -> None:
    scene = Scene(configured(*limits, price=False, unknown=unknown))
    found = scene.try_to_hold()
    if said is None:
        assert isinstance(found, ReservedAttempt)
        assert scene.billing.settle(found, reception_of(Usage(1, 1)), None).is_priced is False
    else:
        message = f"the price of alpha/gpt-4o is not known, {said}; state it in pricing.overrides"
        assert found == Reason("price_unknown", message)
    assert scene.billing.ledger.open_attempts == 0


@pytest.mark.parametrize("operation", ["batch", "other"])
@pytest.mark.parametrize("price", [True, False])
def test_what_is_billed_later_cannot_be_held_by_a_budget(operation: Operation, price: bool) -> None:
    scene = Scene(configured(BUDGET, price=price))
    found = scene.try_to_hold(asking(operation))
    assert isinstance(found, Reason)
    assert (found.code, "when the provider has done it" in found.message) == ("price_unknown", True)
    assert scene.billing.ledger.open_attempts == 0
    assert isinstance(scene.try_to_hold(asking(operation, path="/batches/b/cancel")), ReservedAttempt)
    assert isinstance(Scene(configured(limit("usd", 9, soft=True))).try_to_hold(asking(operation)), ReservedAttempt)


def test_what_is_billed_later_may_have_a_price_for_each_request() -> None:
    configuration = configured(BUDGET)
    override = PriceOverride(model="*", owner=None, price=replace(PLAIN, request_nano=7), output=None)
    scene = Scene(replace(configuration, pricing=Pricing("allow-and-flag", (override,))))
    assert scene.hold(asking("batch")).bound.nano > 7
    free = PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=0), is_by_request=True), output=None)
    scene = Scene(replace(configuration, pricing=Pricing("allow-and-flag", (free,))))
    assert scene.hold(asking("batch")).bound.nano == 0, "0 is free, and known"


# The journal in trouble.


def test_without_a_journal_limited_attempts_are_refused_and_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=4096, max_bytes=4096)
    ends_at = monotonic() + PATIENCE_S
    while writer.trouble is None:
        assert monotonic() < ends_at
        sleep(0.001)
    monkeypatch.setattr(writing, "KEEP_FREE", 4096)
    scene = Scene(configured(BUDGET), writer)
    found = scene.try_to_hold()
    assert isinstance(found, Reason)
    assert found.code == "journal_unavailable"
    assert "has reached its limit" in found.message
    assert scene.billing.ledger.open_attempts == 0, "nothing stays reserved"
    free = Scene(configured(), writer)
    free.hold()
    assert free.billing.unkept == 1
    writer.close()


# Refusals.


def test_a_refusal_names_the_limit_and_what_is_left() -> None:
    tight = limit("usd", 160_000)
    scene = Scene(configured(tight, limit("requests", 5, "minute")))
    scene.hold(asking(max_tokens=1))
    reason = scene.refused(short_of(scene)).reason
    assert reason.code == "over_budget"
    left = "the budget of $0.00016 per day of virtual key me has $0.0000676 left"
    assert reason.message == f"{left}, but this attempt may need up to $0.0001518"
    assert reason.until is not None
    assert 0 < reason.until - monotonic() <= 86_400
    assert scene.live.exhausted == {}, "something is left: a smaller request may fit"


def test_no_waiting_helps_an_attempt_that_is_larger_than_a_limit() -> None:
    scene = Scene(configured(limit("tokens", 700, "minute")))
    reason = scene.refused(short_of(scene)).reason
    assert reason.code == "over_rate_limit"
    limited = "the limit of 700 tokens per minute of virtual key me"
    assert reason.message == f"{limited} is less than the 712 that this attempt may need"
    assert reason.until is None
    assert scene.live.exhausted == {}


def test_only_what_has_nothing_left_anywhere_is_not_asked_for_again() -> None:
    tight = limit("requests", 1, "minute")
    scene = Scene(configured(tight))
    hold = scene.hold()
    assert scene.refused(short_of(scene)).reason.code == "over_rate_limit"
    assert scene.live.exhausted == {}, "what is reserved may be given back"
    scene.billing.settle(hold, reception_of(Usage(1, 1)), None)
    scene.refused(short_of(scene))
    assert scene.live.exhausted.keys() == {tight.counter}


@pytest.mark.parametrize(
    ("left", "lent", "is_over", "said"),
    [
        (0, 0, True, "has $0 left"),
        (0, 5, False, "has $0 left and $0.000000005 leased to other workers, but this"),  # they may give something back
        (5, 0, False, "has $0.000000005 left"),  # a smaller request may fit
        (None, None, False, "has $0 left"),  # nobody has said
    ],
)
def test_what_control_has_left_is_left(left: int | None, lent: int | None, is_over: bool, said: str) -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE), lease_client=Mute())
    shorts = short_of(scene)
    if left is not None and lent is not None:
        scene.billing.answered([Grant(BUDGET.counter, shorts[0].window, 0, left, lent)], monotonic())
    assert said in scene.refused(shorts).reason.message
    assert (scene.live.exhausted.keys() == {BUDGET.counter}) is is_over


def test_what_may_come_free_is_what_others_hold_too() -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE), lease_client=Mute())
    shorts = short_of(scene)

    def may_fit(left: int, lent: int) -> bool:
        scene.billing.answered([Grant(BUDGET.counter, shorts[0].window, 0, left, lent)], monotonic())
        return scene.refused(shorts).may_fit

    assert not scene.refused(shorts).may_fit
    assert may_fit(10, shorts[0].amount - 10)
    assert not may_fit(10, shorts[0].amount - 11)


def test_control_is_not_asked_again_at_once_for_what_it_has_not() -> None:
    scene = Scene(configured(BUDGET), ledger=Ledger(NO_SHARE))
    shorts = scene.try_to_hold()
    assert isinstance(shorts, list)
    more, window = shorts[0].more, shorts[0].window

    def is_spent(left: int, lent: int, window: int, *, after_s: float = 0.0) -> bool:
        scene.billing.answered([Grant(BUDGET.counter, window, 0, left, lent)], 10.0)
        return scene.billing.is_spent(shorts, 10.0 + after_s)

    assert not scene.billing.is_spent(shorts, 10.0)
    assert not is_spent(0, 1, window), "others hold some"
    assert is_spent(0, 0, window)
    assert is_spent(more - 1, 0, window)
    assert not is_spent(more, 0, window), "there is enough, though others were given theirs"
    assert not is_spent(0, 0, window - 86_400), "that was another window"
    assert not is_spent(0, 0, window, after_s=module.TOLD_S)


# Shorter answers.


def shorten(call: Call, *limits: Limit, left: int = 0) -> ShortenedCall | None:
    scene = Scene(replace(configured(*limits, output=1000), near_limit="shorten"))
    shorts = scene.try_to_hold(call)
    assert isinstance(shorts, list)
    scene.billing.answered([Grant(short.limit.counter, short.window, 0, left, 0) for short in shorts], 10.0)
    found = scene.billing.fit(scene.tab, call, shorts, 10.0, shortens=True)
    return found if isinstance(found, ShortenedCall) else None


def test_a_shorter_answer_fits_into_every_limit_and_the_tightest_is_named() -> None:
    money, tokens = limit("usd", 612 * 150 + 50 * 600), limit("tokens", 612 + 40)
    for limits, longest, named in (((money,), 50, "budget of"), ((money, tokens), 40, "limit of 652 tokens")):
        found = shorten(asking(max_tokens=100), *limits)
        assert found is not None
        assert found.call.max_tokens == longest
        assert found.reason.code == "shortened"
        assert found.reason.message.startswith(f"the answer is limited to {longest} tokens: the {named}")
    found = shorten(asking(), money, left=10 * 600)
    assert found is not None
    assert found.call.max_tokens == 60, "what control has left counts, and the model's bound where none is stated"
    assert found.call.fields == {}, "the codec puts it into a field"


@pytest.mark.parametrize(
    "call",
    [
        asking("embedding", size=10**6),
        asking("image"),
        asking("responses"),  # of which nothing is known but its size
        asking(max_tokens=0),
        asking(max_tokens=MIN_OUTPUT - 1),
        asking(size=10**6, max_tokens=100),
    ],
)
def test_what_cannot_be_shortened(call: Call) -> None:
    assert shorten(call, limit("usd", 512 * 150)) is None


def test_an_answer_that_fits_by_now_is_not_shortened() -> None:
    call = asking(max_tokens=100)
    found = shorten(call, limit("usd", 612 * 150), left=100 * 600)
    assert found is not None
    assert found.call is call


# The clock.


def test_after_the_clock_was_set_back_windows_go_on_at_the_pace_of_the_steady_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, steady = 1_764_000_000.0, 50.0
    monkeypatch.setattr(module, "time", lambda: wall)
    monkeypatch.setattr(module, "monotonic", lambda: steady)
    tight = limit("requests", 1, "minute")
    scene = Scene(configured(tight))
    scene.billing.settle(scene.hold(), reception_of(Usage(1, 1)), None)
    wall -= 3600
    assert isinstance(scene.try_to_hold(request_id="r2"), list), "the same window"
    steady += 61
    wall += 61
    scene.billing.settle(scene.hold(request_id="r2"), reception_of(Usage(1, 1)), None)
    for _ in range(5):
        assert isinstance(scene.try_to_hold(request_id="r3"), list)
    steady += 60
    wall += 60
    scene.hold(request_id="r3")
    wall += 7200
    scene.hold(request_id="r4")
    assert scene.billing.ledger.account((tight,)).counters[0].window.start == wall // 60 * 60
