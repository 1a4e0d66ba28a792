"""The cost of attempts: reserved before bytes are sent, charged when an attempt has ended, and recorded in the journal.

Each attempt that counts in a limit reserves an upper bound. If a limit applies to the answer and the request sets no
maximum, the gateway sends one: the model's maximum, or the default of a completion. So the reservation is an upper
bound. Near a limit, the gateway sends a lower maximum if the configuration allows that: the longest answer that fits.
"""

import logging
from collections.abc import Callable, Sequence
from time import monotonic, time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.leases import Grant, LeaseRequest
from pointsman.domain.verdicts import Reason
from pointsman.engine.billing_records import (
    charge_batch,
    is_priced,
    marked_call,
    outcome_record,
    priced_for,
    record_intent,
    result_record,
    sent_record,
)
from pointsman.engine.billing_terms import BillingTerms, BillingTermsCache
from pointsman.engine.lease_client import LeaseClient
from pointsman.engine.live import Live
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.writer import JournalUnavailable, JournalWriter
from pointsman.money.charges import (
    FREE,
    Bound,
    Charge,
    Tariff,
    charge_begun,
    charge_estimated,
    charge_reported,
    with_units,
)
from pointsman.money.fit import DoesNotFit, KnownShortfall, ShortenedCall, fit
from pointsman.money.ledger import Ledger, Shortfall
from pointsman.wire.counted import is_countable, least_tokens

MAX_GRANTS = 20_000  # counters whose last grant is kept
GRANT_FRESH_S = 0.05  # how long the amounts of a grant count as exact
_logger = logging.getLogger(__name__)


class ReservedAttempt(Struct, frozen=True, gc=False):
    """An attempt that may be sent. `call` is the client's, with a maximum for its answer if it needs one."""

    billing_terms: BillingTerms
    call: Call
    request_id: str
    ordinal: int
    attempt_id: str
    bound: Bound

    @property
    def is_priced(self) -> bool:
        """True if the price is known: for a batch, those of all its lines."""
        return is_priced(self.call, self.billing_terms.terms.price)


NotReserved = Reason | list[Shortfall]  # the reason not to send an attempt, or the limits without room for it


class Billing:
    """Reserves and charges attempts in the ledger, and records them in the journal."""

    priced_batch = staticmethod(priced_for)
    as_sent = staticmethod(marked_call)

    def __init__(
        self,
        live: Live,
        ledger: Ledger,
        journal: JournalWriter | None,
        lease_client: LeaseClient | None,
        *,
        mask: Callable[[str], str] = str,
    ) -> None:
        self.ledger = ledger
        self.journal = journal
        self.lease_client = lease_client
        self.unrecorded = 0  # attempts that were served although the journal could not store them
        self._live = live
        # Control's last grant of each counter, and the monotonic time until which it is fresh.
        self._grants: dict[str, tuple[Grant, float]] = {}
        self.terms_cache = BillingTermsCache(ledger, live.answers, live.end_users, self.clock, mask=mask)
        self._latest = 0.0  # Unix seconds
        self._set_back_at = 0.0  # monotonic: when the clock was seen to be behind `_latest`

    def reserve(
        self, billing_terms: BillingTerms, call: Call, request_id: str, ordinal: int
    ) -> "ReservedAttempt | NotReserved":
        """Reserve for an attempt and record the intent. Return a `Reason` not to send it, or the list of limits that
        have no room for it. The list is empty if the prompt must be counted first."""
        if call.size > billing_terms.large_bytes and billing_terms.must_count(call):
            return []
        bounded = billing_terms.bounded(call)
        if isinstance(bounded, Reason):
            return bounded
        call, bound = bounded
        attempt_id = f"{request_id}-{ordinal}"
        found = self.ledger.reserve(
            billing_terms.account, attempt_id, bound.nano, bound.tokens, ordinal=ordinal, now_unix_s=self.clock()
        )
        if isinstance(found, list):
            return found
        if self.journal is not None:
            scope = billing_terms.scope
            try:
                record_intent(self.journal, scope, call, request_id, ordinal, at=found.at, bound=bound)
            except JournalUnavailable as error:
                if billing_terms.terms.limits:
                    self.ledger.release(attempt_id)
                    return Reason("journal_unavailable", f"the journal cannot record the cost of this attempt: {error}")
                self.unrecorded += 1
            except Exception:  # after any error, the reservation must not stay
                self.ledger.release(attempt_id)
                raise
        return ReservedAttempt(billing_terms, call, request_id, ordinal, attempt_id, bound=bound)

    def fit(
        self,
        billing_terms: BillingTerms,
        call: Call,
        shortfalls: Sequence[Shortfall],
        now: float,
        *,
        accepts_shorter: bool,
    ) -> ShortenedCall | DoesNotFit:
        """Return a call with a shorter answer that may fit in these limits, if `accepts_shorter`. Otherwise return the
        reason why none fits. A limit with nothing left at any worker counts as exhausted for a moment."""
        known, ahead_s = self._known(shortfalls, now), self.clock() - now
        found = fit(
            billing_terms.terms,
            call,
            known,
            may_shorten=billing_terms.may_shorten,
            accepts_shorter=accepts_shorter,
            ahead_s=ahead_s,
        )
        if isinstance(found, DoesNotFit):
            for one in known:
                is_known = one.last_grant is not None or self.lease_client is None
                limit, ends_at = one.shortfall.limit, one.shortfall.ends_at
                if is_known and not one.returnable and one.left <= 0 and limit.level != "end_user":
                    self._live.note_exhausted(limit, max(ends_at - ahead_s, now), now, ends_at)
        return found

    def may_fit_counted(
        self, billing_terms: BillingTerms, call: Call, shortfalls: Sequence[Shortfall], now: float
    ) -> bool:
        """Return whether the bytes of a prompt certainly do not fit in these limits, but its tokens may. Nothing is
        certain before control's first answer about a limit."""
        if not is_countable(call) or any(one.limit.metric == "requests" for one in shortfalls):
            return False
        known = self._known(shortfalls, now)
        is_asked = [one.last_grant is not None or self.lease_client is None for one in known]
        if not any(asked and one.left < one.shortfall.amount for asked, one in zip(is_asked, known, strict=True)):
            return False
        least = replace(call, text_tokens=least_tokens(call))
        bounded = billing_terms.bounded(least)
        if isinstance(bounded, Reason) or not any(_amount(bounded[1], one) < one.amount for one in shortfalls):
            return False  # a count would not lower the need, as where input is free
        if billing_terms.may_shorten:
            bounded = billing_terms.bounded(replace(least, max_tokens=1))
        if isinstance(bounded, Reason):
            return False
        _, bound = bounded
        return all(
            _amount(bound, one.shortfall) <= one.left + one.returnable
            for asked, one in zip(is_asked, known, strict=True)
            if asked
        )

    def is_spent(self, shortfalls: Sequence[Shortfall], now: float) -> bool:
        """Return whether control answered a moment ago that one of these limits has too little left."""
        return any(one.is_spent for one in self._known(shortfalls, now))

    def note_grants(self, grants: Sequence[Grant], now: float) -> None:
        """Keep control's last grant of each counter."""
        for grant in grants:
            if len(self._grants) > MAX_GRANTS:
                self._grants.clear()
            self._grants[grant.counter] = (grant, now + GRANT_FRESH_S)

    def last_grant(self, counter: str, window: int) -> Grant | None:
        """Return control's last grant for a window of a counter."""
        grant, _ = self._grants.get(counter, _NO_GRANT)
        return grant if grant is not None and grant.window == window else None

    def _known(self, shortfalls: Sequence[Shortfall], now: float) -> list[KnownShortfall]:
        last = [self.last_grant(shortfall.limit.counter, shortfall.window) for shortfall in shortfalls]
        fresh = [now < self._grants.get(shortfall.limit.counter, _NO_GRANT)[1] for shortfall in shortfalls]
        return [KnownShortfall(*one) for one in zip(shortfalls, last, fresh, strict=True)]

    def settle(self, reserved: ReservedAttempt, receiver: AnswerReceiver, failure: Failure | None) -> Charge:
        """Charge the amount that an attempt used."""
        billing_terms = reserved.billing_terms
        try:
            charge = charge_for(reserved.call, billing_terms.tariff, reserved.bound, receiver, failure)
        except Exception:  # after any error, the attempt is over and must not stay reserved
            _logger.exception("the cost of an attempt cannot be computed, so its reservation is charged")
            charge = Charge(reserved.bound.nano, reserved.bound.tokens, "reserved", is_priced=reserved.is_priced)
        scope, held = billing_terms.scope, charge.nano + charge.held_nano
        self.ledger.settle(reserved.attempt_id, held, charge.tokens)
        if self.journal is not None:
            work = reserved.call.batch
            if work is not None:
                sent = sent_record(scope, work, reserved.request_id, reserved.ordinal, at=time())
                if (result := result_record(sent, charge, receiver)) is not None:
                    self.journal.store(scope, result)
            outcome = outcome_record(
                scope, reserved.request_id, reserved.ordinal, charge, outcome=outcome_of(receiver, failure), at=time()
            )
            self.journal.store(scope, outcome)
        return charge

    def clock(self) -> float:
        """Return Unix seconds that never decrease. After the clock was set back, they follow the monotonic clock:
        otherwise windows would last until the clock has caught up."""
        now = time()
        if now >= self._latest:
            self._latest, self._set_back_at = now, 0.0
            return now
        steady = monotonic()
        if self._set_back_at:
            self._latest += steady - self._set_back_at
        self._set_back_at = steady
        return self._latest


def charge_for(call: Call, tariff: Tariff, bound: Bound, receiver: AnswerReceiver, failure: Failure | None) -> Charge:
    """Return the charge for an attempt that has ended."""
    if call.batch is not None:  # its lines are charged when it has ended
        return charge_batch(call.batch, bound, receiver.arrived(), failure)
    if not bound.tokens:  # the call is free; an account may report usage that was charged before
        return FREE
    if failure is not None and failure.kind in failures.REFUSALS:
        failure = None  # the answer is whole
    usage = with_units(tariff.terms.price, receiver.used(), receiver.units)
    if usage is not None and receiver.is_usage_partial:
        return charge_begun(call, tariff, bound, usage, arrived=receiver.arrived(), failure=failure)
    if usage is not None:
        return charge_reported(call, tariff, bound, usage, is_complete=failure is None)
    return charge_estimated(call, tariff, bound, receiver.arrived(), failure)


def outcome_of(receiver: AnswerReceiver, failure: Failure | None) -> str:
    """Return the outcome of an attempt for records: `ok`, the kind of a refusal, or the code of its failure."""
    if failure is not None:
        return failure.kind.code
    return receiver.refused.code if receiver.refused is not None else "ok"


_NO_GRANT: tuple[Grant | None, float] = (None, 0.0)


def lease_requests(shortfalls: Sequence[Shortfall]) -> list[LeaseRequest]:
    """Return the requests for leases to send to control."""
    return [shortfall.lease_request() for shortfall in shortfalls]


def _amount(bound: Bound, shortfall: Shortfall) -> int:
    """Return the amount that a bound takes of a limit of money or tokens."""
    return bound.nano if shortfall.limit.metric == "usd" else bound.tokens
