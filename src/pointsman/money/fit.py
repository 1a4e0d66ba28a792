"""An attempt without room in its limits: a shorter answer that fits, or the reason to leave its candidate out."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.dollars import dollars
from pointsman.domain.leases import Grant
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.verdicts import Reason
from pointsman.money.ledger import Shortfall
from pointsman.money.pricing import longest_answer, most_output
from pointsman.money.provider_tools import most_added, read_to_the_end, unbounded_of
from pointsman.money.terms import Terms
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.thinking import budget_in

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
    def returnable(self) -> int:
        """The amount that attempts in progress and other workers may return."""
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
    """The reason why there is no room. The call `may_fit` after others settle. If `fits_if_shortened`, a shorter answer
    would fit."""

    reason: Reason
    may_fit: bool
    fits_if_shortened: bool


def fit(
    terms: Terms,
    call: Call,
    shortfalls: Sequence[KnownShortfall],
    *,
    may_shorten: bool,
    accepts_shorter: bool,
    ahead_s: float,
) -> ShortenedCall | DoesNotFit:
    """Return the call with the longest answer that the limits may have room for, if answers are being shortened. Else
    return the reason why there is no room. Unix time is `ahead_s` seconds ahead of the monotonic clock."""
    shorter = _shorter(terms, call, shortfalls) if may_shorten else None
    if shorter is not None and accepts_shorter:
        return shorter
    # Count the last grant even if it is not fresh, so that a slow machine gives the same answer.
    may_fit = all(one.left + one.returnable >= one.shortfall.amount for one in shortfalls)
    return DoesNotFit(_rejection(call, shortfalls, ahead_s), may_fit, shorter is not None)


def over_limit(limit: Limit, problem: str, ends_at: float | None, without_room: Iterable[Limit] = ()) -> Reason:
    """Return the reason for a limit that a request does not fit in. `ends_at` is the end of its window in monotonic
    seconds; `None` if the next window would have no room either. `without_room` are all limits that it does not fit
    in."""
    code = "over_budget" if limit.metric == "usd" else "over_rate_limit"
    then = tuple(dict.fromkeys(one.then for one in without_room if one.then))
    return Reason(code, f"the {limit} {problem}", until=ends_at, then=then)


def counted_reason(tokens: int) -> Reason:
    """Return the reason for a reservation that is smaller than the bytes of the prompt require."""
    return Reason("counted", f"the attempt needs up to {tokens:,} tokens (counted)")


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
    if longest < MIN_OUTPUT + budget_in(call):
        return None
    message = f"the answer is limited to {longest} tokens: the {worst.limit} has {amount_text(worst.limit, left)} left"
    shorter = call if longest == wanted else replace(call, max_tokens=longest)
    return ShortenedCall(shorter, Reason("shortened", message))


def _fitting(terms: Terms, call: Call, metric: Metric, room: int) -> int:
    """Return the longest answer within `room`, in tokens, after the cost that the bytes of the call do not bound."""
    unbounded = unbounded_of(terms, call) if metric == "usd" else None
    if unbounded is not None:
        room -= most_added(terms, unbounded)
        call = read_to_the_end(terms, call, unbounded)
    return longest_answer(terms, call, metric, room)


def _rejection(call: Call, shortfalls: Sequence[KnownShortfall], ahead_s: float) -> Reason:
    too_large = [one for one in shortfalls if one.shortfall.amount > one.shortfall.limit.amount]
    worst = max(too_large or shortfalls, key=lambda one: one.shortfall.ends_at)
    shortfall, last = worst.shortfall, worst.last_grant
    limit, without_room = shortfall.limit, [one.shortfall.limit for one in shortfalls]
    elsewhere = last.leased_elsewhere if last is not None else 0
    leased = f" and {amount_text(limit, elsewhere)} leased to other workers" if elsewhere else ""
    need, left = amount_text(limit, shortfall.amount), amount_text(limit, max(worst.left, 0))
    if call.text_tokens is not None:
        need += " (counted)"
    rest = f"has {left} left{leased} until {moment(shortfall.ends_at)}"
    if too_large:
        return over_limit(limit, f"is less than the {need} that this attempt may need; it {rest}", None, without_room)
    problem = f"{rest}, but this attempt may need up to {need}"
    return over_limit(limit, problem, shortfall.ends_at - ahead_s, without_room)


def moment(unix_s: int) -> str:
    """Return a time in RFC 3339's format."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def amount_text(limit: Limit, amount: int) -> str:
    """Return an amount in units of a limit's metric, in words."""
    return dollars(amount) if limit.metric == "usd" else str(amount)
