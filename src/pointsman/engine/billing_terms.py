"""The terms of a virtual key at a candidate, computed once, and the reservations that they require.

An attempt whose answer counts in a limit must have a maximum, so that its reservation is an upper bound. If its request
sets none, the gateway sends the maximum that applies by default: that of the model, or that of a completion.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Pricing, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.engine.memos import Memo
from pointsman.journal.records import ChargeScope, counter_of
from pointsman.money.bounds import bound_of, bound_of_batch, no_price
from pointsman.money.charges import Answers, Bound, Tariff
from pointsman.money.end_users import EndUsers
from pointsman.money.ledger import CounterSet, Ledger
from pointsman.money.pricing import is_billed_later, is_priced, most_output
from pointsman.money.terms import LARGE_PARTS, MAX_TERMS, Limits, Terms, known_terms, large_tokens, terms_of
from pointsman.wire.counted import is_worth_counting
from pointsman.wire.dialects import DIALECTS

INFINITY = float("inf")


class BillingTerms(Struct, frozen=True, kw_only=True, eq=False):
    """The terms of a virtual key at a candidate. `is_bounded` is true if the answer must have a maximum, since it
    counts in a hard limit of money or tokens. `needs_bound` is true if its provider requires one. `may_shorten` is true
    if the maximum may be lower than requested."""

    terms: Terms
    tariff: Tariff
    account: CounterSet
    scope: ChargeScope
    is_bounded: bool
    needs_bound: bool
    may_shorten: bool
    price_unknown: Reason | None  # the reason not to send an attempt that has a cost and no known price
    denies_unknown: bool = False  # whether models without a known price are rejected without a budget too
    large_bytes: float = INFINITY  # a prompt with more takes so much of a limit that it is counted first

    def must_count(self, call: Call) -> bool:
        """Return whether a large prompt is counted first. It is not if no count could fit in a limit."""
        return is_worth_counting(call, self.large_bytes * LARGE_PARTS)

    def bounded(self, call: Call) -> tuple[Call, Bound] | Reason:
        """Return the call, with a maximum for its answer if it needs one, and the upper bound of its cost. Return a
        `Reason` if it must not be sent."""
        if call.batch is not None:
            return self._of_batch(call)
        dialect = DIALECTS[call.head.dialect]
        is_free = dialect.is_free(call)
        if self.price_unknown is not None and not is_free and not is_priced(self.terms, call):
            return _BILLED_LATER if self.terms.has_budget and is_billed_later(call, self.terms) else self.price_unknown
        if call.max_tokens is None and (self.is_bounded or (self.needs_bound and call.operation in _CONVERSED)):
            if dialect.takes_bound(call):
                call = replace(call, max_tokens=most_output(self.terms, call))
            elif self.terms.has_budget and is_billed_later(call, self.terms) and not is_free:
                return _BILLED_LATER
        if is_free:
            return call, Bound(0, 0)
        bound = bound_of(self.terms, call)
        return bound if isinstance(bound, Reason) else (call, bound)

    def _of_batch(self, call: Call) -> tuple[Call, Bound] | Reason:
        """Return the same for a batch. One that control does not follow is sent without a reservation, and only if no
        budget needs one."""
        if call.batch is not None and not call.batch.is_followed:
            return _NOT_FOLLOWED if self.terms.has_budget else self.bounded(replace(call, batch=None))
        bound = bound_of_batch(
            call,
            self.scope.provider,
            has_budget=self.terms.has_budget,
            denies_unknown=self.denies_unknown,
            is_bounded=self.is_bounded,
        )
        return bound if isinstance(bound, Reason) else (call, bound)


class BillingTermsCache:
    """The billing terms that a worker has computed. Those of a snapshot are freed with it. `answers` are the usual
    answers by candidate, which outlive the configuration. `mask` returns the name of a model for the journal without
    a key that a client may have put there."""

    def __init__(
        self,
        ledger: Ledger,
        answers: dict[str, Answers],
        end_users: EndUsers,
        clock: Callable[[], float],
        *,
        mask: Callable[[str], str] = str,
    ) -> None:
        self._ledger = ledger
        self._known = Memo[tuple[VirtualKey | None, Candidate], BillingTerms](MAX_TERMS)
        self._of_users = Memo[tuple[VirtualKey, Candidate, Limits], BillingTerms](MAX_TERMS)
        self._end_users = end_users
        self._clock = clock  # Unix seconds
        self._answers = answers
        self._mask = mask
        self._scopes = 0

    def find(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate) -> BillingTerms:
        """Return the terms of a key at a candidate. `snapshot` is the one that the request was admitted under."""
        known = self._known.of(snapshot)
        billing_terms = known.get((key, candidate))
        if billing_terms is None:
            billing_terms = known[key, candidate] = self._open(snapshot, key, candidate, ())
        return billing_terms

    def find_for(self, call: Call, key: VirtualKey | None, candidate: Candidate) -> BillingTerms:
        """Return the terms of a call with a key at a candidate, with the limits of the end user that the call names."""
        if key is None or not key.end_users:
            return self.find(call.snapshot, key, candidate)
        limits = self._end_users.limits_of(call, key, self._clock())
        known = self._of_users.of(call.snapshot)
        billing_terms = known.get((key, candidate, limits))
        if billing_terms is None:
            billing_terms = known[key, candidate, limits] = self._open(call.snapshot, key, candidate, limits)
        return billing_terms

    def _open(self, snapshot: Snapshot, key: VirtualKey | None, candidate: Candidate, of_user: Limits) -> BillingTerms:
        terms = terms_of(key, candidate, snapshot, of_user) if of_user else known_terms(key, candidate, snapshot)
        self._scopes += 1
        scope = ChargeScope(
            number=self._scopes,
            virtual_key=key.name if key is not None else None,
            team=key.team if key is not None else None,
            customer=key.customer if key is not None else None,
            provider=candidate.endpoint.name,
            model=self._mask(candidate.model),
            variant=candidate.variant,
            counters=tuple(counter_of(limit) for limit in terms.limits),
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
            needs_bound=candidate.needs_bound,
            may_shorten=near_limit == "shorten",
            price_unknown=price_unknown,
            denies_unknown=snapshot.pricing.unknown == "deny",
            large_bytes=large_tokens(terms),
        )

    def _answers_of(self, candidate: Candidate) -> Answers:
        if len(self._answers) >= MAX_TERMS:  # names may come from clients
            self._answers.clear()
        return self._answers.setdefault(candidate.id, Answers())


def _price_unknown(terms: Terms, scope: ChargeScope, pricing: Pricing) -> Reason | None:
    if terms.price is not None and not terms.price.only_units:
        return None
    if not terms.has_budget and pricing.unknown != "deny":
        return None
    what = f"{scope.provider}/{scope.model}" if scope.model else "a call that names no model"
    units = terms.price.units if terms.price is not None else ()
    named = " and ".join(f"an {unit}" if unit[0] in "aeiou" else f"a {unit}" for unit in units)
    of_units = f"; only that of {named} is known" if named else ""
    return no_price(what, has_budget=terms.has_budget, more=of_units)


_CONVERSED = frozenset({"chat", "responses"})
_NOT_FOLLOWED = Reason(
    "price_unknown",
    "the provider key gets its credentials from a service, and the control process, which would read the cost of the "
    "batch, has none; use a virtual key without a budget or with a soft one, or a provider key with a fixed value",
)
_BILLED_LATER = Reason(
    "price_unknown",
    "its cost is unknown until the provider has completed it, so no budget can reserve it; use a virtual key without a "
    "budget or with a soft one, or set a price per request in pricing.overrides. The cost of a batch is known if its "
    "file was uploaded here with POST /v1/files, and the field purpose before the file",
)
