"""Questions about requests that are not sent."""

import json
from typing import Any

import pytest

from fakes.configuration import compiled
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan
from pointsman.engine.preview import Previewed
from pointsman.engine.questions import NothingUsed, Question, UnknownKeyError, answer

SNAPSHOT = compiled("""
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
models: {chat: [openai/gpt-4o-mini, groq/llama-3.3-70b-versatile]}
governance:
  teams: {research: {budgets: [{limit_usd: 50, per: month}]}}
  virtual_keys: {app: {value: env.CLIENT_KEY, team: research, expires_at: "2030-01-01T00:00:00Z"}}
routing:
  rules:
    - {name: saving, when: "budget_used.team > 80", targets: [groq/llama-3.1-8b-instant]}
    - {name: night, when: "time.hour < 6", model: openai/gpt-4o}
    - {name: sick, when: 'health["openai"] == "failed"', targets: [groq/llama-3.1-8b-instant]}
    - {name: inside, when: 'in_cidr(client_ip, "10.0.0.0/8")', refuse: {message: not from there}}
""").snapshot
NOON, NIGHT = 1_790_000_000.0 // 86_400 * 86_400 + 43_200, 1_790_000_000.0 // 86_400 * 86_400 + 3_600


def asked(**fields: Any) -> Previewed:
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}).encode()
    question = Question(**{"body": body, "key": "app", "at": NOON, **fields})
    return answer(question, SNAPSHOT, NothingUsed(), now=1000.0, unix_s=NOON)


def first(found: Previewed) -> str:
    assert isinstance(found.decision, Plan), found.decision
    return found.decision.choices[0].candidate.id


def test_stated_circumstances_decide() -> None:
    assert first(asked()) == "openai/gpt-4o-mini"
    assert first(asked(used={"team:research": 85.0})) == "groq/llama-3.1-8b-instant"
    assert first(asked(at=NIGHT)) == "openai/gpt-4o"
    assert first(asked(failing=["openai/gpt-4o-mini"])) == "groq/llama-3.1-8b-instant"
    assert first(asked(headers={"X-Pointsman-Provider": "groq"})) == "groq/llama-3.3-70b-versatile"
    refused = asked(client="10.0.0.1").decision
    assert isinstance(refused, Failure)
    assert refused.kind.code == "refused_by_rule"


def test_network_of_the_key_counts() -> None:
    snapshot = compiled("""
        providers: {openai: env.OPENAI_API_KEY}
        governance: {virtual_keys: {app: {value: env.CLIENT_KEY, from: [192.0.2.0/24]}}}
    """).snapshot
    body = json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()

    def asked_from(client: str) -> object:
        question = Question(body=body, key="app", at=NOON, client=client)
        return answer(question, snapshot, NothingUsed(), now=1000.0, unix_s=NOON).decision

    for client in ("192.0.2.7", "::ffff:192.0.2.7"):
        assert isinstance(asked_from(client), Plan)
    for client in ("198.51.100.7", "", "nonsense"):
        refused = asked_from(client)
        assert isinstance(refused, Failure)
        assert refused.kind.code == "network_not_allowed"


def test_bounds_and_limits_are_stated() -> None:
    found = asked(used={"team:research": 50.0})
    nano, tokens = found.consulted.bounds["openai/gpt-4o-mini"]
    assert nano is not None
    assert nano > 0
    assert tokens > 9
    (limit,) = found.consulted.limits
    assert (limit.amount, limit.used) == (50 * 10**9, 25 * 10**9)


def test_budget_without_room_is_a_rejection() -> None:
    found = asked(used={"team:research": 100.0})
    assert isinstance(found.decision, Failure)
    assert found.decision.kind.code == "budget_exceeded"
    assert found.decision.rules is not None
    assert found.decision.rules.matched == ("saving",)


def test_faulty_questions_are_rejected() -> None:
    with pytest.raises(UnknownKeyError, match="unknown virtual key 'nobody'"):
        asked(key="nobody")
    for fields, code in (
        ({"body": b"{"}, "invalid_json"),
        ({"path": "/v1/models"}, "method_not_allowed"),
        ({"at": 2_000_000_000.0}, "invalid_api_key"),
    ):
        decision = asked(**fields).decision
        assert isinstance(decision, Failure)
        assert decision.kind.code == code
