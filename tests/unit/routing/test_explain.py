"""A plan as data and as text."""

import json

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, failure, plan_for, snapshot
from pointsman.domain import failures
from pointsman.domain.plans import Plan
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.targets import candidate
from pointsman.routing.explain import as_data, as_lines, recorded_data, recorded_lines

A, B, C = endpoint("a", "k1", "k2"), endpoint("b"), endpoint("c")


def explained() -> Plan:
    targets = [candidate(A, "m", 80, "control"), candidate(B, "m", 0), candidate(C, "m", 20)]
    fallbacks = [candidate(B, "n", provenance="fallback")]
    view = FakeView(snapshot([A, B, C], targets, fallbacks, strategy="weighted"))
    view.open_breaker("c/m", NOW + 4)
    return plan_for(call(), view, ScriptedRandom(0.0))


def test_data_form_is_stable() -> None:
    assert json.loads(json.dumps(as_data(explained(), NOW))) == {
        "strategy": "weighted",
        "source": "model chat",
        "notes": [],
        "requirements": [],
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
                "after": [],
            },
            {
                "provider": "b",
                "model": "n",
                "keys": ["k1"],
                "weight": 1.0,
                "variant": None,
                "provenance": "fallback",
                "after": [],
            },
            {
                "provider": "c",
                "model": "m",
                "keys": ["k1"],
                "weight": 20,
                "variant": None,
                "provenance": "target",
                "after": [],
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
        "limits": [],
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
    refused = {"code": "model_not_found", "status": 404, "message": message}
    assert as_data(rejected, NOW) == {"refused": refused, "requirements": [], "verdicts": [], "limits": []}
    assert as_lines(rejected, NOW) == ["rejected: 404 model_not_found: said model_not_found"]


def test_output_contains_no_secret() -> None:
    plan = explained()
    for printed in ("\n".join(as_lines(plan, NOW)), json.dumps(as_data(plan, NOW)), repr(plan)):
        assert "secret of" not in printed


def test_rejected_record_is_explained_like_the_rejection() -> None:
    record = RequestRecord(time=0.0, request_id="", method="POST", path="", status=403)
    record.code, record.message, record.rule, record.rules = "refused_by_rule", "closed", "b", ("a", "b")
    record.rule_problems, record.rule_facts = ("a: unknown: user is unknown",), {"stream": "true"}
    assert recorded_data(record) == {
        "refused": {"code": "refused_by_rule", "status": 403, "message": "closed"},
        "rules": [
            {"rule": "a", "result": "unknown", "message": "user is unknown"},
            {"rule": "b", "result": "matched", "message": None},
        ],
        "facts": {"stream": "true"},
        "requirements": [],
        "verdicts": [],
    }
    assert recorded_lines(record) == [
        "rule a: unknown: user is unknown",
        "rule b: matched",
        "   facts: stream = true",
        "rejected: 403 refused_by_rule: closed",
    ]


def test_record_of_an_older_version_is_explained_by_its_attempts() -> None:
    record = RequestRecord(time=0.0, request_id="", method="POST", path="", status=200)
    record.strategy, record.source, record.verdicts = "priority", "model chat", ("b/m: its weight is 0",)
    one = AttemptRecord(provider="a", model="m", key="k1", outcome="ok", start_us=0, duration_us=0)
    record.attempts = (one, one)
    assert recorded_lines(record) == [
        "strategy priority, from model chat",
        "  1. a/m",
        "   - b/m excluded: its weight is 0",
    ]


def test_candidate_without_room_is_not_in_the_order() -> None:
    record = RequestRecord(time=0.0, request_id="", method="POST", path="", status=200)
    record.strategy, record.source, record.order = "priority", "model chat", ("a/m", "b/m")
    record.verdicts, record.verdict_codes = ("a/m: is over", "b/m: was shortened"), ("over_budget", "shortened")
    record.verdict_policies = ("billing", "billing")
    assert recorded_lines(record)[1:] == [
        "  1. b/m",
        "   - a/m excluded (billing): is over",
        "   - b/m shortened (billing): was shortened",
    ]
