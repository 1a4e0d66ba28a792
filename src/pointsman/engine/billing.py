"""What attempts cost: room is reserved before bytes leave, what was used is charged when an attempt is over, and the
journal knows of both.

Whoever counts in a limit reserves an upper bound. An attempt that is limited in what it may produce, but whose request
does not say how much it wants, is sent with the model's own bound, so that the reservation is one.
"""

from collections.abc import Sequence
from time import monotonic, time

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, Operation
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import Grant, Want
from pointsman.domain.limits import Limit, Metric, dollars
from pointsman.domain.outcomes import UsageSource
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.engine.charges import Bound, Charge, charge_for, is_free
from pointsman.engine.lessor import Lessor
from pointsman.engine.live import Live
from pointsman.engine.reception import Reception
from pointsman.journal.records import CounterRef, Outcome, Scope
from pointsman.journal.writer import JournalUnavailable, JournalWriter
from pointsman.routing.ledger import Account, Ledger, Short
from pointsman.routing.policies.headroom import over_limit
from pointsman.routing.pricing import upper_bound
from pointsman.routing.terms import DEFAULT_OUTPUT, Terms, terms_of

MAX_TABS = 20_000
SPENT_S = 0.05  # how long control is not asked again for what it had nothing of
_SOURCES = {source: source.value for source in UsageSource}
_OUTPUT_FIELDS = {Operation.CHAT: "max_completion_tokens", Operation.COMPLETION: "max_tokens"}


class Tab(Struct, frozen=True, eq=False):
    """What is worked out once for a virtual key and a candidate. `is_bounded` says that the answer must have a bound:
    a limit of money or tokens refuses."""

    terms: Terms
    account: Account
    scope: Scope
    is_bounded: bool
    price_unknown: Reason | None  # why nothing that costs may be sent


class Hold(Struct, frozen=True, gc=False):
    """An attempt that may be sent. `call` is the client's, with a bound on its answer where it needs one. `nano` and
    `tokens` are reserved."""

    tab: Tab
    call: Call
    request_id: str
    ordinal: int
    attempt: str
    nano: int
    tokens: int


class Billing:
    """The ledger, the journal and the terms they are kept by."""

    def __init__(self, live: Live, ledger: Ledger, journal: JournalWriter | None, lessor: Lessor | None) -> None:
        self.ledger = ledger
        self.journal = journal
        self.lessor = lessor
        self.unkept = 0  # attempts that were served though the journal could not take them
        self._live = live
        self._snapshot = live.snapshot
        self._spent_until: dict[str, float] = {}  # counters of which control had nothing, and nobody holds any
        self._tabs: dict[tuple[VirtualKey | None, Candidate], Tab] = {}
        self._scopes = 0
        self._latest = 0.0  # Unix seconds
        self._set_back_at = 0.0  # monotonic: when the clock was seen to be behind that

    def tab(self, key: VirtualKey | None, candidate: Candidate) -> Tab:
        """The terms for attempts of a key at a candidate."""
        if self._live.snapshot is not self._snapshot or len(self._tabs) > MAX_TABS:
            self._snapshot = self._live.snapshot
            self._tabs = {}
        tab = self._tabs.get((key, candidate))
        if tab is None:
            tab = self._tabs[key, candidate] = self._open_tab(key, candidate)
        return tab

    def hold(self, tab: Tab, call: Call, request_id: str, ordinal: int) -> "Hold | Reason | list[Short]":
        """Reserve for an attempt and write down the intent. A `Reason` says why it must not be sent; a list, which
        limits have no room for it."""
        is_for_free = is_free(call)
        if tab.price_unknown is not None and not is_for_free:
            return tab.price_unknown
        if tab.is_bounded and call.max_tokens is None and call.operation in _OUTPUT_FIELDS:
            call = _bounded(call, tab.terms.output or DEFAULT_OUTPUT)
        nano, tokens = upper_bound(tab.terms, call) if not is_for_free else (0, 0)
        attempt = f"{request_id}-{ordinal}"
        found = self.ledger.reserve(tab.account, attempt, nano, tokens, ordinal, self._clock())
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
        return Hold(tab, call, request_id, ordinal, attempt, nano, tokens)

    def is_spent(self, shorts: Sequence[Short], now: float) -> bool:
        """Whether control said a moment ago that there is no more of one of these."""
        return any(self._spent_until.get(short.limit.counter, 0.0) > now for short in shorts)

    def answered(self, grants: Sequence[Grant], now: float) -> None:
        """Remember for a moment of what there is no more."""
        for grant in grants:
            if not grant.lent:
                if len(self._spent_until) > MAX_TABS:
                    self._spent_until.clear()
                self._spent_until[grant.counter] = now + SPENT_S

    def refusal(self, shorts: Sequence[Short], lent: int) -> Reason:
        """Why an attempt that no room could be found for is not made. `lent` is what other workers hold unspent."""
        now, now_unix_s = monotonic(), self._clock()
        worst = max(shorts, key=lambda short: short.ends_at)
        ends_at = now + max(worst.ends_at - now_unix_s, 0.0)
        for short in shorts:
            if short.available <= 0 and not short.reserved and not lent:
                self._live.refused(short.limit, now + max(short.ends_at - now_unix_s, 0.0), now)
        need, left = _amount(worst.limit, worst.amount), _amount(worst.limit, max(worst.available, 0))
        return over_limit(worst.limit, f"has {left} left here; this attempt may take up to {need}", ends_at)

    def settle(self, hold: Hold, reception: Reception, failure: Failure | None) -> Charge:
        """Charge what an attempt used."""
        bound = Bound(hold.nano, hold.tokens)
        charge = charge_for(hold.call, hold.tab.terms.price, bound, reception, failure)
        usage, scope = charge.usage, hold.tab.scope
        self.ledger.settle(hold.attempt, charge.nano, charge.tokens)
        if self.journal is not None:
            outcome = Outcome(
                scope.number,
                hold.request_id,
                hold.ordinal,
                time(),
                charge.nano,
                usage.tokens_in,
                usage.tokens_out,
                usage.tokens_cached,
                usage.tokens_reasoning,
                failure.kind.code if failure is not None else "ok",
                _SOURCES[charge.source],
                charge.is_priced,
                charge.tokens,
            )
            self.journal.outcome(scope, outcome)
        return charge

    def _clock(self) -> float:
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

    def _open_tab(self, key: VirtualKey | None, candidate: Candidate) -> Tab:
        terms = terms_of(key, candidate, self._snapshot)
        self._scopes += 1
        scope = Scope(
            self._scopes,
            key.name if key is not None else None,
            key.team if key is not None else None,
            key.customer if key is not None else None,
            candidate.endpoint.name,
            candidate.model,
            candidate.variant,
            terms.version,
            tuple(_counter(limit) for limit in terms.limits),
        )
        is_bounded = any(not limit.soft and limit.metric is not Metric.REQUESTS for limit in terms.limits)
        return Tab(terms, self.ledger.account(terms.limits), scope, is_bounded, self._price_unknown(terms, scope))

    def _price_unknown(self, terms: Terms, scope: Scope) -> Reason | None:
        if terms.price is not None:
            return None
        if terms.has_budget:
            why = "and a budget applies"
        elif self._snapshot.pricing.unknown == "deny":
            why = "and pricing.unknown is deny"
        else:
            return None
        message = f"the price of {scope.provider}/{scope.model} is not known, {why}; state it in pricing.overrides"
        return Reason("price_unknown", message)


def wants(shorts: Sequence[Short]) -> list[Want]:
    """What to ask control for."""
    return [short.want() for short in shorts]


def _bounded(call: Call, output: int) -> Call:
    """The call with a bound on its answer that its client did not state."""
    fields = {**call.fields, _OUTPUT_FIELDS[call.operation]: Raw(b"%d" % output)}
    return replace(call, fields=fields, max_tokens=output)


def _counter(limit: Limit) -> CounterRef:
    period = limit.period
    zone = str(period.zone) if period.zone is not None else ""
    return CounterRef(limit.counter, limit.metric.value, period.unit, period.count, zone, limit.counts_attempts)


def _amount(limit: Limit, amount: int) -> str:
    return dollars(amount) if limit.metric is Metric.USD else str(amount)
