"""A plan as data and as text."""

import json

from fakes.routing import NOW, FakeView, ScriptedDice, call, endpoint, failure, plan_for, snapshot
from pointsman.domain import failures
from pointsman.domain.plans import Plan
from pointsman.domain.targets import candidate
from pointsman.routing.explain import as_data, as_lines

A, B, C = endpoint("a", "k1", "k2"), endpoint("b"), endpoint("c")


def explained() -> Plan:
    targets = [candidate(A, "m", 80, "control"), candidate(B, "m", 0), candidate(C, "m", 20)]
    fallbacks = [candidate(B, "n", provenance="fallback")]
    view = FakeView(snapshot([A, B, C], targets, fallbacks, strategy="weighted"))
    view.open_breaker("c/m", NOW + 4)
    return plan_for(call(), view, ScriptedDice(0.0))


def test_data_form_is_stable() -> None:
    assert json.loads(json.dumps(as_data(explained(), NOW))) == {
        "strategy": "weighted",
        "source": "model chat",
        "notes": [],
        "deadline_s": 600.0,
        "max_attempts": 5,
        "attempts": [
            {
                "provider": "a",
                "model": "m",
                "keys": ["k1", "k2"],
                "weight": 80,
                "variant": "control",
                "provenance": "target",
            },
            {
                "provider": "b",
                "model": "n",
                "keys": ["k1"],
                "weight": 1.0,
                "variant": None,
                "provenance": "fallback",
            },
            {
                "provider": "c",
                "model": "m",
                "keys": ["k1"],
                "weight": 20,
                "variant": None,
                "provenance": "target",
            },
        ],
        "verdicts": [
            {
                "candidate": "b/m",
                "policy": "drained",
                "code": "drained",
                "message": "its weight is 0",
                "last_resort": False,
            },
            {
                "candidate": "c/m",
                "policy": "health",
                "code": "breaker_open",
                "message": "failed 3 times in a row; next trial in 4.0 s",
                "last_resort": True,
            },
        ],
    }


def test_text_contains_every_attempt_and_every_verdict() -> None:
    assert as_lines(explained(), NOW) == [
        "strategy weighted, from model chat; at most 5 attempts within 600 s",
        "  1. a/m  (weight 80, target, variant control; keys k1, k2)",
        "  2. b/n  (weight 1, fallback; keys k1)",
        "  3. c/m  (weight 20, target; keys k1)",
        "   - b/m excluded (drained): its weight is 0",
        "   - c/m last resort (health): failed 3 times in a row; next trial in 4.0 s",
    ]


def test_rejection_is_explained() -> None:
    rejected = failure(failures.MODEL_NOT_FOUND)
    message = "said model_not_found"
    assert as_data(rejected, NOW) == {"refused": {"code": "model_not_found", "status": 404, "message": message}}
    assert as_lines(rejected, NOW) == ["rejected: 404 model_not_found: said model_not_found"]


def test_output_contains_no_secret() -> None:
    plan = explained()
    for printed in ("\n".join(as_lines(plan, NOW)), json.dumps(as_data(plan, NOW)), repr(plan)):
        assert "secret of" not in printed
