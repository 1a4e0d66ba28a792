"""Declared fallbacks: the failures that each of them is for.

A failure has a cause, one of `FALLBACK_CAUSES`. A fallback for all purposes serves after the causes in
`failover.fallback_on`, one of `fallbacks_for` only after those that it is listed for. A cause may also occur before any
attempt: a policy objects to every target, because the prompt is too long or a feature is unsupported.
"""

from collections.abc import Iterable, Mapping, Sequence

from pointsman.domain import failures
from pointsman.domain.failures import Fault, Kind
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Choice, Plan
from pointsman.domain.snapshots import Failover, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Verdict

_CAUSES = {
    failures.CONTEXT_TOO_LONG: "context_length",
    failures.UPSTREAM_TOO_LARGE: "context_length",
    failures.UPSTREAM_MODEL_MISSING: "model_missing",
    failures.CONTENT_FILTERED: "content_filter",
    failures.FILTERED: "content_filter",
    failures.REFUSED: "refusal",
    failures.UPSTREAM_UNSUPPORTED: "unsupported",
}
_CAUSES_BY_FAULT = {
    Fault.PROVIDER: "provider",
    Fault.GATEWAY: "provider",
    Fault.QUOTA: "quota",
    Fault.CREDENTIAL: "credential",
    Fault.REQUEST: "rejection",
}
_CAUSES_BY_CODE = {
    "context_window": "context_length",
    "capability": "unsupported",
    "not_expressible": "unsupported",
    "unsupported_operation": "unsupported",
}
_OF_ANSWERS = frozenset({"refusal", "content_filter"})
_NONE: frozenset[str] = frozenset()
NOT_HELD: frozenset[Kind] = frozenset()


def cause_of(kind: Kind) -> str | None:
    """Return the name of a failure in `failover.fallback_on`; `None` if no fallback can be for it."""
    return _CAUSES.get(kind) or _CAUSES_BY_FAULT.get(kind.fault)


def causes_for(item: Candidate, failover: Failover) -> frozenset[str]:
    """Return the causes that a candidate is a declared fallback for."""
    return item.after if item.after or item.provenance != "fallback" else failover.fallback_on


def is_general(item: Candidate, failover: Failover) -> bool:
    """Return whether a fallback is for all purposes: it also replaces targets that are left out for any reason."""
    return not item.after or item.after >= failover.fallback_on


def declared_causes(candidates: Iterable[Candidate], failover: Failover) -> frozenset[str]:
    """Return the causes that have fallbacks of their own. Those of refused answers are included if any fallback is for
    them."""
    found = _NONE
    for item in candidates:
        if item.after:
            found |= item.after
        elif item.provenance == "fallback":
            found |= failover.fallback_on & _OF_ANSWERS
    return found


def causes_before(candidates: Iterable[Candidate], verdicts: Mapping[Candidate, Verdict]) -> frozenset[str]:
    """Return the causes that occurred before any attempt: if policies object to every target, those of their
    objections."""
    found = [verdicts.get(item) for item in candidates if item.provenance != "fallback"]
    codes = {verdict.reason.code for verdict in found if verdict is not None}
    if None in found:
        return _NONE
    return frozenset([_CAUSES_BY_CODE[code] for code in codes if code in _CAUSES_BY_CODE])


def none_is_open(items: Iterable[Candidate], failover: Failover, occurred: frozenset[str]) -> bool:
    """Return whether all of these candidates are fallbacks for causes that have not occurred."""
    return all(
        item.provenance == "fallback" and not is_general(item, failover) and occurred.isdisjoint(item.after)
        for item in items
    )


def occurred_causes(plan: Plan, history: Sequence[PastAttempt]) -> set[str]:
    """Return the causes that have occurred in this request so far."""
    found = {cause_of(attempt.failure.kind) for attempt in history if attempt.failure is not None}
    return {cause for cause in found if cause is not None} | plan.occurred


def held_back(plan: Plan, history: Sequence[PastAttempt], item: Candidate) -> frozenset[Kind]:
    """Return the kinds of refusals after which another candidate would follow `item`. The client gets no part of such
    an answer before that."""
    if plan.pinned or len(history) + 1 >= plan.max_attempts:
        return NOT_HELD
    tried = {item.id, *[attempt.candidate for attempt in history]}
    failover = plan.routing.failover
    left = [causes_for(one.candidate, failover) for one in plan.choices if one.candidate.id not in tried]
    return frozenset([kind for kind in failures.REFUSALS if any(cause_of(kind) in causes for causes in left)])


def open_after_rejection(
    plan: Plan, choices: Sequence[Choice], history: Sequence[PastAttempt], snapshot: Snapshot
) -> Sequence[Choice]:
    """Return the choices that may follow a rejection of the request: the declared fallbacks for it. If the prompt was
    too long for a model whose context window is known, models without a larger one are left out. Then any other target
    with a larger window may follow, too."""
    occurred, failover = occurred_causes(plan, history), plan.routing.failover
    exceeded = _exceeded_window(plan, history, snapshot)
    found: list[Choice] = []
    for choice in choices:
        item = choice.candidate
        window = window_of(item, snapshot) if exceeded is not None else None
        if exceeded is not None and window is not None and window <= exceeded:
            continue
        is_larger = window is not None and "context_length" in failover.fallback_on
        if (is_larger and _is_only_too_long(history)) or not occurred.isdisjoint(causes_for(item, failover)):
            found.append(choice)
    return found


def window_of(item: Candidate, snapshot: Snapshot) -> int | None:
    """Return the context window of a candidate in tokens, if the catalog has it."""
    known = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    return known.context if known is not None else None


def _exceeded_window(plan: Plan, history: Sequence[PastAttempt], snapshot: Snapshot) -> int | None:
    """Return the largest known window that was too small for the prompt."""
    too_long = {one.candidate for one in history if one.failure and one.failure.kind is failures.CONTEXT_TOO_LONG}
    found = [window_of(one.candidate, snapshot) for one in plan.choices if one.candidate.id in too_long]
    return max((window for window in found if window is not None), default=None)


def _is_only_too_long(history: Sequence[PastAttempt]) -> bool:
    """Return whether each rejection of the request was about the length of its prompt, or a lack of the provider."""
    kinds = [one.failure.kind for one in history if one.failure is not None]
    return all(
        kind in (failures.CONTEXT_TOO_LONG, failures.UPSTREAM_MODEL_MISSING, failures.UPSTREAM_UNSUPPORTED)
        for kind in kinds
        if kind.fault is Fault.REQUEST
    )
