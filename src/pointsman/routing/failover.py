"""The rules of retries and failover: a pure function from a plan and its past attempts to the next step.

The commit rule: all of this happens before any part of an answer reached the client. Once an answer is committed, the
engine does not call this module again.

By the class of the last failure:

    provider     another provider at once; else another model of the same; else retry after a pause
    quota        another key, else another provider, at once; wait when only quota blocks
    credential   another key, else another provider, at once; the same key is not tried again
    request      give up, unless a declared fallback covers the failure, or it does not concern other targets. A refusal
                 in a whole answer, or before the content of a stream, is such a failure if a fallback is for it
    gateway      another candidate: this gateway could not reach the one it tried
    client       give up

With `failover.retry_after_wait_s` or `failover.same_target_retries`, the target that failed may be tried again before
that (`same_target`).

The first try at a candidate is always free, so every usable candidate is tried. Only a repeat spends a token of the
retry budgets: an attempt at a candidate that has failed for this request already. `max_attempts` bounds first tries and
repeats together. Other keys of a candidate whose key was rejected are bounded by it too, but counted separately. A plan
may be old by the time of its second attempt, so breakers and blocks are checked again.
"""

from collections.abc import Collection, Iterator, Sequence
from math import inf

from msgspec import structs
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.operations import GENERATING
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import (
    Await,
    Choice,
    Exclusion,
    GiveUp,
    Hedge,
    HedgeTerms,
    NextRound,
    Plan,
    Progress,
    Race,
    Running,
    Step,
    Try,
)
from pointsman.domain.targets import ProviderKey
from pointsman.routing.decide import nothing_left
from pointsman.routing.expectation import longest_answer_s
from pointsman.routing.fallbacks import (
    NOT_HELD,
    cause_of,
    causes_for,
    held_back,
    is_general,
    none_is_open,
    occurred_causes,
    open_after_rejection,
)
from pointsman.routing.final_failures import blocked_failure, give_up
from pointsman.routing.health import block_of, subject
from pointsman.routing.hedging import delay_s, has_headroom
from pointsman.routing.instead import opened
from pointsman.routing.same_target import pause_s, repeat_here, was_at_work
from pointsman.routing.view import View

# A target's lack of a model or an operation does not concern the next target.
LACKING = frozenset({failures.UPSTREAM_MODEL_MISSING, failures.UPSTREAM_UNSUPPORTED})

# The provider has received no part of a request that failed in one of these ways.
NEVER_SENT = frozenset(
    {failures.CONNECT_FAILED, failures.CONNECT_TIMEOUT, failures.DNS_FAILED, failures.TLS_FAILED}
    | {failures.OVERLOADED_GATEWAY, failures.CREDENTIAL_UNAVAILABLE}
)

# The longest wait of a request for others to settle for less than they reserved, if a rate limit has no room. For a
# budget it is `timeouts.queue_s`: SDKs retry a 429 themselves, and never a 402.
ROOM_S = 0.5
ROOM_PAUSE_S = 0.05  # at first; then an eighth of the time waited, since many requests may wait

Pair = tuple[Choice, ProviderKey]

_IN_PROGRESS = Await(inf, "an attempt is in progress")
_TRANSIENT = frozenset({"provider", "quota", "credential"})
_FAILS_OVER = frozenset({Fault.PROVIDER, Fault.GATEWAY})


def next_step(plan: Plan, progress: Progress, view: View, now: float) -> Step:
    """Return the next step of a plan, given its progress. Times are monotonic seconds. A choice that is `due` is tried
    now, regardless of other failures since.

    This always terminates. Each `Try` adds to the history, which `plan.max_attempts` bounds, and the waits lie within
    the deadline. Rounds end after `ROOM_S`, or `timeouts.queue_s` for a budget, except for one more with shorter
    answers.
    """
    if progress.running:
        return _IN_PROGRESS if plan.hedging is None else _hedge(plan, plan.hedging, progress, view, now)
    if progress.excluded:
        step = _without_excluded(plan, progress, view, now)
    elif not progress.history:
        return _first(plan, view, now, progress.due)
    else:
        step = _after_failure(plan, progress, view, now)
    if plan.instead and isinstance(step, GiveUp | NextRound | Await):
        return _instead(plan, progress, view, now, step)
    return step


def _instead(plan: Plan, progress: Progress, view: View, now: float, step: Step) -> Step:
    """Return the step that follows if budgets fall to other candidates, else `step`."""
    last = progress.history[-1].failure if progress.history else None
    if last is not None and _is_over(plan, last, now):
        return step
    choices = opened(plan.instead, (*plan.verdicts, *[one.verdict for one in progress.excluded]))
    if isinstance(step, Await):  # before repeats
        tried = {attempt.candidate for attempt in progress.history}
        choices = tuple([choice for choice in choices if choice.candidate.id not in tried])
    return next_step(replace(plan, choices=choices, instead=()), progress, view, now) if choices else step


def _after_failure(plan: Plan, progress: Progress, view: View, now: float) -> Step:
    history, due = progress.history, progress.due
    last = history[-1].failure
    if last is None:
        return GiveUp(Failure(failures.INTERNAL, "the plan continued after a success"))
    if _is_over(plan, last, now):
        return give_up(history)
    choices = _open_choices(plan, history, view, now)
    counted, rotations = _counts(history)
    again = repeat_here(plan, history, view, now) if counted < plan.max_attempts else None
    if again is not None:
        pair, at = again
        if now < at and due != pair:
            return Await(at - now, "the target that failed is tried again first", pair)
        return _try(plan, history, pair, view, now)
    tried = {attempt.candidate for attempt in history}
    for choice, key in _untried(plan, choices, history, view, now):
        used = rotations if choice.candidate.id in tried else counted
        if used < plan.max_attempts:
            return _try(plan, history, (choice, key), view, now)
    if counted >= plan.max_attempts:
        return give_up(history)
    if due is not None:
        return _try(plan, history, due, view, now)
    return _repeat(plan, choices, history, view, now)


def _without_excluded(plan: Plan, progress: Progress, view: View, now: float) -> Step:
    """Return the next step of a round in which limits had no room for some candidates. If no other candidate is left,
    they are considered again. This lasts while others may settle for less than they reserved; then one more round
    accepts a shorter answer."""
    excluded = {one.candidate for one in progress.excluded}
    choices = tuple(choice for choice in plan.choices if choice.candidate not in excluded)
    rest = replace(plan, choices=choices, verdicts=(*plan.verdicts, *[one.verdict for one in progress.excluded]))
    if progress.history:
        step = _after_failure(rest, progress, view, now)
    elif not none_is_open([choice.candidate for choice in choices], plan.routing.failover, plan.occurred):
        step = _first(rest, view, now, progress.due)
    elif any(one.may_fit and now < plan.made_at + _longest_wait_s(plan, one) for one in progress.excluded):
        return NextRound(max(ROOM_PAUSE_S, (now - plan.made_at) / 8), progress.accepts_shorter)
    else:
        step = GiveUp(nothing_left(plan.model, rest.verdicts, now))
    if (
        isinstance(step, GiveUp)
        and not progress.accepts_shorter
        and any(one.fits_if_shortened for one in progress.excluded)
    ):
        return NextRound(0.0, accepts_shorter=True)
    return step


def _longest_wait_s(plan: Plan, excluded: Exclusion) -> float:
    """Return the longest time that a request may wait for room for a candidate."""
    is_refused = excluded.verdict.reason.code == "over_budget" and not excluded.fits_if_shortened
    return max(plan.routing.timeouts.queue_s, ROOM_S) if is_refused else ROOM_S


def _hedge(plan: Plan, terms: HedgeTerms, progress: Progress, view: View, now: float) -> Step:
    """Return the rival of the first attempt in a race. Else return that of a slow attempt, at the best candidate that
    was not tried yet (`routing.hedging`)."""
    running, history = progress.running, progress.history
    first = running[0]
    if plan.pinned or len(running) > 1 or first.has_content:
        return _IN_PROGRESS
    if _counts(history)[0] + 1 >= plan.max_attempts or now >= plan.deadline:
        return _IN_PROGRESS
    slow = first.step.choice.candidate
    if history and isinstance(first.step, Race):  # the best candidate has failed: its successor joins the race
        rest = Progress((_as_past(first, now), *history), (), progress.excluded, progress.accepts_shorter)
        step = _after_failure(plan, rest, view, now)
        return step if isinstance(step, Try) and not step.is_repeat else _IN_PROGRESS
    if terms.race_s is not None and not history and not progress.excluded and slow.id != plan.probe:
        race = _race(plan, terms, first, view, now)
        if race is not None:
            return race
    if terms.settings is None:
        return _IN_PROGRESS
    after_s = delay_s(terms, slow, plan.operation, view, stream=plan.stream)
    if after_s is None or first.started_at + after_s >= plan.deadline:
        return _IN_PROGRESS
    both = (*history, _as_past(first, now))  # so that the rival does not take it for a candidate that is left
    tried = {attempt.candidate for attempt in both}
    tried.update(one.candidate.id for one in progress.excluded)
    for choice in _open_choices(plan, history, view, now):
        if choice.candidate.id not in tried and not _is_avoided(plan, choice, view, now):
            for key in choice.keys:
                if _is_free(plan, choice, key, view, now):
                    wait_s = first.started_at + after_s - now
                    if wait_s > 0:
                        return Await(wait_s, "the attempt in progress may still commit")
                    if not has_headroom(terms, choice.candidate, plan.operation, view, now):
                        break
                    if not view.hedges.may_start(terms.settings, plan.model):
                        return _IN_PROGRESS
                    found = _try(plan, both, (choice, key), view, now)
                    return Hedge(**structs.asdict(found))
    return _IN_PROGRESS


def _race(plan: Plan, terms: HedgeTerms, first: Running, view: View, now: float) -> Step | None:
    """Return the attempt at the plan's probe beside the first one, if it is usable."""
    assert terms.racing is not None
    for choice in plan.choices:
        item = choice.candidate
        if item.id == plan.probe and not (view.saturated and _is_saturated(choice, view)):
            key = next((key for key in choice.keys if _is_free(plan, choice, key, view, now)), None)
            if (
                key is not None
                and has_headroom(terms, item, plan.operation, view, now, race=True)
                and view.hedges.may_start(terms.racing, plan.model)
            ):
                return Race(**structs.asdict(_try(plan, (_as_past(first, now),), (choice, key), view, now)))
    return None


def _as_past(running: Running, now: float) -> PastAttempt:
    """Return an attempt in progress as one that has ended without a failure."""
    item, key = running.step.choice.candidate, running.step.key.name
    return PastAttempt(item.id, item.endpoint.name, item.model, key, started_at=running.started_at, ended_at=now)


def is_repeat(candidate: str, history: Sequence[PastAttempt]) -> bool:
    """Return whether an attempt at this candidate spends a token: it has failed already, and its key was not at
    fault."""
    return any(attempt.candidate == candidate and _fault(attempt) in _FAILS_OVER for attempt in history)


def _counts(history: Sequence[PastAttempt]) -> tuple[int, int]:
    """Return the number of attempts that count in `max_attempts`, and the number of rotations. A rotation uses another
    key of a candidate only because one was rejected."""
    rotations = 0
    tried: set[str] = set()
    keys: set[tuple[str, str]] = set()
    failed: set[str] = set()
    for attempt in history:
        name, pair = attempt.candidate, (attempt.candidate, attempt.key)
        if name in tried and pair not in keys and name not in failed:
            rotations += 1
        tried.add(name)
        keys.add(pair)
        if _fault(attempt) in _FAILS_OVER:
            failed.add(name)
    return len(history) - rotations, rotations


def _is_over(plan: Plan, last: Failure, now: float) -> bool:
    kind = last.kind
    fault = kind.fault
    return (
        fault is Fault.CLIENT
        or (fault is Fault.REQUEST and kind not in LACKING and not _has_fallback_for(kind, plan))
        or (plan.pinned and kind not in NEVER_SENT)
        or now >= plan.deadline
    )


def _has_fallback_for(kind: Kind, plan: Plan) -> bool:
    cause = cause_of(kind)
    return cause in plan.routing.failover.fallback_on or cause in plan.declared


def _first(plan: Plan, view: View, now: float, due: Pair | None) -> Step:
    if now >= plan.deadline:
        return GiveUp(Failure(failures.DEADLINE_EXCEEDED, "the deadline passed before the first attempt"))
    choices: Sequence[Choice] = plan.choices
    if choices and not (view.key_blocks or view.quotas.mirrors):
        best = choices[0]
        if best.candidate.provenance != "fallback" and best.keys:
            return _try(plan, (), (best, best.keys[0]), view, now)  # the usual case
    if plan.declared or not plan.routing.failover.fallback_on >= _TRANSIENT:
        choices = _without_fallbacks(plan, choices, (), view, now)
    for choice in choices:
        for key in choice.keys:
            if _is_free(plan, choice, key, view, now):
                return _try(plan, (), (choice, key), view, now)
    if due is not None:
        return _try(plan, (), due, view, now)
    return _wait_for_quota(plan, choices, (), view, now)


def _try(plan: Plan, history: Sequence[PastAttempt], chosen: Pair, view: View, now: float) -> Try:
    """Return an attempt with its timeouts. It gets at most half of the remaining time while another candidate is left
    to try. If the answer is not streamed, it gets no more than the limit for such answers, or than the longest answer
    would take. A stream that does not begin in time is abandoned while another candidate is usable. A pinned call
    has no other candidate after a timeout, since its bytes were sent by then."""
    choice, key = chosen
    remaining_s = plan.deadline - now
    choices, item = plan.choices, choice.candidate
    second = choices[1].candidate if len(choices) > 1 else item
    if history or second.id == item.id or second.provenance == "fallback":
        has_other = len(choices) > 1 and _has_other(plan, history, chosen)
    else:  # the usual case
        has_other = not plan.pinned and plan.max_attempts > 1
    timeout_s = remaining_s / 2 if has_other else remaining_s
    timeouts = plan.routing.timeouts
    again = bool(history) and is_repeat(item.id, history)
    held = held_back(plan, history, item) if plan.declared else NOT_HELD
    failover = plan.routing.failover
    first_token_s = failover.first_token_s
    if not plan.stream:
        response_s = item.response_s or timeouts.response_s
        timeout_s = timeout_s if response_s is None else min(timeout_s, response_s)
        if first_token_s is not None and has_other:
            timeout_s = min(timeout_s, _expected_s(plan, history, chosen, view, now + first_token_s) - now)
        return Try(choice, key, timeout_s, is_repeat=again, held=held)
    whole_by = now + timeout_s if failover.stream_recovery == "buffer" else None
    head_s = item.stream_head_s or timeouts.stream_head_s
    is_healthy = not (view.conditions or view.key_blocks or view.saturated or view.quotas.mirrors)
    if not has_other or not (is_healthy or _has_other(plan, history, chosen, view, now + head_s)):
        return Try(choice, key, timeout_s, is_repeat=again, held=held, whole_by=whole_by)
    content_s = timeout_s if first_token_s is None else min(timeout_s, first_token_s)
    if plan.patience:
        content_s = min(content_s, plan.patience.get(item.id, inf))
    return Try(choice, key, timeout_s, min(head_s, content_s), content_s, is_repeat=again, held=held, whole_by=whole_by)


def _expected_s(plan: Plan, history: Sequence[PastAttempt], chosen: Pair, view: View, begins_by: float) -> float:
    """Return the time by which an answer that is not streamed must have come if it begins by `begins_by`, in monotonic
    seconds. It is infinite if nothing is known about such answers, or if no other candidate is usable."""
    item, operation = chosen[0].candidate, plan.operation
    if operation not in GENERATING or not _has_other(plan, history, chosen, view, begins_by):
        return inf
    reading, earlier = view.readings.get(subject(item, operation)), view.answers.get(item.id)
    longest_s = longest_answer_s(reading, earlier, plan.answers, plan.most_tokens)
    return inf if longest_s is None else begins_by + longest_s


def _has_other(
    plan: Plan, history: Sequence[PastAttempt], pair: Pair, view: View | None = None, at: float = 0.0
) -> bool:
    """Return whether a candidate could still be tried for the first time if this attempt timed out. With a `view`, it
    must be usable at that time, by present knowledge. Every request calls this, so the first try allocates little."""
    if plan.pinned:
        return False
    item, key = pair[0].candidate, pair[1]
    chosen = item.id
    tried: Collection[str] = ()
    if history:
        this = PastAttempt(chosen, item.endpoint.name, item.model, key.name, started_at=0.0, ended_at=0.0)
        if _counts((*history, this))[0] >= plan.max_attempts:
            return False
        tried = {attempt.candidate for attempt in history}
    elif plan.max_attempts == 1:
        return False
    for other in plan.choices:
        their = other.candidate
        if (
            their.id != chosen
            and their.id not in tried
            and (
                their.provenance != "fallback"
                or (item.provenance == "fallback" and item.after == their.after)
                or "provider" in causes_for(their, plan.routing.failover)
            )
            and (view is None or _is_usable(plan, other, view, at))
        ):
            return True
    return False


def _is_usable(plan: Plan, choice: Choice, view: View, at: float) -> bool:
    """Return whether a candidate is usable at that time, by present knowledge."""
    return not _is_avoided(plan, choice, view, at) and any(_is_free(plan, choice, key, view, at) for key in choice.keys)


def _is_avoided(plan: Plan, choice: Choice, view: View, at: float) -> bool:
    """Return whether the breaker of a candidate is open at that time, or an attempt would wait for a connection."""
    if view.saturated and _is_saturated(choice, view):
        return True
    if not view.conditions:
        return False
    condition = view.conditions.get(subject(choice.candidate, plan.operation))
    return condition is not None and condition.is_blocked(at)


def _open_choices(plan: Plan, history: Sequence[PastAttempt], view: View, now: float) -> Sequence[Choice]:
    """Return the choices of the plan that are still open. After a rejection of the request these are only the declared
    fallbacks for it that did not reject it too. A provider's lack of the model or the operation does not concern the
    next."""
    rejections = {attempt.candidate: attempt.failure for attempt in history if _fault(attempt) is Fault.REQUEST}
    if rejections:
        rejecting = rejections.keys()
        choices = [choice for choice in plan.choices if choice.candidate.id not in rejecting]
        if any(failure is not None and failure.kind not in LACKING for failure in rejections.values()):
            return open_after_rejection(plan, choices, history, view.snapshot)
        return _without_fallbacks(plan, choices, history, view, now)
    return _without_fallbacks(plan, plan.choices, history, view, now)


def _without_fallbacks(
    plan: Plan, choices: Sequence[Choice], history: Sequence[PastAttempt], view: View, now: float
) -> Sequence[Choice]:
    """Return the choices, without the declared fallbacks unless one of their causes has occurred. The causes are each
    failure of a target, in this request or before it. Fallbacks for all purposes also replace targets that are left
    out."""
    failover, occurred = plan.routing.failover, occurred_causes(plan, history)
    if not plan.declared and not occurred.isdisjoint(failover.fallback_on):
        return choices
    targets = [choice for choice in plan.choices if choice.candidate.provenance != "fallback"]
    if len(targets) == len(plan.choices):
        return choices
    tried = {attempt.candidate for attempt in history}
    for choice in targets:
        if choice.candidate.id in tried:
            continue
        if _is_avoided(plan, choice, view, now):
            occurred.add("provider")
        if not any(_is_free(plan, choice, key, view, now) for key in choice.keys):
            blocks = [block_of(view.key_blocks, choice.candidate, key.name, now) for key in choice.keys]
            kinds = [block.failure.kind if block is not None else failures.UPSTREAM_RATE_LIMITED for block in blocks]
            occurred.update([cause for kind in kinds if (cause := cause_of(kind))])
    return [
        choice
        for choice in choices
        if (item := choice.candidate).provenance != "fallback"
        or not occurred.isdisjoint(causes_for(item, failover))
        or (not targets and is_general(item, failover))
    ]


def _untried(
    plan: Plan, choices: Sequence[Choice], history: Sequence[PastAttempt], view: View, now: float
) -> Iterator[Pair]:
    """Return keys that are free and were not tried, best first, leaving out candidates whose provider failed."""
    last = history[-1]
    tried = {(attempt.candidate, attempt.key) for attempt in history}
    failed = {attempt.candidate for attempt in history if _fault(attempt) in _FAILS_OVER}
    failed_providers = {attempt.provider for attempt in history if _fault(attempt) in _FAILS_OVER}

    def rank(choice: Choice) -> int:
        item = choice.candidate
        if item.id == last.candidate:
            return 0  # another key of the candidate whose key was rejected
        if _is_avoided(plan, choice, view, now):
            return 3
        return 2 if item.endpoint.name in failed_providers else 1

    for choice in sorted(choices, key=rank):
        item = choice.candidate
        if item.id not in failed:
            for key in choice.keys:
                if (item.id, key.name) not in tried and _is_free(plan, choice, key, view, now):
                    yield choice, key


def _repeat(plan: Plan, choices: Sequence[Choice], history: Sequence[PastAttempt], view: View, now: float) -> Step:
    """Return the step after every choice was tried once. Retry a choice whose quota has come back. Else retry a failed
    provider after a pause, else wait for a quota."""
    faults = {(attempt.candidate, attempt.key): _fault(attempt) for attempt in history}  # the last of each
    failed = {attempt.candidate for attempt in history if _fault(attempt) in _FAILS_OVER}
    repeats: list[Pair] = []
    for choice in choices:
        item = choice.candidate
        if not _may_repeat(choice, history, view, now):
            continue
        for key in choice.keys:
            if not _is_free(plan, choice, key, view, now):
                continue
            fault = faults.get((item.id, key.name))
            if fault is Fault.QUOTA:
                return _try(plan, history, (choice, key), view, now)
            if item.id in failed and fault is not Fault.CREDENTIAL:
                repeats.append((choice, key))
    due = history[-1].ended_at + pause_s(len(history) - 1, plan.jitter)
    if not repeats or due >= plan.deadline:
        return _wait_for_quota(plan, choices, history, view, now)
    if now < due:
        return Await(due - now, "every candidate has failed once")
    rarest = min(repeats, key=lambda pair: _times_tried(pair[0], pair[1], history))
    return _try(plan, history, rarest, view, now)


def _wait_for_quota(
    plan: Plan, choices: Sequence[Choice], history: Sequence[PastAttempt], view: View, now: float
) -> Step:
    """Return the step if only keys are left that are blocked or have no room. Try one whose pause is over, else wait
    for the first that can be used soon, else report the time. All waits of a plan together last at most `queue_s`."""
    tried = {(attempt.candidate, attempt.key) for attempt in history}
    pairs = [(choice, key) for choice in choices for key in choice.keys]
    blocked = [
        (block, choice, key)
        for choice, key in pairs
        if (block := block_of(view.key_blocks, choice.candidate, key.name, now)) is not None
    ]
    for block, choice, key in sorted(blocked, key=lambda item: item[0].retry_at):
        is_untried = (choice.candidate.id, key.name) not in tried
        if block.retry_at <= now and is_untried and _may_repeat(choice, history, view, now):
            return _try(plan, history, (choice, key), view, now)
    short = [
        (choice, key)
        for choice, key in (pairs if view.quotas.mirrors else ())
        if block_of(view.key_blocks, choice.candidate, key.name, now) is None and _wait_s(plan, choice, key, view, now)
    ]
    short = [pair for pair in short if _may_repeat(pair[0], history, view, now)]
    until = {(choice, key): block.until for block, choice, key in blocked if _is_quota(block.failure, block.until, now)}
    until.update({pair: now + _wait_s(plan, *pair, view, now) for pair in short})
    if until:
        pair = min(until, key=until.__getitem__)
        delay_s = max(until[pair] - now, ROOM_PAUSE_S)
        waited_s = now - plan.made_at - sum(attempt.ended_at - attempt.started_at for attempt in history)
        if waited_s + delay_s <= plan.routing.timeouts.queue_s and now + delay_s < plan.deadline:
            # The end of a block is certain. Room is shared, so whoever comes first gets it.
            return Await(delay_s, "every key is rate limited", None if pair in short else pair)
    for choice, key in short:
        if (choice.candidate.id, key.name) not in tried and view.quotas.may_probe(choice.candidate, key.name, now):
            return _try(plan, history, (choice, key), view, now)
    if history:
        return give_up(history)
    return GiveUp(blocked_failure(plan, view, now), should_retry=bool(until))


def _is_quota(failure: Failure, until: float, now: float) -> bool:
    return failure.kind.fault is Fault.QUOTA and until > now


def _wait_s(plan: Plan, choice: Choice, key: ProviderKey, view: View, now: float) -> float:
    """Return the time until a key has room for the request, as far as its provider's limits are known."""
    return view.quotas.wait_s(choice.candidate, key.name, plan.need, now)


def _may_repeat(choice: Choice, history: Sequence[PastAttempt], view: View, now: float) -> bool:
    """Return whether a candidate may be retried: a repeat can help, and the budgets have a token. An attempt that
    follows only a rejected key is no repeat."""
    name = choice.candidate.id
    if not is_repeat(name, history):
        return True
    worked = [item for item in history if item.candidate == name and item.failure and was_at_work(item.failure)]
    return len(worked) < 2 and view.may_retry(choice.candidate.endpoint.name, now)


def _is_saturated(choice: Choice, view: View) -> bool:
    endpoint = choice.candidate.endpoint
    return (endpoint.network, endpoint.origin) in view.saturated


def _is_free(plan: Plan, choice: Choice, key: ProviderKey, view: View, now: float) -> bool:
    """Return whether a key is not blocked, and has room by what is known of its provider's limits."""
    if view.key_blocks and block_of(view.key_blocks, choice.candidate, key.name, now) is not None:
        return False
    return not view.quotas.mirrors or _wait_s(plan, choice, key, view, now) <= 0.0


def _fault(attempt: PastAttempt) -> Fault | None:
    return attempt.failure.kind.fault if attempt.failure is not None else None


def _times_tried(choice: Choice, key: ProviderKey, history: Sequence[PastAttempt]) -> tuple[int, int]:
    """Return the number of attempts at the candidate, and of those with this key."""
    keys = [attempt.key for attempt in history if attempt.candidate == choice.candidate.id]
    return len(keys), keys.count(key.name)
