"""The objections of policies to candidates."""

from msgspec import Struct


class Reason(Struct, frozen=True):
    """A policy's objection to a candidate. `is_last_resort` keeps the candidate at the end of the plan instead of
    dropping it. It is for guesses about the future (a breaker is open), not for rules. `then` are the models that the
    budgets without room fall to."""

    code: str
    message: str
    is_last_resort: bool = False
    until: float | None = None  # monotonic seconds, if the reason ends by itself
    then: tuple[str, ...] = ()


class Verdict(Struct, frozen=True):
    """One candidate and the objection of `policy` to it."""

    candidate: str
    policy: str
    reason: Reason
