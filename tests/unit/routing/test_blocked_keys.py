"""Blocked keys: the keys used instead, and the time of a retry."""

import pytest

from fakes.routing import NOW, FakeView, answers, call, drive, endpoint, failure, plan_for, snapshot
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.targets import candidate
from pointsman.routing import health

A, TWO_KEYS = endpoint("a"), endpoint("a", "k1", "k2")
ALONE = snapshot([A], [candidate(A, "m")])


def test_block_for_one_model_does_not_block_the_key_for_others() -> None:
    models = [candidate(A, "m"), candidate(A, "n", provenance="fallback")]
    view = FakeView(snapshot([A], models[:1], models[1:]))
    trace = drive(plan_for(call(), view), view, answers(failure(failures.UPSTREAM_RATE_LIMITED, 3600), None))
    assert trace.attempted == [("a/m", "k1"), ("a/n", "k1")]
    assert drive(plan_for(call(), view), view, answers(None)).attempted == [("a/n", "k1")]


@pytest.mark.parametrize("kind", [failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED])
def test_last_usable_key_is_retried_once_its_probe_is_due(kind: Kind) -> None:
    view = FakeView(ALONE)
    drive(plan_for(call(), view), view, answers(failure(kind, 3600)))
    assert drive(plan_for(call(), view), view, answers(None), NOW + 0.1).attempted == []
    trace = drive(plan_for(call(), view), view, answers(None), NOW + 0.1 + health.PROBE_S)
    assert trace.has_succeeded
    assert view.key_blocks == {}, "it works again"


def test_blocked_key_is_not_used_while_another_is_free() -> None:
    view = FakeView(snapshot([TWO_KEYS], [candidate(TWO_KEYS, "m")]))
    drive(plan_for(call(), view), view, answers(failure(failures.CREDENTIAL_REJECTED, 3600), None))
    for at in (1.0, health.PROBE_S + 1, 60.0):
        assert drive(plan_for(call(), view, now=NOW + at), view, answers(None), NOW + at).attempted == [("a/m", "k2")]
