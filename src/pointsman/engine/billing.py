"""What attempts cost: room is reserved before bytes leave, what was used is charged when an attempt is over, and the
journal knows of both.

Whoever counts in a limit reserves an upper bound. An attempt that is limited in what it may produce, but whose request
does not say how much it wants, is sent with what that means there: the model's own bound, or that of a completion. So
the reservation is one. Near a limit, where that is wanted, it is sent with a lower bound: the longest answer that there
is room for.
"""

from collections.abc import Sequence
from time import monotonic, time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.dollars import dollars
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import Grant, Want
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.outcomes import UsageSource
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Pricing, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.engine.charges import Answers, Bound, Charge, charge_for, with_tools
from pointsman.engine.lessor import Lender
from pointsman.engine.live import Live
from pointsman.engine.memos import Memo
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.records import ChargeScope, CounterRef, Outcome
from pointsman.journal.writer import JournalUnavailable, JournalWriter
from pointsman.money.ledger import Account, Ledger, Short
from pointsman.money.pricing import longest_answer, most_output, upper_bound
from pointsman.money.provider_tools import most_added, most_nano, not_bounded, read_to_the_end, unbounded_of
from pointsman.money.terms import Terms, terms_of
from pointsman.routing.policies.headroom import over_limit
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.unbounded import Unbounded

MAX_TABS = 20_000
TOLD_S = 0.05  # how long it is believed what control said is left of a limit
MIN_OUTPUT = 16  # tokens: a shorter answer helps nobody, and OpenAI's Responses take no lower bound
_SOURCES = {source: source.value for source in UsageSource}


class Tab(Struct, frozen=True, eq=False):
    """The terms of a virtual key at a candidate, worked out once. `is_bounded` says that the answer must have a bound:
    a limit of money or tokens refuses; `may_shorten`, that it may have a lower one than was asked for. `unfinished` is
    what the provider charges for answers of which nothing arrived. `answers` are those of the model so far, to every
    key."""

    terms: Terms
    account: Account
    scope: ChargeScope
    is_bounded: bool
    may_shorten: bool
    unfinished: str | None
    price_unknown: Reason | None  # why nothing that costs may be sent
    answers: Answers


class Hold(Struct, frozen=True, gc=False):
    """An attempt that may be sent. `call` is the client's, with a bound on its answer where it needs one. `nano` and
    `tokens` are reserved, and `unbounded` is what the bytes of the call do not bound."""

    tab: Tab
    call: Call
    request_id: str
    ordinal: int
    attempt: str
    nano: int
    tokens: int
    unbounded: Unbounded | None = None


NoRoom = Reason | list[Short]  # why an attempt must not be sent, or the limits without room for it


class Shortened(Struct, frozen=True, gc=False):
    """A call whose answer is shorter than was asked for, and why."""

    call: Call
    reason: Reason


class Billing:
    """The ledger, the journal and the terms they are kept by."""

    def __init__(self, live: Live, ledger: Ledger, journal: JournalWriter | None, lessor: Lender | None) -> None:
        self.ledger = ledger
        self.journal = journal
        self.lessor = lessor
        self.unkept = 0  # attempts that were served though the journal could not take them
        self._live = live
        self._told: dict[str, tuple[Grant, float]] = {}  # what control said of a counter, and until when that counts
        self._tabs = Memo[tuple[VirtualKey | None, Candidate], Tab](MAX_TABS)
        self._answers: dict[str, Answers] = {}  # by candidate
        self._scopes = 0
        self._latest = 0.0  # Unix seconds
        self._set_back_at = 0.0  # monotonic: when the clock was seen to be behind that

    def tab(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate) -> Tab:
        """The terms for attempts of a key at a candidate, under the snapshot that their request was admitted under."""
        tabs = self._tabs.of(snapshot)
        tab = tabs.get((key, candidate))
        if tab is None:
            tab = tabs[key, candidate] = self._open_tab(snapshot, key, candidate)
        return tab

    def hold(self, tab: Tab, call: Call, request_id: str, ordinal: int) -> "Hold | NoRoom":
        """Reserve for an attempt and write down the intent. A `Reason` says why it must not be sent; a list, which
        limits have no room for it."""
        dialect = DIALECTS[call.head.dialect]
        is_for_free = dialect.is_free(call)
        if tab.price_unknown is not None and not is_for_free:
            return _BILLED_LATER if tab.terms.has_budget and _is_billed_later(call, tab.terms) else tab.price_unknown
        if tab.is_bounded and call.max_tokens is None:
            if dialect.takes_bound(call):
                call = replace(call, max_tokens=most_output(tab.terms, call))
            elif tab.terms.has_budget and _is_billed_later(call, tab.terms) and not is_for_free:
                return _BILLED_LATER
        nano, tokens = upper_bound(tab.terms, call) if not is_for_free else (0, 0)
        unbounded = unbounded_of(tab.terms, call) if not is_for_free else None
        if unbounded is not None:
            why_not = not_bounded(tab.terms, unbounded) if tab.terms.has_budget else None
            if why_not is not None:
                return why_not
            nano = most_nano(tab.terms, call, unbounded)
        attempt = f"{request_id}-{ordinal}"
        found = self.ledger.reserve(tab.account, attempt, nano, tokens, ordinal, self.clock())
        if type(found) is list:
            return found
        assert not isinstance(found, list)
        if self.journal is not None:
            try:
                self.journal.intent(tab.scope, request_id, ordinal, found.at, nano, tokens)
            except JournalUnavailable as error:
                if tab.terms.limits:
                    self.ledger.release(attempt)
                    return Reason("journal_unavailable", f"what it costs could not be kept: {error}")
                self.unkept += 1
            except Exception:  # whatever it is, it must not stay reserved
                self.ledger.release(attempt)
                raise
        return Hold(tab, call, request_id, ordinal, attempt, nano, tokens, unbounded)

    def shortened(self, tab: Tab, call: Call, shorts: Sequence[Short], now: float) -> Shortened | None:
        """The call with the longest answer that these limits may have room for, here and at control. `None` where that
        is not wanted, or would not help."""
        if not tab.may_shorten or call.max_tokens == 0 or not DIALECTS[call.head.dialect].takes_bound(call):
            return None
        terms, worst, left = tab.terms, shorts[0], 0
        wanted = longest = most_output(terms, call)
        for short in shorts:
            told = self._told_of(short, now)
            room = short.available + (told.left if told is not None else 0)
            fitting = self._fitting(terms, call, short.limit.metric, room)
            if fitting <= longest:
                longest, worst, left = fitting, short, room
        if longest < MIN_OUTPUT:
            return None
        message = f"the answer is limited to {longest} tokens: the {worst.limit} has {_amount(worst.limit, left)} left"
        shorter = call if longest == wanted else replace(call, max_tokens=longest)
        return Shortened(shorter, Reason("shortened", message))

    @staticmethod
    def _fitting(terms: Terms, call: Call, metric: Metric, room: int) -> int:
        """The longest answer within `room`, beside what the bytes of the call do not bound."""
        unbounded = unbounded_of(terms, call) if metric == "usd" else None
        if unbounded is not None:
            room -= most_added(terms, unbounded)
            call = read_to_the_end(terms, call, unbounded)
        return longest_answer(terms, call, metric, room)

    def is_spent(self, shorts: Sequence[Short], now: float) -> bool:
        """Whether control said a moment ago that there is not that much of one of these."""
        for short in shorts:
            told = self._told_of(short, now)
            if told is not None and not told.lent and told.left < short.more:
                return True
        return False

    def answered(self, grants: Sequence[Grant], now: float) -> None:
        """Remember for a moment what is left."""
        for grant in grants:
            if len(self._told) > MAX_TABS:
                self._told.clear()
            self._told[grant.counter] = (grant, now + TOLD_S)

    def _told_of(self, short: Short, now: float) -> Grant | None:
        """What control said of a limit, while that counts."""
        return self._told_last(short) if now < self._told.get(short.limit.counter, _NEVER_TOLD)[1] else None

    def told_of(self, counter: str, window: int) -> Grant | None:
        """What control said last of a window of a counter."""
        grant, _ = self._told.get(counter, _NEVER_TOLD)
        return grant if grant is not None and grant.window == window else None

    def _told_last(self, short: Short) -> Grant | None:
        """What control said last of a limit. A refusal follows at once, however slow the machine is."""
        return self.told_of(short.limit.counter, short.window)

    def may_fit(self, shorts: Sequence[Short]) -> bool:
        """Whether there would be room if all that is reserved, or held by other workers, came free."""
        for short in shorts:
            told = self._told_last(short)
            room = short.available + short.reserved + (told.left + told.lent if told is not None else 0)
            if room < short.amount:
                return False
        return True

    def refusal(self, shorts: Sequence[Short]) -> Reason:
        """Why an attempt that no room could be found for is not made."""
        now, now_unix_s = monotonic(), self.clock()
        for short in shorts:
            told = self._told_last(short)
            held = short.reserved + (told.lent if told is not None else 0)
            is_known = told is not None or self.lessor is None
            if is_known and not held and self._left(short) <= 0:
                self._live.refused(short.limit, now + max(short.ends_at - now_unix_s, 0.0), now)
        too_large = [short for short in shorts if short.amount > short.limit.amount]
        worst = max(too_large or shorts, key=lambda short: short.ends_at)
        need, left = _amount(worst.limit, worst.amount), _amount(worst.limit, max(self._left(worst), 0))
        if too_large:
            return over_limit(worst.limit, f"is too small for an attempt that may take up to {need}", None)
        ends_at = now + max(worst.ends_at - now_unix_s, 0.0)
        told = self._told_last(worst)
        lent = f", and {_amount(worst.limit, told.lent)} with other workers" if told is not None and told.lent else ""
        return over_limit(worst.limit, f"has {left} left{lent}; this attempt may take up to {need}", ends_at)

    def _left(self, short: Short) -> int:
        """What is free of a limit, here and at control."""
        told = self._told_last(short)
        return short.available + (told.left if told is not None else 0)

    def settle(self, hold: Hold, reception: AnswerReceiver, failure: Failure | None) -> Charge:
        """Charge what an attempt used."""
        bound, tab = Bound(hold.nano, hold.tokens), hold.tab
        charge = charge_for(hold.call, tab.terms.price, bound, tab.unfinished, reception, failure, tab.answers)
        if hold.unbounded is not None:
            charge = with_tools(charge, tab.terms, bound, hold.unbounded)
        usage, scope, held = charge.usage, tab.scope, charge.nano + charge.held
        self.ledger.settle(hold.attempt, held, charge.tokens)
        if self.journal is not None:
            outcome = Outcome(
                scope.number,
                hold.request_id,
                hold.ordinal,
                time(),
                held,
                usage.tokens_in,
                usage.tokens_out,
                usage.tokens_cached,
                usage.tokens_reasoning,
                failure.kind.code if failure is not None else "ok",
                _SOURCES[charge.source],
                charge.is_priced,
                charge.tokens,
                charge.nano,
            )
            self.journal.outcome(scope, outcome)
        return charge

    def clock(self) -> float:
        """Unix seconds that never go back. After the clock was set back they go on at the pace of the steady one:
        else windows would last until it has caught up."""
        now = time()
        if now >= self._latest:
            self._latest, self._set_back_at = now, 0.0
            return now
        steady = monotonic()
        if self._set_back_at:
            self._latest += steady - self._set_back_at
        self._set_back_at = steady
        return self._latest

    def _open_tab(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate) -> Tab:
        terms = terms_of(key, candidate, snapshot)
        self._scopes += 1
        scope = ChargeScope(
            number=self._scopes,
            virtual_key=key.name if key is not None else None,
            team=key.team if key is not None else None,
            customer=key.customer if key is not None else None,
            provider=candidate.endpoint.name,
            model=candidate.model,
            variant=candidate.variant,
            price_version=terms.version,
            counters=tuple(_counter(limit) for limit in terms.limits),
        )
        is_bounded = any(not limit.soft and limit.metric != "requests" for limit in terms.limits)
        near_limit = (key.near_limit if key is not None else None) or snapshot.near_limit
        account, price_unknown = self.ledger.account(terms.limits), _price_unknown(terms, scope, snapshot.pricing)
        unfinished, answers = candidate.endpoint.bills_unfinished, self._answers_of(candidate)
        return Tab(terms, account, scope, is_bounded, near_limit == "shorten", unfinished, price_unknown, answers)

    def _answers_of(self, candidate: Candidate) -> Answers:
        """What is known of a model's answers, which outlives the configuration."""
        if len(self._answers) >= MAX_TABS:  # names may come from clients
            self._answers.clear()
        return self._answers.setdefault(candidate.id, Answers())


def _price_unknown(terms: Terms, scope: ChargeScope, pricing: Pricing) -> Reason | None:
    if terms.price is not None:
        return None
    if terms.has_budget:
        why = "and a budget applies"
    elif pricing.unknown == "deny":
        why = "and pricing.unknown is deny"
    else:
        return None
    what = f"{scope.provider}/{scope.model}" if scope.model else "a call that names no model"
    message = f"the price of {what} is not known, {why}; state it in pricing.overrides"
    return Reason("price_unknown", message)


_LATER = frozenset({"batch", "other"})
_BILLED_LATER = Reason(
    "price_unknown",
    "its cost is known only when the provider has done it, so no budget can hold it: use a key without a budget or "
    "with one that is soft, or state a price for each such request in pricing.overrides",
)


def _is_billed_later(call: Call, terms: Terms) -> bool:
    """Whether nothing can be reserved for it: a batch, a fine-tuning."""
    price = terms.price
    return call.operation in _LATER and not (price is not None and (price.request_nano or price.is_by_request))


_NEVER_TOLD: tuple[Grant | None, float] = (None, 0.0)


def wants(shorts: Sequence[Short]) -> list[Want]:
    """What to ask control for."""
    return [short.want() for short in shorts]


def _counter(limit: Limit) -> CounterRef:
    period = limit.period
    zone = str(period.zone) if period.zone is not None else ""
    return CounterRef(
        counter=limit.counter,
        metric=limit.metric,
        unit=period.unit,
        count=period.count,
        zone=zone,
        counts_attempts=limit.counts_attempts,
    )


def _amount(limit: Limit, amount: int) -> str:
    return dollars(amount) if limit.metric == "usd" else str(amount)
