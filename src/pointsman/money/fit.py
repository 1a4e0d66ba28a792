"""An attempt without room in its limits: a shorter answer that fits, or the reason to leave its candidate out."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.dollars import dollars
from pointsman.domain.leases import Grant
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.plans import Reason
from pointsman.money.ledger import Shortfall
from pointsman.money.pricing import longest_answer, most_output
from pointsman.money.provider_tools import most_added, read_to_the_end, unbounded_of
from pointsman.money.terms import Terms
from pointsman.wire.dialects import DIALECTS

MIN_OUTPUT = 16  # tokens: a shorter answer is useless, and OpenAI's Responses accept no lower bound


class KnownShortfall(Struct, frozen=True, gc=False):
    """A limit without room, and control's last answer about it, which `is_fresh` for a moment."""

    shortfall: Shortfall
    last_grant: Grant | None
    is_fresh: bool

    @property
    def left(self) -> int:
        """The amount that is free here and at control."""
        return self.shortfall.available + (self.last_grant.remaining if self.last_grant is not None else 0)

    @property
    def held(self) -> int:
        """The amount that attempts in progress and other workers may give back."""
        return self.shortfall.reserved + (self.last_grant.leased_elsewhere if self.last_grant is not None else 0)

    @property
    def is_spent(self) -> bool:
        """Return whether control, a moment ago, had less than the needed amount, and no other worker holds any."""
        last = self.last_grant
        return last is not None and self.is_fresh and not last.leased_elsewhere and last.remaining < self.shortfall.more


class ShortenedCall(Struct, frozen=True, gc=False):
    """A call with a shorter answer than requested, and the reason."""

    call: Call
    reason: Reason


class DoesNotFit(Struct, frozen=True, gc=False):
    """The reason why there is no room. The call `may_fit` after other attempts settle, and `may_shorten` if a shorter
    answer would fit."""

    reason: Reason
    may_fit: bool
    may_shorten: bool


def fit(
    terms: Terms, call: Call, shortfalls: Sequence[KnownShortfall], *, may_shorten: bool, shortens: bool, ahead_s: float
) -> ShortenedCall | DoesNotFit:
    """Return the call with the longest answer that the limits may have room for, if answers are being shortened. Else
    return the reason why there is no room. Unix time is `ahead_s` seconds ahead of the monotonic clock."""
    shorter = _shorter(terms, call, shortfalls) if may_shorten else None
    if shorter is not None and shortens:
        return shorter
    # Count the last grant even if it is not fresh, so that a slow machine gives the same answer.
    may_fit = all(one.left + one.held >= one.shortfall.amount for one in shortfalls)
    return DoesNotFit(_rejection(shortfalls, ahead_s), may_fit, shorter is not None)


def over_limit(limit: Limit, problem: str, ends_at: float | None) -> Reason:
    """Return the reason for a limit that a request does not fit in. `ends_at` is the end of its window in monotonic
    seconds; `None` if the next window would have no room either."""
    code = "over_budget" if limit.metric == "usd" else "over_rate_limit"
    return Reason(code, f"the {limit} {problem}", until=ends_at)


def _shorter(terms: Terms, call: Call, shortfalls: Sequence[KnownShortfall]) -> ShortenedCall | None:
    if call.max_tokens == 0 or not DIALECTS[call.head.dialect].takes_bound(call):
        return None
    worst, left = shortfalls[0].shortfall, 0
    wanted = longest = most_output(terms, call)
    for one in shortfalls:
        room = one.left if one.is_fresh else one.shortfall.available
        fitting = _fitting(terms, call, one.shortfall.limit.metric, room)
        if fitting <= longest:
            longest, worst, left = fitting, one.shortfall, room
    if longest < MIN_OUTPUT:
        return None
    message = f"the answer is limited to {longest} tokens: the {worst.limit} has {_amount(worst.limit, left)} left"
    shorter = call if longest == wanted else replace(call, max_tokens=longest)
    return ShortenedCall(shorter, Reason("shortened", message))


def _fitting(terms: Terms, call: Call, metric: Metric, room: int) -> int:
    """Return the longest answer within `room`, in tokens, after the cost that the bytes of the call do not bound."""
    unbounded = unbounded_of(terms, call) if metric == "usd" else None
    if unbounded is not None:
        room -= most_added(terms, unbounded)
        call = read_to_the_end(terms, call, unbounded)
    return longest_answer(terms, call, metric, room)


def _rejection(shortfalls: Sequence[KnownShortfall], ahead_s: float) -> Reason:
    too_large = [one for one in shortfalls if one.shortfall.amount > one.shortfall.limit.amount]
    worst = max(too_large or shortfalls, key=lambda one: one.shortfall.ends_at)
    shortfall, last = worst.shortfall, worst.last_grant
    limit = shortfall.limit
    need, left = _amount(limit, shortfall.amount), _amount(limit, max(worst.left, 0))
    if too_large:
        return over_limit(limit, f"is less than the {need} that this attempt may need", None)
    elsewhere = last.leased_elsewhere if last is not None else 0
    leased = f" and {_amount(limit, elsewhere)} leased to other workers" if elsewhere else ""
    problem = f"has {left} left{leased}, but this attempt may need up to {need}"
    return over_limit(limit, problem, shortfall.ends_at - ahead_s)


def _amount(limit: Limit, amount: int) -> str:
    return dollars(amount) if limit.metric == "usd" else str(amount)
