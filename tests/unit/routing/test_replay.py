"""Recorded requests under other rules: the fate of each, and the facts that are missing."""

from typing import Any

import pytest

from fakes.configuration import compiled
from fakes.routing import FakeView
from pointsman.domain.records import AttemptRecord, Feedback, RequestRecord
from pointsman.routing.replay import Replay, Replayed, summarize

BASE = """
providers:
  alpha: {type: vllm, base_url: "http://127.0.0.1:9001/v1"}
  beta: {type: vllm, base_url: "http://127.0.0.1:9002/v1"}
  gamma: {type: vllm, base_url: "http://127.0.0.1:9003/v1", tags: {region: eu}}
models:
  chat: {targets: [alpha/m, beta/m], fallbacks: [gamma/m]}
  best: [beta/big]
governance:
  require_key: false
  customers: {acme: {}}
  teams: {red: {customer: acme}, blue: {}}
  virtual_keys:
    app: {value: env.CLIENT_KEY, team: red}
    narrow: {value: "sha256:%s", allow_models: [chat]}
routing:
  strategy: priority
  rules:
""" % ("0" * 63 + "1")
BETA = "targets: [beta/m]"


def when(condition: str) -> str:
    return f"- {{name: a, when: '{condition}', {BETA}}}"


def replayed(rules: str, record: RequestRecord) -> Replayed:
    lines = "".join(f"    {line}\n" for line in rules.strip().splitlines()) or "    []\n"
    snapshot = compiled(BASE + lines).snapshot
    return Replay(snapshot, FakeView(snapshot)).of(record)


def recorded(*reached: str, **fields: Any) -> RequestRecord:
    """Return the record of a request that reached these targets; the last one served it."""
    tried = [one.partition("/") for one in reached]
    attempts = [
        AttemptRecord(provider=provider, model=model, key="only", outcome="ok", start_us=0, duration_us=0)
        for provider, _, model in tried
    ]
    served = {"provider": tried[-1][0], "upstream_model": tried[-1][2]} if tried else {}
    facts: dict[str, Any] = {"operation": "chat", "model": "chat", "dialect": "openai", "status": 200}
    facts |= {"time": 1_795_000_000.0, "request_id": "one", "method": "POST", "path": "/v1/chat/completions"}
    return RequestRecord(attempts=tuple(attempts), **{**facts, **served, **fields})


KEYED = {"virtual_key": "app", "team": "red", "customer": "acme", "labels": {"plan": "gold"}}
STATED = {"region=eu|uk": "the header x-pointsman-require", "certifications=iso": "virtual key app"}
TIER = {"rule_facts": {'headers["X-Tier"]': "gold"}}

# Each case is rules, a record, the fate, and the new target or the missing facts.
CASES: list[tuple[str, RequestRecord, str, str]] = [
    ("", recorded("alpha/m"), "same", "alpha/m"),
    ("", recorded("alpha/m", "beta/m"), "same", "alpha/m"),
    ("", recorded("alpha/m", "gamma/m"), "same", "alpha/m"),
    ("", recorded("beta/m"), "elsewhere", "alpha/m"),
    ("", recorded("beta/m", verdicts=("alpha/m: is busy",)), "same", "alpha/m"),
    ("", recorded("beta/big", model="best"), "same", "beta/big"),
    ("", recorded("alpha/m", "delta/own"), "same", "alpha/m"),  # a fallback that the client named
    ("- {name: a, targets: [beta/m]}", recorded("alpha/m", "delta/own"), "elsewhere", "beta/m"),
    ("- {name: a, fallbacks: [beta/m]}", recorded("alpha/m", "gamma/m"), "elsewhere", "alpha/m"),
    (f"- {{name: a, {BETA}}}", recorded("alpha/m"), "elsewhere", "beta/m"),
    (f"- {{name: a, {BETA}}}", recorded("beta/m"), "same", "beta/m"),
    (f"- {{name: a, when: stream, {BETA}}}", recorded("alpha/m"), "same", "alpha/m"),
    (f"- {{name: a, when: stream, {BETA}}}", recorded("alpha/m", stream=True), "elsewhere", "beta/m"),
    (when('request_type == "chat"'), recorded("alpha/m"), "elsewhere", "beta/m"),
    (f"- {{name: a, scope: 'team:red', {BETA}}}", recorded("alpha/m", **KEYED), "elsewhere", "beta/m"),
    (f"- {{name: a, scope: 'team:blue', {BETA}}}", recorded("alpha/m", **KEYED), "same", "alpha/m"),
    (f"- {{name: a, scope: 'customer:acme', {BETA}}}", recorded("alpha/m", **KEYED), "elsewhere", "beta/m"),
    (f"- {{name: a, scope: 'virtual_key:app', {BETA}}}", recorded("alpha/m", **KEYED), "elsewhere", "beta/m"),
    (when('key.labels.plan == "gold"'), recorded("alpha/m", **KEYED), "elsewhere", "beta/m"),
    (when('request_tags.x == "1"'), recorded("alpha/m", tags={"x": "1"}), "elsewhere", "beta/m"),
    (when('in_cidr(client_ip, "10.0.0.0/8")'), recorded("alpha/m", client="10.1.1.1"), "elsewhere", "beta/m"),
    # 1,795,000,000 is 2026-11-18T11:06:40Z, a Wednesday; the request began an hour earlier.
    (when("time.hour == 10"), recorded("alpha/m", duration_us=3_600_000_000), "elsewhere", "beta/m"),
    (when("time.weekday == 3"), recorded("alpha/m"), "elsewhere", "beta/m"),
    # Stored facts.
    (when('headers["x-tier"] == "gold"'), recorded("alpha/m", **TIER), "elsewhere", "beta/m"),
    (when('present(headers, "x-tier")'), recorded("alpha/m", **TIER), "elsewhere", "beta/m"),
    (
        when("params.temperature > 0.5"),
        recorded("alpha/m", rule_facts={'params["temperature"]': "0.7"}),
        "elsewhere",
        "beta/m",
    ),
    (
        when("params.temperature > 0.5"),
        recorded("alpha/m", rule_facts={'params["temperature"]': ""}),
        "same",
        "alpha/m",
    ),
    (when("params.store"), recorded("alpha/m", rule_facts={'params["store"]': "true"}), "elsewhere", "beta/m"),
    (when("max_tokens > 10"), recorded("alpha/m", rule_facts={"max_tokens": "11"}), "elsewhere", "beta/m"),
    (
        when('params.tier == "-1"'),
        recorded("alpha/m", rule_facts={'params["tier"]': "-1"}),
        "undecidable",
        'params["tier"]',
    ),
    (
        f"- {{name: a, when: 'user == \"{'u' * 256}\"', {BETA}}}",
        recorded("alpha/m", rule_facts={"user": "u" * 257}),
        "undecidable",
        "user",
    ),
    # Facts that were not stored, and when they do not matter.
    (when('headers["x-tier"] == "gold"'), recorded("alpha/m"), "undecidable", 'headers["x-tier"]'),
    (when('headers["x-tier"] == "gold"'), recorded("beta/m"), "undecidable", 'headers["x-tier"]'),
    (when("stream && has_tools"), recorded("alpha/m"), "same", "alpha/m"),
    (when("stream || has_tools"), recorded("alpha/m", stream=True), "elsewhere", "beta/m"),
    ("- {name: a, when: has_tools, targets: [alpha/m]}", recorded("alpha/m"), "same", "alpha/m"),
    (f"- {{name: a, when: has_tools, {BETA}}}\n- {{name: b, {BETA}}}", recorded("alpha/m"), "elsewhere", "beta/m"),
    (
        f"- {{name: a, when: 'has_tools && stream', {BETA}}}\n- {{name: b, when: has_images, {BETA}}}",
        recorded("alpha/m"),
        "undecidable",
        "has_images",
    ),
    (
        "- {name: a, when: stream, refuse: {message: closed}}\n- {name: b, when: has_tools, refuse: {message: closed}}",
        recorded("alpha/m", stream=True),
        "elsewhere",
        "refused_by_rule",
    ),
    # Models, chains, requirements, and what a key may use.
    ("- {name: a, model: best}", recorded("alpha/m"), "elsewhere", "beta/big"),
    ("- {name: a, model: best}", recorded("alpha/m", virtual_key="narrow"), "elsewhere", "model_not_allowed"),
    (
        "- {name: a, model: best, chain: true}\n- {name: b, when: 'model == \"best\"', targets: [gamma/m]}",
        recorded("alpha/m"),
        "elsewhere",
        "gamma/m",
    ),
    (
        "- {name: a, set: {top_p: 0.9}, chain: true}\n- {name: b, when: 'params.top_p > 0.5', targets: [gamma/m]}",
        recorded("alpha/m"),
        "elsewhere",
        "gamma/m",
    ),
    (
        "- {name: a, drop: [seed], chain: true}\n- {name: b, when: 'present(params, \"seed\")', targets: [gamma/m]}",
        recorded("alpha/m"),
        "same",
        "alpha/m",
    ),
    (
        "- {name: a, set: {max_tokens: 9}, chain: true}\n- {name: b, when: 'max_tokens == 9', targets: [gamma/m]}",
        recorded("alpha/m"),
        "elsewhere",
        "gamma/m",
    ),
    (
        "- {name: a, set: {seed: 9}, chain: true}\n- {name: b, when: 'prompt_tokens > 9', targets: [gamma/m]}",
        recorded("alpha/m", rule_facts={"prompt_tokens": "20"}),
        "undecidable",
        "prompt_tokens",
    ),
    ("- {name: a, require: {region: eu}}", recorded("alpha/m"), "elsewhere", "gamma/m"),
    ("- {name: a, require: {region: us}}", recorded("alpha/m"), "elsewhere", "no_compliant_provider"),
    (
        "- {name: a, targets: [{model: alpha/m, weight: 1}, {model: beta/m, weight: 1}]}",
        recorded("beta/m"),
        "same",
        "alpha/m, beta/m",
    ),
    ("- {name: a, targets: [alpha/m, beta/m], strategy: weighted}", recorded("beta/m"), "same", "alpha/m, beta/m"),
    ("- {name: a, targets: [alpha/m, beta/m]}", recorded("beta/m"), "elsewhere", "alpha/m"),
    ("", recorded("gamma/m", require=STATED), "same", "gamma/m"),
    (f"- {{name: a, {BETA}}}", recorded("gamma/m", require=STATED), "elsewhere", "no_compliant_provider"),
    # Refusals.
    ("- {name: a, refuse: {message: closed}}", recorded("alpha/m"), "elsewhere", "refused_by_rule"),
    ("- {name: a, refuse: {message: closed}}", recorded(status=403, code="refused_by_rule"), "same", "refused_by_rule"),
    ("", recorded(status=403, code="refused_by_rule"), "elsewhere", "alpha/m"),
    (
        f"- {{name: a, when: 'in_cidr(client_ip, user) && 1 / max_tokens == 1', on_unknown: refuse, {BETA}}}",
        recorded("alpha/m", client="10.0.0.1", rule_facts={"user": "10.0.0.0/8", "max_tokens": "0"}),
        "elsewhere",
        "rule_undecided",
    ),
    # Requests that no rule routes.
    ("", recorded(status=402, code="budget_exceeded"), "unrouted", ""),
    ("", recorded(operation=None), "unrouted", ""),
    (f"- {{name: a, {BETA}}}", recorded("alpha/m", source="the provider that stores the response"), "same", ""),
    (f"- {{name: a, {BETA}}}", recorded("alpha/", operation="file", model=""), "same", ""),
    (
        "- {name: a, refuse: {message: closed}}",
        recorded("alpha/", operation="file", model=""),
        "elsewhere",
        "refused_by_rule",
    ),
    (f"- {{name: a, {BETA}}}", recorded("alpha/m", pinned="alpha"), "elsewhere", "invalid_request"),
]


@pytest.mark.parametrize(("rules", "record", "fate", "detail"), CASES)
def test_fate(rules: str, record: RequestRecord, fate: str, detail: str) -> None:
    found = replayed(rules, record)
    assert (found.fate, ", ".join(found.missing) or found.would_go_to) == (fate, detail)


def test_many_undecided_rules_of_a_chain_are_undecidable() -> None:
    rules = "\n".join(f"- {{name: r{n}, when: 'headers.h{n} == \"1\"', model: best, chain: true}}" for n in range(12))
    assert replayed(rules, recorded("alpha/m")).fate == "undecidable"


def test_summary_counts_fates_and_missing_facts() -> None:
    fates = {
        "1": Replayed("1", 0.0, "chat", "same", "alpha/m"),
        "2": Replayed("2", 0.0, "chat", "elsewhere", "alpha/m", "beta/m"),
        "3": Replayed("3", 0.0, "chat", "undecidable", "alpha/m", missing=("user", "stream")),
        "4": Replayed("4", 0.0, "chat", "undecidable", "alpha/m", missing=("user",)),
        "5": Replayed("5", 0.0, "chat", "unrouted", "budget_exceeded"),
    }
    records = [recorded("alpha/m", request_id=name) for name in fates]
    records.append(recorded(feedback=Feedback(request_id="1", score=1.0), request_id="6"))
    records.append(recorded("beta/m", request_id="7", mirror_of="1"))  # no rule applies to a copy
    found = summarize(records, lambda record: fates[record.request_id])
    assert (found.requests, found.same, found.unrouted, found.elsewhere) == (5, 1, 1, (fates["2"],))
    assert (found.undecidable, found.facts) == ((fates["3"], fates["4"]), {"user": 2, "stream": 1})
