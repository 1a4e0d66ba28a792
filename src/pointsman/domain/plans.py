"""A decision as a value: the attempts in order, and the reason for every candidate left out."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from pointsman.domain.failures import Failure
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.snapshots import Routing
from pointsman.domain.targets import Candidate, ProviderKey


class Reason(Struct, frozen=True):
    """A policy's objection to a candidate. `is_last_resort` keeps the candidate at the end of the plan instead of
    dropping it. It is for guesses about the future (a breaker is open), not for rules."""

    code: str
    message: str
    is_last_resort: bool = False
    until: float | None = None  # monotonic seconds, if the reason ends by itself


class Verdict(Struct, frozen=True):
    """One candidate and the objection of `policy` to it."""

    candidate: str
    policy: str
    reason: Reason


class Choice(Struct, frozen=True, gc=False):
    """One candidate of a plan with its keys in the order of use."""

    candidate: Candidate
    keys: tuple[ProviderKey, ...]


class Plan(Struct, frozen=True, gc=False):
    """The candidates of a request in their order, with the limits of its attempts. `made_at` and `deadline` are in
    monotonic seconds. `source` names the origin of strategy and targets, and `notes` explain the order. `jitter`, in
    [0, 1), spreads the waits before retries. A `pinned` call is not repeated once bytes were sent. `stream` says that a
    stream was requested, by `operation`. `routing` holds for this request. `max_attempts` bounds first tries and
    retries. After a rejected key, attempts with the candidate's other keys are counted separately, up to the same
    number. `model` is the name that the client requested. With `hedge_after_s`, an attempt that has not committed
    after that many seconds gets a rival: the next candidate is tried beside it."""

    choices: tuple[Choice, ...]
    verdicts: tuple[Verdict, ...]
    strategy: str
    source: str
    made_at: float
    deadline: float
    max_attempts: int
    jitter: float = 0.0
    pinned: bool = False
    stream: bool = False
    routing: Routing = Routing()
    operation: Operation = "chat"
    notes: tuple[str, ...] = ()
    model: str = ""
    hedge_after_s: float | None = None


class LeftOut(Struct, frozen=True, gc=False):
    """A candidate that gets no attempt in this round, because no limit has room for it. It `may_fit` once others have
    settled, and `may_shorten` if its answer may be shorter than the request allows."""

    candidate: Candidate
    verdict: Verdict
    may_fit: bool = False
    may_shorten: bool = False


class Try(Struct, frozen=True, gc=False):
    """Make this attempt now. `timeout_s` bounds the time to its commit. For a stream, `head_s` bounds the time to its
    head and `content_s` that to its first content, if they are less. A repeat spends a token of the retry budgets.
    `is_fresh` requires a new connection."""

    choice: Choice
    key: ProviderKey
    timeout_s: float
    head_s: float | None = None
    content_s: float | None = None
    is_repeat: bool = False
    is_fresh: bool = False


class Hedge(Try, frozen=True, gc=False):
    """Make this attempt beside those in progress, which take long to commit."""


class Await(Struct, frozen=True):
    """Wait until an attempt in progress has ended, but at most for `delay_s` seconds. `then` is the choice and key that
    the wait is for, if any."""

    delay_s: float
    reason: str
    then: tuple[Choice, ProviderKey] | None = None


class NextRound(Struct, frozen=True):
    """Consider every candidate again after `delay_s` seconds, since limits may have room by then. `shortens` accepts a
    shorter answer."""

    delay_s: float
    shortens: bool


class GiveUp(Struct, frozen=True):
    """Answer the client with this failure."""

    failure: Failure
    should_retry: bool = False


Step = Try | Await | NextRound | GiveUp


class Running(Protocol):
    """An attempt in progress."""

    step: Try
    started_at: float

    @property
    def has_committed(self) -> bool: ...


class Progress(Struct):
    """The state of a plan that is being carried out. `history` has the attempts that failed, in order; `running` has
    those in progress. `left_out` has the candidates without room in this round, and `shortens` accepts shorter answers
    in it. `due` is the choice and key that the step before waited for."""

    history: tuple[PastAttempt, ...] = ()
    running: Sequence[Running] = ()
    left_out: tuple[LeftOut, ...] = ()
    shortens: bool = False
    due: tuple[Choice, ProviderKey] | None = None


Health = Literal["healthy", "degraded", "failed", "recovering"]  # of a provider and model
