"""Decides on a request without sending it: providers count as healthy unless the live state says otherwise."""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.limits import Limit
from pointsman.domain.plans import Choice, Plan, Try, without
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.engine.billing import Billing, NotReserved, ReservedAttempt
from pointsman.engine.billing_terms import BillingTerms
from pointsman.engine.counting import counted
from pointsman.engine.live import Amounts, Live
from pointsman.money.fit import ShortenedCall, amount_text, counted_reason, moment, over_limit
from pointsman.money.ledger import Ledger
from pointsman.routing.decide import decide, nothing_left
from pointsman.routing.explain import Consulted, LimitUse
from pointsman.routing.instead import opened
from pointsman.routing.view import RandomSource


class Previewed(Struct, frozen=True):
    """The decision on a request that is not sent, and the amounts that it depends on."""

    decision: Plan | Failure
    consulted: Consulted = Consulted()


def decide_unsent(
    facts: Facts, rng: RandomSource, now: float, live: Live | None = None, amounts: Amounts | None = None
) -> Previewed:
    """Return the plan of a request after billing, or the failure if it is rejected. `now` is in monotonic seconds.
    `amounts` are the used amounts of limits; by default nothing was spent."""
    live = live or Live(facts.call.snapshot)
    if amounts is not None:
        live.amounts = amounts
    plan = decide(facts, live, rng, now)
    return _Preview(facts, live, now).of(plan) if isinstance(plan, Plan) else Previewed(plan)


class _BillingAt(Billing):
    """Billing at a stated time, in Unix seconds."""

    def __init__(self, live: Live, unix_s: float) -> None:
        super().__init__(live, Ledger(), None, None)
        self._unix_s = unix_s

    def clock(self) -> float:
        return self._unix_s


class _Preview:
    """Dry-runs the billing of a plan."""

    def __init__(self, facts: Facts, live: Live, now: float) -> None:
        self._facts = facts
        self._live = live
        self._now = now
        self._billing = _BillingAt(live, facts.unix_s)
        self._bounds: dict[str, tuple[int | None, int]] = {}
        self._prices: dict[str, str] = {}
        self._uses: dict[str, LimitUse] = {}

    def of(self, plan: Plan) -> Previewed:
        """Return the plan without the choices that billing rejects, or a failure if none is left. If only a shorter
        answer fits, return the plan with the choice for that."""
        left, call = plan, plan.call or self._facts.call
        shorter: Plan | None = None
        for choice in plan.choices:
            item = choice.candidate
            if call.batch is not None:
                call = self._billing.priced_batch(call, self._facts.virtual_key, Try(choice, choice.keys[0], 0.0))
            terms = self._billing.terms_cache.find_for(call, self._facts.virtual_key, item)
            self._prices[item.id] = terms.terms.price_source
            found, reason = self._reserve(terms, call)
            before = call
            if reason is not None or self._may_fit_counted(terms, call, found):
                call = counted(call)
                found, reason = self._reserve(terms, call)
            if isinstance(found, ReservedAttempt):
                self._note_bound(item.id, found)
                if reason is not None:
                    left = without(left, item, Verdict(item.id, "billing", reason))
                elif call is not before:  # counted for this candidate, as the engine notes it
                    verdict = Verdict(item.id, "billing", counted_reason(found.bound.tokens))
                    left = replace(left, verdicts=(*left.verdicts, verdict))
                continue
            if isinstance(found, Reason):
                reason = found
            else:
                reason = self._billing.fit(terms, call, found, self._now, accepts_shorter=False).reason
            left = without(left, item, Verdict(item.id, "billing", reason))
            fitting = (
                self._billing.fit(terms, call, found, self._now, accepts_shorter=True)
                if isinstance(found, list)
                else None
            )
            if shorter is None and isinstance(fitting, ShortenedCall):
                shorter = self._shortened(plan, choice, fitting.reason)
                found, _ = self._reserve(terms, fitting.call)
                if isinstance(found, ReservedAttempt):
                    self._note_bound(item.id, found)
        consulted = Consulted(self._bounds, self._prices, tuple(self._uses.values()))
        if left.choices:
            return Previewed(left, consulted)
        if left.instead and (choices := opened(left.instead, left.verdicts)):
            return self.of(replace(left, choices=choices, instead=()))
        if shorter is not None:
            own = shorter.verdicts[0]
            others = [verdict for verdict in left.verdicts if verdict.candidate != own.candidate]
            return Previewed(replace(shorter, verdicts=(*others, own)), consulted)
        failure = replace(nothing_left(call.model, left.verdicts, self._now), require=plan.require)
        return Previewed(replace(failure, rules=plan.rules), consulted)

    def _note_bound(self, name: str, reserved: ReservedAttempt) -> None:
        """Note the most that an attempt at a candidate can cost."""
        self._bounds[name] = (reserved.bound.nano if reserved.is_priced else None, reserved.bound.tokens)

    def _reserve(self, terms: BillingTerms, call: Call) -> tuple[ReservedAttempt | NotReserved, Reason | None]:
        """Reserve for an attempt and release that. If a limit has too little left, return the reason too."""
        found = self._billing.reserve(terms, call, "preview", 1)
        if not isinstance(found, ReservedAttempt):
            return found, None
        self._billing.ledger.release(found.attempt_id)
        return found, self._without_room(terms, found)

    def _may_fit_counted(self, terms: BillingTerms, call: Call, found: ReservedAttempt | NotReserved) -> bool:
        if not isinstance(found, list):
            return False
        return not found or self._billing.may_fit_counted(terms, call, found, self._now)

    def _without_room(self, terms: BillingTerms, reserved: ReservedAttempt) -> Reason | None:
        """Return the reason if a limit has less left than the attempt may need, counting what was used before."""
        bound, reason = reserved.bound, None
        for limit in terms.terms.limits:
            used = self._use(limit)
            need = {"usd": bound.nano, "tokens": bound.tokens, "requests": 1}[limit.metric]
            if used is not None and not limit.soft and used + need > limit.amount and reason is None:
                left = amount_text(limit, max(limit.amount - used, 0))
                resets_at = limit.period.window(self._facts.unix_s)[1]
                need_text = amount_text(limit, need)
                problem = f"has {left} left until {moment(resets_at)}, but this attempt may need up to {need_text}"
                reason = over_limit(limit, problem, resets_at - self._facts.unix_s + self._now, [limit])
        return reason

    def _use(self, limit: Limit) -> int | None:
        """Return the used amount of a limit, and note that it was consulted."""
        used = self._live.used(limit, self._facts.unix_s)
        self._uses[limit.counter] = LimitUse(str(limit), limit.metric, limit.amount, used)
        return used

    @staticmethod
    def _shortened(plan: Plan, choice: Choice, reason: Reason) -> Plan:
        item = choice.candidate
        return replace(plan, choices=(choice,), verdicts=(Verdict(item.id, "billing", reason),))
