"""The terms of a virtual key at a candidate, computed once, and the reservations that they require.

An attempt whose answer counts in a limit must have a maximum, so that its reservation is an upper bound. If its request
sets none, the gateway sends the maximum that applies by default: that of the model, or that of a completion.
"""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Pricing, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.engine.memos import Memo
from pointsman.journal.records import ChargeScope, CounterRef
from pointsman.money.charges import Answers, Bound, Tariff
from pointsman.money.ledger import CounterSet, Ledger
from pointsman.money.pricing import most_output, upper_bound
from pointsman.money.provider_tools import most_nano, not_bounded, unbounded_of
from pointsman.money.terms import Terms, terms_of
from pointsman.wire.dialects import DIALECTS

MAX_TABS = 20_000


class BillingTerms(Struct, frozen=True, kw_only=True, eq=False):
    """The terms of a virtual key at a candidate, computed once. `is_bounded` is true if the answer must have a maximum,
    since a limit of money or tokens refuses. `may_shorten` is true if the maximum may be lower than requested."""

    terms: Terms
    tariff: Tariff
    account: CounterSet
    scope: ChargeScope
    is_bounded: bool
    may_shorten: bool
    price_unknown: Reason | None  # the reason not to send any attempt that has a cost

    def bounded(self, call: Call) -> tuple[Call, Bound] | Reason:
        """Return the call, with a maximum for its answer if it needs one, and the most that it can cost. A `Reason`
        explains why it must not be sent."""
        dialect = DIALECTS[call.head.dialect]
        is_for_free = dialect.is_free(call)
        if self.price_unknown is not None and not is_for_free:
            return _BILLED_LATER if self.terms.has_budget and _is_billed_later(call, self.terms) else self.price_unknown
        if self.is_bounded and call.max_tokens is None:
            if dialect.takes_bound(call):
                call = replace(call, max_tokens=most_output(self.terms, call))
            elif self.terms.has_budget and _is_billed_later(call, self.terms) and not is_for_free:
                return _BILLED_LATER
        if is_for_free:
            return call, Bound(0, 0)
        terms = self.terms
        nano, tokens = upper_bound(terms, call)
        unbounded = unbounded_of(terms, call)
        if unbounded is not None:
            why_not = not_bounded(terms, unbounded) if terms.has_budget else None
            if why_not is not None:
                return why_not
            nano = most_nano(terms, call, unbounded)
        return call, Bound(nano, tokens, unbounded)


class BillingTermsCache:
    """The tabs of a worker. Those of a snapshot are freed with it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._billing_terms = Memo[tuple[VirtualKey | None, Candidate], BillingTerms](MAX_TABS)
        self._answers: dict[str, Answers] = {}  # by candidate
        self._scopes = 0

    def find(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate) -> BillingTerms:
        """Return the terms for attempts of a key at a candidate, under the snapshot that their request was admitted
        under."""
        billing_terms = self._billing_terms.of(snapshot)
        tab = billing_terms.get((key, candidate))
        if tab is None:
            tab = billing_terms[key, candidate] = self._open(snapshot, key, candidate)
        return tab

    def _open(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate) -> BillingTerms:
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
            counters=tuple(_counter(limit) for limit in terms.limits),
        )
        is_bounded = any(not limit.soft and limit.metric != "requests" for limit in terms.limits)
        near_limit = (key.near_limit if key is not None else None) or snapshot.near_limit
        account, price_unknown = self._ledger.account(terms.limits), _price_unknown(terms, scope, snapshot.pricing)
        return BillingTerms(
            terms=terms,
            tariff=Tariff(terms, candidate.endpoint.bills_unfinished, self._answers_of(candidate)),
            account=account,
            scope=scope,
            is_bounded=is_bounded,
            may_shorten=near_limit == "shorten",
            price_unknown=price_unknown,
        )

    def _answers_of(self, candidate: Candidate) -> Answers:
        """Return the statistics of a model's answers, which outlive the configuration."""
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
    """Return whether nothing can be reserved for the call, such as a batch or a fine-tuning."""
    price = terms.price
    return call.operation in _LATER and not (price is not None and (price.request_nano or price.is_by_request))


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
