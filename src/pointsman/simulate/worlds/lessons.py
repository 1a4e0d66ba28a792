"""The facts that a worker learns from an attempt, as `engine.attempt` notes them."""

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.engine.live import Live
from pointsman.money.charges import Answers
from pointsman.providers import PROVIDERS
from pointsman.simulate.worlds.physics import UNIX
from pointsman.simulate.worlds.worker import Attempt, Worker


def note_quota(worker: Worker, attempt: Attempt, now: float) -> None:
    """Let the live state read the limits that the head of an answer reports."""
    outcome, step = attempt.outcome, attempt.step
    if outcome is None or not outcome.headers or worker.ranked is not None:
        return
    item = step.choice.candidate
    quota = PROVIDERS[item.endpoint.type].quota(outcome.headers, UNIX + now)
    if quota is not None:
        worker.live.note_quota(item, step.key, quota, attempt.started_at, at=now)


def tell_policy(worker: Worker, attempt: Attempt, failure: Failure | None, now: float) -> None:
    """Let a policy learn from the end of an attempt."""
    assert worker.ranked is not None
    policy, place = worker.ranked.policy, worker.ranked.places[attempt.step.choice.candidate.id]
    took_s = now - attempt.started_at
    if failure is None:
        content_s = (attempt.content_at or now) - attempt.started_at
        policy.succeeded(place, attempt.request.arrival, took_s, content_s, now=now)
    else:
        policy.failed(place, failure, took_s, now)


def learn(live: Live, plan: Plan, attempt: Attempt, failure: Failure | None, now: float) -> None:
    """Let the live state learn from the end of an attempt."""
    step, arrival = attempt.step, attempt.request.arrival
    item, content_at = step.choice.candidate, attempt.content_at
    is_superseded = failure is not None and failure.kind is failures.SUPERSEDED
    tokens_out = arrival.tokens_out if failure is None else 0
    if failure is None:
        live.answers.setdefault(item.id, Answers()).add(Usage(arrival.tokens_in, arrival.tokens_out))
    live.finish(
        item, step.key, failure, now, began_at=attempt.started_at, first_byte_at=content_at,
        tokens_out=tokens_out, content_at=content_at if arrival.stream else None,
        has_begun=arrival.stream and content_at is not None and not is_superseded, call=attempt.request.call,
    )  # fmt: skip
    if attempt.tried is not None:
        live.paces.ended(attempt.tried, failure, now, tokens_out=tokens_out, content_at=content_at)
    terms = plan.hedging
    is_learned = terms is not None and terms.settings is not None and terms.settings.after_s is None
    if is_learned and (is_superseded or content_at is not None):
        took_s = (content_at or now) - attempt.started_at
        live.hedges.note_commit(item, "chat", took_s, stream=arrival.stream)
