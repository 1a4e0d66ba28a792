"""Rules from the text of a configuration to the plan: every variable, precedence, chains, cycles, weights, unknown
facts and errors."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

import pytest
from msgspec import Struct
from msgspec.structs import replace

from fakes.configuration import compiled
from fakes.routing import NOW, FakeView
from fakes.wire import TABLE
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import key_named
from pointsman.domain.plans import Plan
from pointsman.domain.rules import Rule
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.health import Condition
from pointsman.routing.readings import Reading
from pointsman.wire.heads import read_head

BASE = """
providers:
  openai: {keys: {prod: {value: env.OPENAI_API_KEY}, spare: {value: env.GROQ_API_KEY}}}
  groq: env.GROQ_API_KEY
  local:
    type: vllm
    base_url: http://127.0.0.1:9001/v1
    budgets: [{limit_usd: 10, per: day}]
models:
  chat: [openai/gpt-4o-mini, groq/llama-3.3-70b-versatile]
  best: [openai/gpt-4o]
pricing: {overrides: [{model: local/cheap, input_usd_per_million: 1, output_usd_per_million: 2}]}
governance:
  customers: {acme: {budgets: [{limit_usd: 100, per: month}], labels: {plan: gold}}}
  teams:
    research: {customer: acme, budgets: [{limit_usd: 50, per: month}], rate_limits: [{tokens: 1000, per: minute}]}
  virtual_keys:
    app:
      value: env.CLIENT_KEY
      team: research
      labels: {environment: dev, tier: free}
      budgets: [{limit_usd: 10, per: day}]
      rate_limits: [{requests: 10, per: minute}]
    narrow:
      value: sha256:0000000000000000000000000000000000000000000000000000000000000001
      allow_models: [chat, "openai/gpt-4o*"]
routing:
  rules:
"""
SUNDAY = datetime(2026, 11, 29, 22, 30, tzinfo=UTC).timestamp()
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
HARD = "Prove that every finite integral domain is a field, and generalise the argument."
OF_U1 = {"max_tokens": 9, "metadata": {"user_id": "u1"}}
GOES = "targets: [groq/gemma2-9b-it]"
ELSEWHERE = "groq/gemma2-9b-it"
USUAL = "openai/gpt-4o-mini"


USUAL_SNAPSHOT = compiled(BASE.replace("routing:\n  rules:\n", "")).snapshot


class Request(Struct, kw_only=True):
    """A request and the state it meets."""

    body: Mapping[str, object] = {}
    headers: Mapping[str, str] = {}
    path: str = "/v1/chat/completions"
    key: str | None = "app"
    client: str = ""
    unix_s: float = SUNDAY
    used: Mapping[str, int | None] = {}
    failing: Mapping[str, int] = {}


def snapshot_of(rules: str) -> Snapshot:
    return compiled(BASE + "\n".join(f"    {line}" for line in rules.strip().splitlines()) + "\n").snapshot


def decide_on(snapshot: Snapshot, request: Request, seed: int = 1) -> Plan | Failure:
    headers = {"content-type": "application/json", **request.headers}
    raw = {name.lower().encode(): value.encode() for name, value in headers.items()}
    parsed = read_head("POST", request.path, raw, TABLE, snapshot)
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], **request.body}
    assert parsed.api.parse is not None
    call = parsed.api.parse(parsed, json.dumps(body).encode())
    key = key_named(snapshot.virtual_keys, request.key) if request.key is not None else None
    view = FakeView(snapshot)
    view.amounts = dict(request.used)
    view.conditions = {
        name: Condition(failures=3, blocks=count, blocked_until=NOW + 10 if count else 0.0)
        for name, count in request.failing.items()
    }
    view.readings = {"openai/gpt-4o": Reading(NOW)}
    return decide(Facts(call, key, request.unix_s, request.client), view, Random(seed), NOW)


def first(decision: Plan | Failure) -> str:
    assert isinstance(decision, Plan), decision
    return decision.choices[0].candidate.id


def matched(decision: Plan | Failure) -> tuple[str, ...]:
    assert decision.rules is not None
    return decision.rules.matched


# Each case is a condition, a request, and whether the condition matches it.
CASES: list[tuple[str, Request, bool]] = [
    ("true", Request(), True),
    ('model == "chat"', Request(), True),
    ('model == "other"', Request(), False),
    ('request_type == "chat"', Request(), True),
    ('request_type in ["embedding", "image"]', Request(), False),
    ("stream", Request(body={"stream": True}), True),
    ("stream", Request(), False),
    ('headers["x-tier"] == "premium"', Request(headers={"x-tier": "premium"}), True),
    ('headers["X-Tier"] == "premium"', Request(headers={"X-TIER": "premium"}), True),
    ('headers["x-tier"] == "premium"', Request(), False),
    ('headers["x-tier"] == ""', Request(), True),
    ('headers["x-tier"] != "free"', Request(), True),
    ('present(headers, "x-tier")', Request(headers={"x-tier": ""}), True),
    ('present(headers, "x-tier")', Request(), False),
    ('headers["x-a"] == "1" || headers["x-b"] == "1"', Request(headers={"x-b": "1"}), True),
    ('headers["x-tier"].matches("^prem")', Request(headers={"x-tier": "premium"}), True),
    ('headers["x-tier"].lowerAscii().startsWith("prem")', Request(headers={"x-tier": "PREMIUM"}), True),
    ('request_tags["feature"] == "search"', Request(headers={"x-pointsman-tag-feature": "search"}), True),
    ("request_tags.feature == 'search'", Request(), False),
    ('present(request_tags, "feature")', Request(headers={"x-pointsman-tag-feature": "x"}), True),
    ('params["temperature"] > 0.5', Request(body={"temperature": 0.9}), True),
    ('params["temperature"] > 0.5', Request(body={"temperature": 0}), False),
    ('params["temperature"] > 0.5', Request(), False),
    ('params["temperature"] == -1', Request(), True),
    ('params["temperature"] >= 1', Request(body={"temperature": 1}), True),
    ('params["service_tier"] == "flex"', Request(body={"service_tier": "flex"}), True),
    ('params["service_tier"] == "flex"', Request(), False),
    ('params["store"] == true', Request(body={"store": True}), True),
    ('params["store"]', Request(), False),
    ('params["max_tokens"] > 100', Request(body={"max_completion_tokens": 200}), True),
    ('params["max_tokens"] > 100', Request(path="/v1/messages", body={"max_tokens": 200}), True),
    (
        'params["user"] == "u1"',
        Request(path="/v1/messages", body={"max_tokens": 9, "metadata": {"user_id": "u1"}}),
        True,
    ),
    ('present(params, "seed")', Request(body={"seed": 1}), True),
    ('present(params, "seed")', Request(), False),
    ('params["own"] == "x"', Request(body={"own": {"nested": 1}}), False),
    ('params["own"] == "x"', Request(body={"own": "x" * 2000}), False),
    ('key.name == "app"', Request(), True),
    ('key.name == ""', Request(key=None), True),
    ('key.labels["environment"] == "dev"', Request(), True),
    ('key.labels.plan == "gold"', Request(), True),
    ('key.labels.none == ""', Request(), True),
    ('present(key.labels, "tier") && !present(key.labels, "none")', Request(), True),
    ('team == "research" && customer == "acme"', Request(), True),
    ('team == ""', Request(key=None), True),
    ('user == "u1"', Request(body={"user": "u1"}), True),
    ('user == ""', Request(), True),
    ('in_cidr(client_ip, "10.0.0.0/8")', Request(client="10.1.2.3"), True),
    ('in_cidr(client_ip, "10.0.0.0/8")', Request(client="192.0.2.1"), False),
    ('in_cidr(client_ip, "2001:db8::/32")', Request(client="2001:db8::1"), True),
    ('in_cidr(client_ip, "10.0.0.0/8")', Request(), False),
    ("budget_used.team > 80", Request(used={"team:research|usd|month": 45 * 10**9}), True),
    ("budget_used.team > 80", Request(used={"team:research|usd|month": 40 * 10**9}), False),
    ("budget_used.virtual_key >= 50", Request(used={"virtual_key:app|usd|day": 5 * 10**9}), True),
    ("budget_used.customer < 1", Request(used={"customer:acme|usd|month": 0}), True),
    ("budget_used.max > 80", Request(used={"virtual_key:app|usd|day": 9 * 10**9}), True),
    ('budget_used["provider:local"] > 80', Request(used={"provider:local|usd|day": 9 * 10**9}), True),
    ("budget_used.team > 80", Request(used={"team:research|usd|month": None}), False),
    ("budget_used.team <= 80", Request(used={"team:research|usd|month": None}), False),
    ("tokens_used.team > 50", Request(used={"team:research|tokens|minute": 600}), True),
    ("requests_used.virtual_key > 50", Request(used={"virtual_key:app|requests|minute": 4}), False),
    ("budget_used.team == 0", Request(key=None), True),
    ("prompt_tokens > 1000", Request(body={"messages": [{"role": "user", "content": "word " * 3000}]}), True),
    ("prompt_tokens > 1000", Request(), False),
    ("max_tokens == -1", Request(), True),
    ("max_tokens <= 64 && max_tokens > 0", Request(body={"max_tokens": 64}), True),
    ("has_tools", Request(body={"tools": [TOOL]}), True),
    ("has_tools", Request(), False),
    ("has_images", Request(body={"messages": [{"role": "user", "content": [IMAGE]}]}), True),
    ("has_images", Request(), False),
    ('complexity == "complex"', Request(body={"messages": [{"role": "user", "content": HARD}]}), True),
    ('complexity == "simple"', Request(), True),
    ('complexity == "simple"', Request(path="/v1/responses", body={"input": HARD}), False),
    ('complexity in ["medium", "complex"]', Request(path="/v1/embeddings", body={"input": HARD}), False),
    ("time.hour == 22 && time.minute == 30", Request(), True),
    ("time.weekday == 7", Request(), True),
    ('time["Europe/Berlin"].hour == 23', Request(), True),
    ('time["Asia/Tokyo"].weekday in [1]', Request(), True),
    ("time.hour >= 9 && time.hour < 18", Request(), False),
    ('health["openai"] == "healthy"', Request(), True),
    ('health["groq"] == "failed"', Request(failing={"groq/llama-3.3-70b-versatile": 1}), True),
    ('health["openai"] == "degraded"', Request(failing={"openai/gpt-4o-mini": 1}), True),
    ('health["openai/gpt-4o"] == "degraded"', Request(failing={"openai/gpt-4o": 0}), True),
    ('price["local/cheap"] < 0.01', Request(body={"max_tokens": 100}), True),
    ('price["local/cheap"] > 1', Request(body={"max_tokens": 100}), False),
    ('price["local/unpriced"] < 1', Request(), False),
    ('price["local/unpriced"] < 1 || true', Request(), True),
    ("sticky(100, user)", Request(body={"user": "u1"}), True),
    ("sticky(0, user)", Request(body={"user": "u1"}), False),
    ("sticky(50, user)", Request(), False),
    ("1 / max_tokens == -1", Request(), True),
    ("1 / (max_tokens + 1) == 1", Request(), False),
]


@pytest.mark.parametrize(("when", "request_", "expected"), CASES)
def test_condition_matches(when: str, request_: Request, expected: bool) -> None:
    decision = decide_on(_with_conditions(when), request_)
    assert (first(decision) == ELSEWHERE) is expected, decision.rules
    assert matched(decision) == (("rule-0",) if expected else ())
    # Folded with others, the result is the same.
    others = [f'headers["x-{number}"] == "1"' for number in range(12)]
    decision = decide_on(_with_conditions(*others, when), request_)
    assert matched(decision) == (("rule-12",) if expected else ())


def _with_conditions(*conditions: str) -> Snapshot:
    """Return a configuration with a rule for each condition. It is not compiled from a text, which takes longer."""
    targets = (candidate(USUAL_SNAPSHOT.endpoints["groq"], "gemma2-9b-it"),)
    rules = [Rule(name=f"rule-{index}", condition=when, targets=targets) for index, when in enumerate(conditions)]
    return replace(USUAL_SNAPSHOT, rules=tuple(rules), read_headers=("x-tier", "x-a", "x-b"))


def test_first_match_of_the_list_counts() -> None:
    snapshot = snapshot_of("""
- {name: a, when: 'headers["x-a"] == "1"', targets: [groq/a]}
- {name: b, when: 'headers["x-b"] == "1"', targets: [groq/b]}
- {name: c, targets: [groq/c]}
""")
    assert first(decide_on(snapshot, Request(headers={"x-b": "1", "x-a": "1"}))) == "groq/a"
    assert first(decide_on(snapshot, Request(headers={"x-b": "1"}))) == "groq/b"
    decision = decide_on(snapshot, Request())
    assert (first(decision), matched(decision)) == ("groq/c", ("c",))
    assert decision.rules is not None
    assert [(step.rule, step.result) for step in decision.rules.steps()] == [
        ("a", "no match"),
        ("b", "no match"),
        ("c", "matched"),
    ]
    assert decision.rules.facts == {'headers["x-a"]': "", 'headers["x-b"]': ""}


def test_scope_of_a_key_comes_before_its_team_and_its_customer() -> None:
    rules = {
        "global": "- {name: for-all, targets: [groq/all]}",
        "customer": "- {name: for-customer, scope: 'customer:acme', targets: [groq/customer]}",
        "team": "- {name: for-team, scope: 'team:research', targets: [groq/team]}",
        "virtual_key": "- {name: for-key, scope: 'virtual_key:app', targets: [groq/key]}",
    }
    for count, expected in enumerate(("groq/all", "groq/customer", "groq/team", "groq/key"), 1):
        snapshot = snapshot_of("\n".join(list(rules.values())[:count]))
        assert first(decide_on(snapshot, Request())) == expected
        assert first(decide_on(snapshot, Request(key=None))) == "groq/all"


def test_chain_evaluates_the_changed_request_again() -> None:
    snapshot = snapshot_of("""
- {name: up, when: 'model == "chat" && headers["x-tier"] == "premium"', model: best, chain: true}
- {name: cool, when: 'model == "best"', set: {temperature: 0}, chain: true}
- {name: limited, when: 'params["temperature"] == 0', set: {max_tokens: 50}, timeouts: {commit_s: 7}}
""")
    decision = decide_on(snapshot, Request(headers={"x-tier": "premium"}))
    assert isinstance(decision, Plan)
    assert (first(decision), matched(decision)) == ("openai/gpt-4o", ("up", "cool", "limited"))
    assert decision.call is not None
    assert (bytes(decision.call.fields["temperature"]), decision.call.max_tokens) == (b"0", 50)
    assert (decision.model, decision.call.model) == ("chat", "chat"), "the client's own name stays in the answer"
    assert decision.deadline == NOW + 7
    assert matched(decide_on(snapshot, Request())) == ()


def test_cycle_of_chained_rules_ends() -> None:
    snapshot = snapshot_of("""
- {name: there, when: 'model == "chat"', model: best, chain: true}
- {name: back, when: 'model == "best"', model: chat, chain: true}
""")
    decision = decide_on(snapshot, Request())
    assert (first(decision), matched(decision)) == (USUAL, ("there", "back"))


def test_chain_ends_after_ten_rules() -> None:
    rules = "\n".join(f"- {{name: r{number}, set: {{seed: {number}}}, chain: true}}" for number in range(12))
    assert len(matched(decide_on(snapshot_of(rules), Request()))) == 10


def test_weights_of_a_rule_are_kept() -> None:
    snapshot = snapshot_of("- {name: split, targets: [{model: groq/a, weight: 1}, {model: groq/b, weight: 3}]}")
    drawn = [first(decide_on(snapshot, Request(), seed)) for seed in range(400)]
    assert 60 <= drawn.count("groq/a") <= 140
    assert drawn.count("groq/a") + drawn.count("groq/b") == 400


def test_rule_sets_strategy_fallbacks_and_key() -> None:
    snapshot = snapshot_of("""
- {name: all, strategy: weighted, fallbacks: [local/spare], provider_key: spare}
""")
    plan = decide_on(snapshot, Request(body={"fallbacks": ["openai/gpt-4o"]}))
    assert isinstance(plan, Plan)
    assert (plan.strategy, plan.source) == ("weighted", "model chat, rule all")
    assert [(choice.candidate.id, [key.name for key in choice.keys]) for choice in plan.choices] == [(USUAL, ["spare"])]
    excluded = {verdict.candidate: verdict.reason.message for verdict in plan.verdicts}
    assert "allows only the key spare" in excluded["local/spare"]


def test_rule_refuses_with_its_message() -> None:
    snapshot = snapshot_of("""
- {name: no-images, when: has_images, refuse: {message: images are not allowed here}}
""")
    failure = decide_on(snapshot, Request(body={"messages": [{"role": "user", "content": [IMAGE]}]}))
    assert isinstance(failure, Failure)
    assert (failure.kind.status, failure.kind.code) == (403, "refused_by_rule")
    assert "images are not allowed here" in failure.message
    assert "no-images" in failure.message
    assert matched(failure) == ("no-images",)


def test_unknown_fact_is_skipped_or_refused() -> None:
    when = "budget_used.team > 80"
    unknown = Request(used={"team:research|usd|month": None})
    decision = decide_on(snapshot_of(f"- {{name: one, when: {when}, {GOES}}}"), unknown)
    assert first(decision) == USUAL
    assert decision.rules is not None
    (step,) = decision.rules.steps()
    assert (step.result, step.message) == ("unknown", 'budget_used["team"] is unknown')
    failure = decide_on(snapshot_of(f"- {{name: one, when: {when}, on_unknown: refuse, {GOES}}}"), unknown)
    assert isinstance(failure, Failure)
    assert (failure.kind.status, failure.kind.code) == (503, "rule_undecided")
    assert 'budget_used["team"] is unknown' in failure.message


def test_error_of_one_condition_leaves_the_others() -> None:
    snapshot = snapshot_of(f"""
- {{name: broken, when: '1 / (max_tokens + 1) == 1', targets: [groq/x]}}
- {{name: works, when: 'stream', {GOES}}}
""")
    decision = decide_on(snapshot, Request(body={"stream": True}))
    assert (first(decision), matched(decision)) == (ELSEWHERE, ("works",))
    assert decision.rules is not None
    broken = decision.rules.steps()[0]
    assert broken.result == "error"
    assert "divide by zero" in broken.message


def test_rule_cannot_widen_the_rights_of_a_key() -> None:
    snapshot = snapshot_of(f"- {{name: out, when: 'key.name == \"narrow\"', {GOES}}}")
    failure = decide_on(snapshot, Request(key="narrow"))
    assert isinstance(failure, Failure)
    assert failure.kind.code == "model_not_allowed"
    assert "the rule out names groq/gemma2-9b-it" in failure.message
    assert [(one.candidate, one.policy) for one in failure.verdicts] == [(ELSEWHERE, "directive")]
    inside = snapshot_of("- {name: in, targets: [openai/gpt-4o]}")
    assert first(decide_on(inside, Request(key="narrow"))) == "openai/gpt-4o"
    failure = decide_on(snapshot_of("- {name: to-best, model: best}"), Request(key="narrow"))
    assert isinstance(failure, Failure)
    assert failure.kind.code == "model_not_allowed"
    assert "which the rule to-best sets" in failure.message


def test_rule_that_set_the_targets_is_named_in_a_chain() -> None:
    snapshot = snapshot_of("""
- {name: first, targets: [groq/gemma2-9b-it], chain: true}
- {name: second, drop: [seed]}
""")
    failure = decide_on(snapshot, Request(key="narrow"))
    assert isinstance(failure, Failure)
    assert "the rule first names" in failure.message
    plan = decide_on(snapshot, Request())
    assert isinstance(plan, Plan)
    assert plan.source == "rule first"


def test_rule_drops_and_sets_parameters_in_each_dialect() -> None:
    snapshot = snapshot_of("- {name: one, drop: [temperature, user], set: {top_p: 0.5, max_tokens: 7}}")
    body = {"temperature": 1, "user": "u", "max_completion_tokens": 100}
    plan = decide_on(snapshot, Request(body=body))
    assert isinstance(plan, Plan)
    assert plan.call is not None
    assert set(plan.call.fields) == {"model", "messages", "top_p"}
    assert (plan.call.max_tokens, plan.call.stated_tokens) == (7, None)
    body = {"temperature": 1, "metadata": {"user_id": "u"}, "max_tokens": 100}
    plan = decide_on(snapshot, Request(path="/v1/messages", body=body))
    assert isinstance(plan, Plan)
    assert plan.call is not None
    assert "metadata" not in plan.call.fields
    assert plan.call.max_tokens == 7


def test_no_rules_leave_no_trace() -> None:
    assert decide_on(USUAL_SNAPSHOT, Request()).rules is None


def test_fact_that_a_chain_changed_is_listed_with_both_values() -> None:
    snapshot = snapshot_of(
        "- {name: up, when: 'model == \"chat\"', model: best, chain: true}\n"
        "- {name: hot, when: 'model == \"best\"', set: {seed: 1}}"
    )
    decision = decide_on(snapshot, Request())
    assert matched(decision) == ("up", "hot")
    assert decision.rules is not None
    assert decision.rules.texts == {"model": "chat", "model after up": "best"}
