"""A decision as a value: the attempts in order, and why every other candidate was left out."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from pointsman.domain.failures import Failure
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.snapshots import Routing
from pointsman.domain.targets import Candidate, ProviderKey


class Reason(Struct, frozen=True):
    """Why a policy does not want a candidate. `is_last_resort` keeps it at the end of the plan instead of dropping
    it: for reasons that are guesses about the future (a breaker is open), not rules."""

    code: str
    message: str
    is_last_resort: bool = False
    until: float | None = None  # monotonic seconds, where the reason ends by itself


class Verdict(Struct, frozen=True):
    """One candidate and what `policy` said of it."""

    candidate: str
    policy: str
    reason: Reason


class Choice(Struct, frozen=True, gc=False):
    """One candidate of a plan with its keys in the order they are to be tried."""

    candidate: Candidate
    keys: tuple[ProviderKey, ...]


class Plan(Struct, frozen=True, gc=False):
    """The attempts that will be made. `made_at` and `deadline` are in monotonic seconds; `source` says what chose
    strategy and targets, and `notes` why their order is this one; `jitter`, in [0, 1), spreads the waits before
    retries; a `pinned` call is not repeated once bytes were sent; `stream` says that a stream was asked for, by
    `operation`. `routing` holds for this request. `max_attempts` bounds first tries and repeats; other keys of a
    candidate whose key was refused are counted by themselves, up to the same number. `model` is the name
    that the client asked for. With `hedge_after_s`, an attempt that has not committed after so many seconds gets a
    rival: the next candidate is tried beside it."""

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
    """Make this attempt now. `timeout_s` bounds the time to its commit. Of a stream, `head_s` bounds the time to its
    head and `content_s` that to its first content, where they are less. A repeat spends a token of the
    retry budgets. `is_fresh` asks for a new connection."""

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
    is waited for, where there is one."""

    delay_s: float
    reason: str
    then: tuple[Choice, ProviderKey] | None = None


class NextRound(Struct, frozen=True):
    """Consider every candidate anew after `delay_s` seconds, since limits may have room by then. With `shortens`, a
    shorter answer will do."""

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
    those in progress. `left_out` has the candidates without room in this round, and `shortens` says that shorter
    answers will do in it. `due` is the choice and key that the step before waited for."""

    history: tuple[PastAttempt, ...] = ()
    running: Sequence[Running] = ()
    left_out: tuple[LeftOut, ...] = ()
    shortens: bool = False
    due: tuple[Choice, ProviderKey] | None = None


Health = Literal["healthy", "degraded", "failed", "recovering"]  # of a provider and model
