"""A decision as a value: the attempts in order, and the reason for every candidate left out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, Prefix
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.quotas import NO_NEED, QuotaNeed
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements
from pointsman.domain.rules import RuleTrace
from pointsman.domain.snapshots import Hedging, Mirror, Racing, Routing
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.domain.verdicts import Verdict


class Choice(Struct, frozen=True, gc=False):
    """One candidate of a plan with its keys in the order of use."""

    candidate: Candidate
    keys: tuple[ProviderKey, ...]


class HedgeTerms(Struct, frozen=True, gc=False):
    """The duplicates of one request: the settings of hedges and races, and the virtual key and the end user whose
    limits need headroom. `ahead_s` is the Unix time minus the monotonic time, and `usual_s` the usual time of such a
    request, both in seconds. The latter is 0 if no strategy learns. `race_s` is set if the plan's `probe` gets the
    request at once beside the best candidate. Once the other has answered, the probe may take up to this many seconds
    from its start to its first content."""

    settings: Hedging | None
    virtual_key: VirtualKey | None
    ahead_s: float
    of_user: tuple[Limit, ...] = ()
    racing: Racing | None = None
    usual_s: float = 0.0
    race_s: float | None = None


class Plan(Struct, frozen=True, gc=False):
    """The candidates of a request in their order, with the limits of its attempts. `made_at` and `deadline` are in
    monotonic seconds. `source` names the origin of strategy and targets. `notes` explain the order, and are
    rendered when they are read. `jitter`, in [0, 1), spreads the waits before retries. A `pinned` call is not
    repeated once bytes were sent. `stream` says that a stream was requested, by `operation`. `routing` holds for
    this request. `max_attempts` bounds first tries and retries. After a rejected key, attempts with the candidate's
    other keys are counted separately, up to the same number. `model` is the name that the client requested.
    `require` are the requirements that every choice meets. `kept_by` names the value of the request that always
    gets this order. `call` is the call as rules changed it, if they did, and `rules` is their evaluation.
    `declared` are the causes with fallbacks of their own, and `occurred` those that policies found before any
    attempt. `instead` are the candidates that budgets fall to: they are tried if no other is left, and only if one
    was left out by a budget that names them. If its settings need them, `answers` is the number of answers to the
    request, and `most_tokens` its bound on all of them. `hedging` are the terms of a second attempt beside another one,
    if the request may have one. `mirror` is set if the request is copied to another model. If
    its strategy `learns`, its attempts are observed. `patience` has the longest waits for the first content of a
    stream in seconds, by the ids of candidates. `probe` is the id of the candidate that the request tries only to
    find out how it is now, if any: first, or in a race. `need` are the expected amounts that it takes of its provider's
    limits; they are computed only while such a limit is near its end. `prefix` is the beginning of its prompt, if a
    cache may have it."""

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
    notes: Iterable[str] = ()
    model: str = ""
    require: Requirements = NO_REQUIREMENTS
    kept_by: str = ""
    call: Call | None = None
    rules: RuleTrace | None = None
    declared: frozenset[str] = frozenset()
    occurred: frozenset[str] = frozenset()
    instead: tuple[Choice, ...] = ()
    answers: int = 1
    most_tokens: int | None = None
    hedging: HedgeTerms | None = None
    mirror: Mirror | None = None
    learns: bool = False
    patience: Mapping[str, float] = {}
    probe: str = ""
    need: QuotaNeed = NO_NEED
    prefix: Prefix | None = None


def without(plan: Plan, item: Candidate, verdict: Verdict) -> Plan:
    """Return the plan without a candidate, which gets a verdict instead."""
    choices = tuple(choice for choice in plan.choices if choice.candidate is not item)
    return replace(plan, choices=choices, verdicts=(*plan.verdicts, verdict))


class Exclusion(Struct, frozen=True, gc=False):
    """A candidate that gets no attempt in this round, because no limit has room for it. It `may_fit` once others have
    settled. If `fits_if_shortened`, a shorter answer than requested would fit."""

    candidate: Candidate
    verdict: Verdict
    may_fit: bool = False
    fits_if_shortened: bool = False


class Try(Struct, frozen=True, gc=False):
    """Make this attempt now. `timeout_s` bounds the time to its commit. For a stream, `head_s` bounds the time to its
    head and `content_s` that to its first content, if they are less. A repeat spends a token of the retry budgets.
    `is_fresh` requires a new connection. The client gets no refusal of a kind in `held`, since another candidate is for
    it. With `whole_by`, in monotonic seconds, it gets no part of a stream before all of it, by then."""

    choice: Choice
    key: ProviderKey
    timeout_s: float
    head_s: float | None = None
    content_s: float | None = None
    is_repeat: bool = False
    is_fresh: bool = False
    held: frozenset[Kind] = frozenset()
    whole_by: float | None = None


class Hedge(Try, frozen=True, gc=False):
    """Make this attempt beside those in progress, which take long to commit."""


class Race(Hedge, frozen=True, gc=False):
    """Make this attempt at once beside the first one, to find out how its candidate is now."""


class Await(Struct, frozen=True):
    """Wait until an attempt in progress has ended, but at most for `delay_s` seconds. `then` is the choice and key that
    the wait is for, if any."""

    delay_s: float
    reason: str
    then: tuple[Choice, ProviderKey] | None = None


class NextRound(Struct, frozen=True):
    """Consider every candidate again after `delay_s` seconds, since limits may have room by then. If
    `accepts_shorter`, an answer may be shortened to fit."""

    delay_s: float
    accepts_shorter: bool


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
    def has_content(self) -> bool: ...


class Progress(Struct):
    """The state of a plan that is being carried out. `history` has the attempts that failed, in order; `running` has
    those in progress. `excluded` has the candidates without room in this round. If `accepts_shorter`, answers may be
    shortened in it. `due` is the choice and key that the step before waited for."""

    history: tuple[PastAttempt, ...] = ()
    running: Sequence[Running] = ()
    excluded: tuple[Exclusion, ...] = ()
    accepts_shorter: bool = False
    due: tuple[Choice, ProviderKey] | None = None


Health = Literal["healthy", "degraded", "failed", "recovering"]  # of a provider and model
