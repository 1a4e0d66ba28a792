"""The cost of attempts: reserved before bytes are sent, charged when an attempt is over, and recorded in the journal.

Each attempt that counts in a limit reserves an upper bound. If a limit applies to the answer and the request sets no
maximum, the gateway sends one: the model's maximum, or the default of a completion. So the reservation is an upper
bound. Near a limit, if configured, it sends a lower maximum: the longest answer that there is room for.
"""

import logging
from collections.abc import Sequence
from time import monotonic, time

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.leases import Grant, LeaseRequest
from pointsman.domain.plans import Reason
from pointsman.engine.billing_terms import BillingTerms, BillingTermsCache
from pointsman.engine.lease_client import LeaseClient
from pointsman.engine.live import Live
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.records import Outcome
from pointsman.journal.writer import JournalUnavailable, JournalWriter
from pointsman.money.charges import FREE, Bound, Charge, Tariff, charge_estimated, charge_reported
from pointsman.money.fit import DoesNotFit, KnownShortfall, ShortenedCall, fit
from pointsman.money.ledger import Ledger, Shortfall

MAX_TOLD = 20_000  # counters
TOLD_S = 0.05  # how long control's answer about a limit stays valid
_logger = logging.getLogger(__name__)


class ReservedAttempt(Struct, frozen=True, gc=False):
    """An attempt that may be sent. `call` is the client's, with a maximum for its answer if it needs one."""

    tab: BillingTerms
    call: Call
    request_id: str
    ordinal: int
    attempt: str
    bound: Bound


NoRoom = Reason | list[Shortfall]  # the reason not to send an attempt, or the limits without room for it


class Billing:
    """The ledger, the journal, and the terms they apply."""

    def __init__(
        self, live: Live, ledger: Ledger, journal: JournalWriter | None, lease_client: LeaseClient | None
    ) -> None:
        self.ledger = ledger
        self.journal = journal
        self.lease_client = lease_client
        self.unkept = 0  # attempts that were served although the journal could not store them
        self._live = live
        # Control's last answer about a counter, and the moment until which it is valid.
        self._told: dict[str, tuple[Grant, float]] = {}
        self.billing_terms = BillingTermsCache(ledger)
        self._latest = 0.0  # Unix seconds
        self._set_back_at = 0.0  # monotonic: when the clock was seen to be behind `_latest`

    def hold(self, tab: BillingTerms, call: Call, request_id: str, ordinal: int) -> "ReservedAttempt | NoRoom":
        """Reserve for an attempt and record the intent. Return a `Reason` not to send it, or the list of limits without
        room for it."""
        bounded = tab.bounded(call)
        if isinstance(bounded, Reason):
            return bounded
        call, bound = bounded
        attempt = f"{request_id}-{ordinal}"
        found = self.ledger.reserve(
            tab.account, attempt, bound.nano, bound.tokens, ordinal=ordinal, now_unix_s=self.clock()
        )
        if isinstance(found, list):
            return found
        if self.journal is not None:
            try:
                self.journal.intent(tab.scope, request_id, ordinal, found.at, nano=bound.nano, tokens=bound.tokens)
            except JournalUnavailable as error:
                if tab.terms.limits:
                    self.ledger.release(attempt)
                    return Reason("journal_unavailable", f"the journal cannot record the cost of this attempt: {error}")
                self.unkept += 1
            except Exception:  # after any error, the reservation must not stay
                self.ledger.release(attempt)
                raise
        return ReservedAttempt(tab, call, request_id, ordinal, attempt, bound=bound)

    def fit(
        self, tab: BillingTerms, call: Call, shorts: Sequence[Shortfall], now: float, *, shortens: bool
    ) -> ShortenedCall | DoesNotFit:
        """Return a shorter call that these limits may have room for, if answers are being shortened. Else return the
        reason why there is no room. A limit with nothing left anywhere is not asked for again for a moment."""
        shortfalls, ahead_s = self._shortfalls(shorts, now), self.clock() - now
        found = fit(tab.terms, call, shortfalls, may_shorten=tab.may_shorten, shortens=shortens, ahead_s=ahead_s)
        if isinstance(found, DoesNotFit):
            for one in shortfalls:
                if (one.last_grant is not None or self.lease_client is None) and not one.held and one.left <= 0:
                    self._live.refused(one.shortfall.limit, max(one.shortfall.ends_at - ahead_s, now), now)
        return found

    def is_spent(self, shorts: Sequence[Shortfall], now: float) -> bool:
        """Return whether control answered a moment ago that one of these limits has too little left."""
        return any(one.is_spent for one in self._shortfalls(shorts, now))

    def answered(self, grants: Sequence[Grant], now: float) -> None:
        """Remember control's answers."""
        for grant in grants:
            if len(self._told) > MAX_TOLD:
                self._told.clear()
            self._told[grant.counter] = (grant, now + TOLD_S)

    def told_of(self, counter: str, window: int) -> Grant | None:
        """Return control's last answer about a window of a counter."""
        grant, _ = self._told.get(counter, _NEVER_TOLD)
        return grant if grant is not None and grant.window == window else None

    def _shortfalls(self, shorts: Sequence[Shortfall], now: float) -> list[KnownShortfall]:
        told = [self.told_of(short.limit.counter, short.window) for short in shorts]
        fresh = [now < self._told.get(short.limit.counter, _NEVER_TOLD)[1] for short in shorts]
        return [KnownShortfall(*one) for one in zip(shorts, told, fresh, strict=True)]

    def settle(self, hold: ReservedAttempt, receiver: AnswerReceiver, failure: Failure | None) -> Charge:
        """Charge the amount that an attempt used."""
        tab = hold.tab
        try:
            charge = charge_for(hold.call, tab.tariff, hold.bound, receiver, failure)
        except Exception:  # after any error, the attempt is over and must not stay reserved
            _logger.exception("the cost of an attempt cannot be computed, so its reservation is charged")
            charge = Charge(hold.bound.nano, hold.bound.tokens, "reserved", is_priced=tab.terms.price is not None)
        usage, scope, held = charge.usage, tab.scope, charge.nano + charge.held
        self.ledger.settle(hold.attempt, held, charge.tokens)
        if self.journal is not None:
            outcome = Outcome(
                scope.number,
                hold.request_id,
                hold.ordinal,
                time(),
                held,
                tokens_in=usage.tokens_in,
                tokens_out=usage.tokens_out,
                tokens_cached=usage.tokens_cached,
                tokens_reasoning=usage.tokens_reasoning,
                outcome=failure.kind.code if failure is not None else "ok",
                source=charge.source,
                is_priced=charge.is_priced,
                tokens=charge.tokens,
                cost=charge.nano,
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
    """Return the charge for an attempt that is over."""
    if not bound.tokens:  # the call is free; an account may report usage that was charged before
        return FREE
    usage = receiver.used()
    if usage is not None:
        return charge_reported(tariff, bound, usage, is_complete=failure is None)
    return charge_estimated(call, tariff, bound, receiver.arrived(), failure)


_NEVER_TOLD: tuple[Grant | None, float] = (None, 0.0)


def wants(shorts: Sequence[Shortfall]) -> list[LeaseRequest]:
    """Return the wants to send to control."""
    return [short.want() for short in shorts]
