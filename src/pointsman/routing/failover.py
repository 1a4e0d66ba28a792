"""What to do next: the rule behind retries and failover, a pure function of the plan and what was tried.

The commit rule: all of this happens before anything of an answer reached the client. Once an answer is committed the
engine no longer asks.

By the class of the last failure:

    provider     another provider at once; else another model of the same; else the same again after a pause
    quota        another key, else another provider, at once; wait when only quota blocks
    credential   another key, else another provider, at once
    request      give up, except for failures a declared fallback can mend (another model may take a longer prompt)
    client       give up

The first failover to another provider is free; every further attempt after a provider failure spends a token of the
retry budgets. A plan may be old by the time of its second attempt, so breakers and blocks are looked at again.
"""

from collections.abc import Iterator, Sequence

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.outcomes import Attempt
from pointsman.domain.plans import Choice, GiveUp, Plan, Step, Try, Wait
from pointsman.domain.targets import Provenance, ProviderKey
from pointsman.routing.view import View

# Refusals of the request that a declared fallback may well not share.
MENDABLE = frozenset(
    {
        failures.CONTEXT_TOO_LONG,
        failures.UPSTREAM_TOO_LARGE,
        failures.CONTENT_FILTERED,
        failures.UPSTREAM_MODEL_MISSING,
        failures.UPSTREAM_UNSUPPORTED,
    }
)
# A provider lacks what was asked for, which says nothing of the next.
LACKING = frozenset({failures.UPSTREAM_MODEL_MISSING, failures.UPSTREAM_UNSUPPORTED})

# The provider has seen nothing of a request that failed in one of these ways.
NEVER_SENT = frozenset({failures.CONNECT_FAILED, failures.CONNECT_TIMEOUT, failures.DNS_FAILED, failures.TLS_FAILED})

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
MAX_DOUBLINGS = 10  # past LONGEST_PAUSE_S, and far below what overflows a float


def next_step(plan: Plan, history: Sequence[Attempt], view: View, now: float) -> Step:
    """The next step of a plan, given every attempt made so far, all of them failed. Times are monotonic seconds.

    Always terminates: each `Try` adds to the history, which `plan.max_attempts` bounds, and the waits lie within
    the deadline.
    """
    if not history:
        return _first(plan, view, now)
    last = history[-1].failure
    if last is None:
        return GiveUp(Failure(failures.INTERNAL, "a plan went on after its success"))
    if _is_over(plan, history, last, now):
        return _give_up(history)
    choices = _open_choices(plan, history)
    for choice, key in _untried(choices, history, view, now):
        if _is_affordable(choice, history, view, now):
            return Try(choice, key, _timeout_s(plan, history, choice, now))
    return _again(plan, choices, history, view, now)


def is_retry(provider: str, history: Sequence[Attempt]) -> bool:
    """Whether an attempt at `provider` after these spends a token: the first failover to another one does not."""
    failed = [attempt.provider for attempt in history if _fault(attempt) is Fault.PROVIDER]
    return len(failed) > 1 or provider in failed


def _is_over(plan: Plan, history: Sequence[Attempt], last: Failure, now: float) -> bool:
    fault = last.kind.fault
    return (
        fault is Fault.CLIENT
        or (fault is Fault.REQUEST and last.kind not in MENDABLE)
        or (plan.pinned and last.kind not in NEVER_SENT)
        or len(history) >= plan.max_attempts
        or now >= plan.deadline
    )


def _first(plan: Plan, view: View, now: float) -> Step:
    if now >= plan.deadline:
        return GiveUp(Failure(failures.DEADLINE_EXCEEDED, "the deadline passed before a provider could be asked"))
    for choice in plan.choices:
        for key in choice.keys:
            if not view.key_blocks or _is_free(choice.candidate.endpoint.name, key, view, now):
                return Try(choice, key, _timeout_s(plan, (), choice, now))
    return _wait_for_quota(plan, plan.choices, (), view, now)


def _timeout_s(plan: Plan, history: Sequence[Attempt], choice: Choice, now: float) -> float:
    """An attempt gets at most half of what remains while another candidate is left to try. A pinned call has none
    after a timeout, which comes when its bytes were sent."""
    remaining_s = plan.deadline - now
    if plan.pinned or len(history) + 1 >= plan.max_attempts or len(plan.choices) == 1:
        return remaining_s
    tried = {attempt.candidate for attempt in history} if history else ()
    chosen = choice.candidate.id
    for other in reversed(plan.choices):  # what is last was probably not tried
        name = other.candidate.id
        if name != chosen and name not in tried:
            return remaining_s / 2
    return remaining_s


def _open_choices(plan: Plan, history: Sequence[Attempt]) -> Sequence[Choice]:
    """All of the plan, until a candidate refused the request: from then on only the declared fallbacks that did
    not refuse it too. That one provider lacks the model or the operation says nothing of the next."""
    refusals = {attempt.candidate: attempt.failure for attempt in history if _fault(attempt) is Fault.REQUEST}
    if not refusals:
        return plan.choices
    refused = refusals.keys()
    if all(failure is not None and failure.kind in LACKING for failure in refusals.values()):
        return [choice for choice in plan.choices if choice.candidate.id not in refused]
    return [
        choice
        for choice in plan.choices
        if choice.candidate.provenance is Provenance.FALLBACK and choice.candidate.id not in refused
    ]


def _untried(
    choices: Sequence[Choice], history: Sequence[Attempt], view: View, now: float
) -> Iterator[tuple[Choice, ProviderKey]]:
    """Keys that are free and were not tried, best first, leaving out candidates whose provider failed."""
    last = history[-1]
    tried = {(attempt.candidate, attempt.key) for attempt in history}
    failed = {attempt.candidate for attempt in history if _fault(attempt) is Fault.PROVIDER}
    dead = {attempt.provider for attempt in history if _fault(attempt) is Fault.PROVIDER}

    def rank(choice: Choice) -> int:
        item = choice.candidate
        if item.id == last.candidate:
            return 0  # another key of the candidate whose key was refused
        condition = view.conditions.get(item.id)
        if condition is not None and condition.is_blocked(now):
            return 3
        return 2 if item.endpoint.name in dead else 1

    for choice in sorted(choices, key=rank):
        item = choice.candidate
        if item.id not in failed:
            for key in choice.keys:
                if (item.id, key.name) not in tried and _is_free(item.endpoint.name, key, view, now):
                    yield choice, key


def _again(plan: Plan, choices: Sequence[Choice], history: Sequence[Attempt], view: View, now: float) -> Step:
    """Everything was tried once: ask again where a quota has come back, else where the provider failed, after a
    pause, else wait for a quota."""
    faults = {(attempt.candidate, attempt.key): _fault(attempt) for attempt in history}  # the last of each
    failed = {attempt.candidate for attempt in history if _fault(attempt) is Fault.PROVIDER}
    repeats: list[tuple[Choice, ProviderKey]] = []
    for choice in choices:
        item = choice.candidate
        for key in choice.keys:
            if not _is_free(item.endpoint.name, key, view, now) or not _is_affordable(choice, history, view, now):
                continue
            fault = faults.get((item.id, key.name))
            if fault is Fault.QUOTA:
                return Try(choice, key, _timeout_s(plan, history, choice, now))
            if item.id in failed and fault is not Fault.CREDENTIAL:
                repeats.append((choice, key))
    doublings = min(len(history) - 1, MAX_DOUBLINGS)
    pause_s = min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S) * (0.75 + 0.5 * plan.jitter)
    due = history[-1].ended_at + pause_s
    if not repeats or due >= plan.deadline:
        return _wait_for_quota(plan, choices, history, view, now)
    if now < due:
        return Wait(due - now, "every candidate failed once")
    choice, key = min(repeats, key=lambda pair: _times_tried(pair[0], pair[1], history))
    return Try(choice, key, _timeout_s(plan, history, choice, now))


def _wait_for_quota(plan: Plan, choices: Sequence[Choice], history: Sequence[Attempt], view: View, now: float) -> Step:
    """Only refused keys are left: wait for the first of them if a quota frees it soon, else say when. All waits of a
    plan together last at most `queue_s`."""
    quota = [
        block.until
        for choice in choices
        for key in choice.keys
        if (block := view.key_blocks.get((choice.candidate.endpoint.name, key.name))) is not None
        and block.failure.kind.fault is Fault.QUOTA
        and block.until > now
    ]
    if quota:
        delay_s = min(quota) - now
        waited_s = now - plan.made_at - sum(attempt.ended_at - attempt.started_at for attempt in history)
        if waited_s + delay_s <= view.snapshot.routing.timeouts.queue_s and now + delay_s < plan.deadline:
            return Wait(delay_s, "every key is rate limited")
    if history:
        return _give_up(history)
    return GiveUp(_blocked(plan, view, now), should_retry=bool(quota))


def _blocked(plan: Plan, view: View, now: float) -> Failure:
    said: list[str] = []
    until: list[float] = []
    for choice in plan.choices:
        for key in choice.keys:
            block = view.key_blocks.get((choice.candidate.endpoint.name, key.name))
            if block is not None:
                said.append(
                    f"{choice.candidate.id} (key {key.name}): {block.failure.message}; "
                    f"left alone for another {max(block.until - now, 0):.0f} s"
                )
                if block.failure.kind.fault is Fault.QUOTA:
                    until.append(block.until)
    there = {choice.candidate.id for choice in plan.choices}
    said += [f"{one.candidate}: {one.reason.message}" for one in plan.verdicts if one.candidate not in there]
    message = "no provider can be asked now. " + "; ".join(said)
    if until:
        return Failure(failures.UPSTREAM_RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0))
    return Failure(failures.NO_TARGET, message)


def _give_up(history: Sequence[Attempt]) -> GiveUp:
    """The failure of the plan as a whole: who was asked, what each answered and how long it took."""
    failed = [attempt.failure for attempt in history if attempt.failure is not None]
    if failed[-1].kind.fault in (Fault.REQUEST, Fault.CLIENT):
        return GiveUp(failed[-1])  # in the provider's words: nobody else was to be asked
    count = "the only attempt failed" if len(history) == 1 else f"all {len(history)} attempts failed"
    kinds = {failure.kind for failure in failed}
    retry_after = [failure.retry_after_s for failure in failed if failure.retry_after_s is not None]
    if all(failure.kind.fault is Fault.QUOTA for failure in failed):
        kind: Kind = failures.UPSTREAM_RATE_LIMITED
    elif len(kinds) == 1:
        kind = kinds.pop()
    else:
        kind = failures.ALL_ATTEMPTS_FAILED
    is_quota = kind is failures.UPSTREAM_RATE_LIMITED
    failure = Failure(
        kind,
        f"{count}. {_account(history, for_client=False)}",
        retry_after_s=min(retry_after) if retry_after and is_quota else None,
        told=f"{count}. {_account(history, for_client=True)}",
    )
    return GiveUp(failure, should_retry=is_quota)


def _account(history: Sequence[Attempt], *, for_client: bool) -> str:
    """Who was asked, how long it took and what came of it, for the client or for the record."""
    parts = []
    for attempt in history:
        failure = attempt.failure
        what = "succeeded" if failure is None else failure.for_client if for_client else failure.message
        parts.append(f"{attempt.candidate} (key {attempt.key}, {attempt.ended_at - attempt.started_at:.2f} s): {what}")
    return "; ".join(parts)


def _is_affordable(choice: Choice, history: Sequence[Attempt], view: View, now: float) -> bool:
    provider = choice.candidate.endpoint.name
    return not is_retry(provider, history) or view.may_retry(provider, now)


def _is_free(provider: str, key: ProviderKey, view: View, now: float) -> bool:
    blocks = view.key_blocks
    block = blocks.get((provider, key.name)) if blocks else None
    return block is None or block.until <= now


def _fault(attempt: Attempt) -> Fault | None:
    return attempt.failure.kind.fault if attempt.failure is not None else None


def _times_tried(choice: Choice, key: ProviderKey, history: Sequence[Attempt]) -> tuple[int, int]:
    """How often the candidate was tried, and how often with this key."""
    keys = [attempt.key for attempt in history if attempt.candidate == choice.candidate.id]
    return len(keys), keys.count(key.name)
