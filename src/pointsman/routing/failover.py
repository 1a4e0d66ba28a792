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
retry budgets.
"""

from collections.abc import Iterator, Sequence

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.outcomes import Attempt
from pointsman.domain.plans import Choice, GiveUp, Plan, Step, Try, Wait
from pointsman.domain.targets import Provenance, ProviderKey
from pointsman.routing.view import View

# Refusals of the request that a declared fallback may well not share.
MENDABLE = frozenset({failures.CONTEXT_TOO_LONG, failures.CONTENT_FILTERED, failures.UPSTREAM_MODEL_MISSING})

# The provider has seen nothing of a request that failed in one of these ways.
NEVER_SENT = frozenset({failures.CONNECT_FAILED, failures.CONNECT_TIMEOUT, failures.DNS_FAILED, failures.TLS_FAILED})

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0


def next_step(plan: Plan, history: Sequence[Attempt], view: View, now: float) -> Step:
    """The next step of a plan, given every attempt made so far, all of them failed. Times are monotonic seconds.

    Always terminates: each `Try` adds to the history, which `plan.max_attempts` bounds, and the waits lie within
    the deadline.
    """
    if not history:
        return _first(plan, view, now)
    last = history[-1].failure
    if last is None or last.kind.fault is Fault.CLIENT:
        return GiveUp(last or Failure(failures.INTERNAL, "a plan went on after its success"))
    fault = last.kind.fault
    if fault is Fault.REQUEST and last.kind not in MENDABLE:
        return GiveUp(last)
    if plan.pinned and last.kind not in NEVER_SENT:
        return _give_up(history)
    if len(history) >= plan.max_attempts or now >= plan.deadline:
        return _give_up(history)
    if fault is Fault.REQUEST:
        found = next(_untried(plan, history, view, now, fallbacks_only=True), None)
        return GiveUp(last) if found is None else _try(plan, history, found, now)
    if fault is Fault.PROVIDER and not _may_go_on(history, view, now):
        return _give_up(history)
    found = next(_untried(plan, history, view, now), None)
    if found is not None:
        return _try(plan, history, found, now)
    return _again(plan, history, view, now)


def _first(plan: Plan, view: View, now: float) -> Step:
    for choice in plan.choices:
        key = _free_key(choice, view, now)
        if key is not None:
            remaining_s = plan.deadline - now
            return Try(choice, key, remaining_s / 2 if len(plan.choices) > 1 else remaining_s)
    return _wait_for_key(plan, (), view, now)


def _try(plan: Plan, history: Sequence[Attempt], found: tuple[Choice, ProviderKey], now: float) -> Try:
    """An attempt gets at most half of what remains while another candidate is left to try."""
    choice, key = found
    tried = {attempt.candidate for attempt in history}
    tried.add(choice.candidate.id)
    has_more = len(history) + 1 < plan.max_attempts and any(other.candidate.id not in tried for other in plan.choices)
    remaining_s = plan.deadline - now
    return Try(choice, key, remaining_s / 2 if has_more else remaining_s)


def _untried(
    plan: Plan, history: Sequence[Attempt], view: View, now: float, *, fallbacks_only: bool = False
) -> Iterator[tuple[Choice, ProviderKey]]:
    """Choices with a usable key that were not tried, best first."""
    last = history[-1]
    tried = {(attempt.candidate, attempt.key) for attempt in history}
    failed = {
        attempt.candidate
        for attempt in history
        if attempt.failure is not None and attempt.failure.kind.fault in (Fault.PROVIDER, Fault.REQUEST)
    }
    dead = {  # providers that failed, so that the candidates of others come first
        attempt.provider
        for attempt in history
        if attempt.failure is not None and attempt.failure.kind.fault is Fault.PROVIDER
    }

    def rank(choice: Choice) -> int:
        if choice.candidate.id == last.candidate:
            return 0  # another key of the candidate whose key was refused
        return 2 if choice.candidate.endpoint.name in dead else 1

    for choice in sorted(plan.choices, key=rank):
        item = choice.candidate
        if item.id in failed or (fallbacks_only and item.provenance is not Provenance.FALLBACK):
            continue
        for key in choice.keys:
            if (item.id, key.name) not in tried and _is_free(item.endpoint.name, key, view, now):
                yield choice, key


def _again(plan: Plan, history: Sequence[Attempt], view: View, now: float) -> Step:
    """Everything was tried once: go back to the first that failed on the provider's side, after a pause."""
    if any(_fault(attempt) is Fault.PROVIDER for attempt in history):
        pause_s = min(FIRST_PAUSE_S * 2 ** (len(history) - 1), LONGEST_PAUSE_S) * (0.75 + 0.5 * plan.jitter)
        due = history[-1].ended_at + pause_s
        if due >= plan.deadline:
            return _give_up(history)
        if now < due:
            return Wait(due - now, "every candidate failed once")
        fewest = min(plan.choices, key=lambda choice: _times_tried(choice, history))
        key = _free_key(fewest, view, now)
        if key is not None:
            return _try(plan, history, (fewest, key), now)
    return _wait_for_key(plan, history, view, now)


def _wait_for_key(plan: Plan, history: Sequence[Attempt], view: View, now: float) -> Step:
    """Only refused keys are left: wait for the first of them if a quota frees it soon, else say when."""
    blocks = [
        block
        for choice in plan.choices
        for key in choice.keys
        if (block := view.key_blocks.get((choice.candidate.endpoint.name, key.name))) is not None
    ]
    quota = [block.until for block in blocks if block.failure.kind.fault is Fault.QUOTA and block.until > now]
    timeouts = view.snapshot.routing.timeouts
    if quota:
        delay_s = min(quota) - now
        if delay_s <= timeouts.queue_s and now + delay_s < plan.deadline:
            return Wait(delay_s, "every key is rate limited")
    elif any(block.until <= now for block in blocks) and len(history) < plan.max_attempts:
        for choice in plan.choices:
            key = _free_key(choice, view, now)
            if key is not None and _last_fault(choice, key, history) is Fault.QUOTA:
                return _try(plan, history, (choice, key), now)
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
    message = "no provider can be asked now. " + "; ".join(said)
    if until:
        return Failure(failures.UPSTREAM_RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0))
    return Failure(failures.NO_TARGET, message)


def _give_up(history: Sequence[Attempt]) -> GiveUp:
    """The failure of the plan as a whole: who was asked, what each answered and how long it took."""
    failed = [attempt.failure for attempt in history if attempt.failure is not None]
    if len(history) == 1 and failed[0].kind.fault is Fault.REQUEST:
        return GiveUp(failed[0])
    said = "; ".join(
        f"{attempt.candidate} (key {attempt.key}, {attempt.ended_at - attempt.started_at:.2f} s): "
        f"{attempt.failure.message if attempt.failure else 'succeeded'}"
        for attempt in history
    )
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
    failure = Failure(kind, f"{count}. {said}", retry_after_s=min(retry_after) if retry_after and is_quota else None)
    return GiveUp(failure, should_retry=is_quota)


def _may_go_on(history: Sequence[Attempt], view: View, now: float) -> bool:
    """Whether the retry budgets allow another attempt after a provider failure; the first one is free."""
    if sum(_fault(attempt) is Fault.PROVIDER for attempt in history) == 1:
        return True
    return view.may_retry(history[-1].provider, now)


def _free_key(choice: Choice, view: View, now: float) -> ProviderKey | None:
    provider = choice.candidate.endpoint.name
    for key in choice.keys:
        if _is_free(provider, key, view, now):
            return key
    return None


def _is_free(provider: str, key: ProviderKey, view: View, now: float) -> bool:
    if key.weight <= 0:
        return False
    blocks = view.key_blocks
    block = blocks.get((provider, key.name)) if blocks else None
    return block is None or block.until <= now


def _fault(attempt: Attempt) -> Fault | None:
    return attempt.failure.kind.fault if attempt.failure is not None else None


def _last_fault(choice: Choice, key: ProviderKey, history: Sequence[Attempt]) -> Fault | None:
    for attempt in reversed(history):
        if attempt.candidate == choice.candidate.id and attempt.key == key.name:
            return _fault(attempt)
    return None


def _times_tried(choice: Choice, history: Sequence[Attempt]) -> int:
    return sum(attempt.candidate == choice.candidate.id for attempt in history)
