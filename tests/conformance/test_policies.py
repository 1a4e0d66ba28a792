"""Rules for every policy."""

from itertools import product
from types import ModuleType

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, POLICIES, FakeView, ScriptedRandom, call, endpoint, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import NO_MEDIA, Facts, Media, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.holds import Held, Hold
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit, Period
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.plans import Plan
from pointsman.domain.prices import ModelFacts
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.requirements import Requirement
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Pricing
from pointsman.domain.targets import Arm, Candidate, Guard, candidate
from pointsman.domain.verdicts import Reason
from pointsman.registry import modules
from pointsman.routing import policies
from pointsman.routing.canaries import Aborted
from pointsman.routing.compliance import compliant
from pointsman.routing.decide import decide
from pointsman.routing.health import subject
from pointsman.routing.policies import CHECKS, KINDS, LIVE, READS, STATIC, WATCHES, Asker, Check
from pointsman.routing.view import Exhausted
from pointsman.wire.dialects import DIALECTS

HEALTHY = endpoint("a")
CHAT_ONLY = endpoint("b", operations=frozenset({"chat"}))
KEYLESS = endpoint("c", provider_key("k1", serves=("other",)))
ZERO_KEY = endpoint("d", provider_key("k1", 0))
TWO_KEYS = endpoint("e", "k1", "k2")
ENDPOINTS = [HEALTHY, CHAT_ONLY, KEYLESS, ZERO_KEY, TWO_KEYS]
CONFIGURATION = snapshot(ENDPOINTS, [candidate(HEALTHY, "m")])

ENTRIES = {
    "a": ProviderEntry("a"),
    "b": ProviderEntry("b", allow_models=("other*",)),
    "e": ProviderEntry("e", weight=0),
}
CANARY = Arm("chat", "a/m", "trial", 1.0, Guard(0.05))
LIMIT = Limit(
    level="virtual_key",
    owner="virtual_key:restricted",
    metric="usd",
    period=Period("day"),
    amount=1_000_000_000,
)
RESTRICTED = VirtualKey(name="restricted", digest=b"", entries=ENTRIES, limits=(LIMIT,))
NO_TOOLS = VirtualKey(name="toolless", digest=b"", provider_tools=frozenset())

ENDS_WITH_AN_ANSWER = frozenset({"no_connection_free", "concurrency_reached"})

every_policy = pytest.mark.parametrize(("name", "check"), POLICIES, ids=[name for name, _ in POLICIES])


def troubled() -> FakeView:
    """Return a view in which every breaker is open, every first key is blocked, every connection is in use, the only
    limit is exhausted, every provider's own limit is spent, the only canary is aborted, and an operator holds one
    target. Eight attempts are in progress at each."""
    view = FakeView(CONFIGURATION)
    view.in_progress = {f"{item.name}/m": 8 for item in ENDPOINTS}
    view.holds[f"{HEALTHY.name}/m"] = Held(Hold(f"{HEALTHY.name}/m", reason="maintenance"), NOW + 9)
    view.aborted[CANARY] = Aborted(CANARY, "it is worse", NOW + 3)
    view.exhausted[LIMIT.counter] = Exhausted(LIMIT, NOW + 1, NOW + 60, 1_800_000_000)
    for item in ENDPOINTS:
        view.saturated.add((item.network, item.origin))
        for operation in OPERATIONS:
            view.open_breaker(subject(candidate(item, "m"), operation), NOW + 3)
        view.block(item.name, "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 2)
        for key in item.keys:
            view.quotas.note(candidate(item, "m"), key.name, Quota(Allowance(60, 0)), NOW, at=NOW)
    return view


def cases() -> list[tuple[Candidate, Facts, FakeView]]:
    candidates = [candidate(item, "m", weight) for item, weight in product(ENDPOINTS, (0.0, 1.0))]
    candidates.append(replace(candidate(HEALTHY, "m"), arm=CANARY))
    candidates.append(candidate(replace(HEALTHY, max_concurrency=8), "m"))
    candidates.append(compliant(candidate(HEALTHY, "m"), (Requirement("region", ("eu",), origin="a test"),), 0.0))
    facts = [Facts(call(operation=operation), key) for operation in OPERATIONS for key in (None, RESTRICTED)]
    return list(product(candidates, facts, (FakeView(CONFIGURATION), troubled())))


class SmallModel:
    """A catalog in which the model of one provider is small and has no tools."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        return ModelFacts(name=model, context=100, lacks=frozenset({"tools"})) if provider_type == "small" else None

    def models(self, provider: str) -> list[str]:
        return []

    def name_of(self, model: str) -> str | None:
        return model

    def key(self, provider: str, model: str) -> str:
        return model

    def provider_at(self, host: str) -> str | None:
        return None

    def price_source(self, provider_type: str, model: str) -> str:
        return ""

    def serving(self, model: str) -> list[tuple[str, str]]:
        return []


def ruled() -> list[tuple[Candidate, Facts, FakeView]]:
    """Return a call that a rule routes outside the rights of its key."""
    item, view = candidate(HEALTHY, "m"), FakeView(CONFIGURATION)
    view.directive = Directive(rules=("r",), targets=(item,))
    return [(item, Facts(call(), replace(RESTRICTED, allow_models=("other",))), view)]


def demanding() -> list[tuple[Candidate, Facts, FakeView]]:
    """Return calls that need more than some models have."""
    configuration = replace(CONFIGURATION, pricing=Pricing(catalog=SmallModel()))
    calls = [replace(call(), fields={"tools": Raw(b"[1]")}), replace(call(), size=404), replace(call(), size=1700)]
    small = candidate(replace(HEALTHY, catalog="small"), "m")
    other = candidate(replace(HEALTHY, dialects=("anthropic",)), "m")
    prompt = Raw(b'[{"role": "user", "content": "hello"}]')
    head = RequestHead(path="/chat/completions")
    several = replace(call(), head=head, choices=2, fields={"messages": prompt, "n": Raw(b"2")})
    seeded = replace(call(), head=head, fields={"messages": prompt, "seed": Raw(b"2")})
    stateless = candidate(replace(HEALTHY, keeps_responses=False), "m")
    head = RequestHead(path="/responses", dialect="openai-responses")
    view = FakeView(CONFIGURATION)
    stored = replace(call(operation="responses"), head=head, fields={"input": Raw(b'"hi"'), "store": Raw(b"true")})
    return [
        *[(small, Facts(request), FakeView(configuration)) for request in calls],
        *[(other, Facts(request), FakeView(CONFIGURATION)) for request in (several, seeded)],
        (stateless, Facts(stored), FakeView(CONFIGURATION)),
        (candidate(HEALTHY, "m"), Facts(replace(call(), fields={"tools": Raw(b'[{"type":"mcp"}]')}), NO_TOOLS), view),
    ]


def test_policies_are_found_in_the_order_of_their_names() -> None:
    names = [name for name, _ in POLICIES]
    assert {"blocked_keys", "drained", "health", "keys", "operation"} <= set(names)
    assert names == sorted(names)


@every_policy
def test_healthy_candidate_has_no_verdict(name: str, check: Check) -> None:
    assert check(candidate(HEALTHY, "m"), Facts(call()), FakeView(CONFIGURATION), NOW) is None


@every_policy
def test_every_reason_has_a_code_and_a_message_and_is_stable(name: str, check: Check) -> None:
    reasons = 0
    for item, facts, view in (*cases(), *demanding(), *ruled()):
        reason = check(item, facts, view, NOW)
        assert check(item, facts, view, NOW) == reason
        if reason is not None:
            reasons += 1
            assert reason.code
            assert reason.message
    assert reasons, "no case gives a reason of this policy; add a case to this module"


@pytest.mark.parametrize(("name", "check"), LIVE, ids=[name for name, _ in LIVE])
def test_live_policy_objects_only_by_the_faults_that_it_names(name: str, check: Check) -> None:
    for item, facts, view in cases():
        getattr(view, READS[name]).clear()
        assert check(item, facts, view, NOW) is None


@every_policy
def test_temporary_reason_states_its_end_and_then_ends(name: str, check: Check) -> None:
    for item, facts, view in cases():
        reason = check(item, facts, view, NOW)
        if reason is not None and reason.is_last_resort and reason.code not in ENDS_WITH_AN_ANSWER:
            assert reason.until is not None
            assert reason.until > NOW
            assert check(item, facts, view, reason.until) is None


@pytest.mark.parametrize(("name", "module"), list(modules("pointsman.routing.policies")))
def test_each_policy_defines_exactly_one_function(name: str, module: ModuleType) -> None:
    kinds = [kind for kind in KINDS if hasattr(module, kind)]
    assert len(kinds) == 1
    assert name in dict({"static": STATIC, "live": LIVE, "check": CHECKS}[kinds[0]])
    assert kinds == ["check"] or not hasattr(module, "watch")


def residency(candidate: Candidate, asker: Asker) -> Reason | None:
    """A policy for the whole configuration: data must stay in a region."""
    required = asker.snapshot.default_provider
    if required is None or candidate.endpoint.name == required:
        return None
    return Reason("residency", f"{candidate.endpoint.name} is outside the region")


@pytest.mark.parametrize("is_healthy", [True, False])
def test_rule_of_the_configuration_holds_for_every_request(monkeypatch: pytest.MonkeyPatch, is_healthy: bool) -> None:
    monkeypatch.setattr(policies, "STATIC", (*STATIC, ("residency", residency)))
    targets = [candidate(TWO_KEYS, "m"), candidate(HEALTHY, "m")]
    configuration = replace(snapshot([TWO_KEYS, HEALTHY], targets), default_provider="a")
    view = FakeView(configuration)
    if not is_healthy:
        view.open_breaker("a/m", NOW + 3)
    for request in (call(), call(), call(fallbacks=("e/m",)), call(provider="a"), call("e/m", fallbacks=("a/m",))):
        plan = decide(Facts(request), view, ScriptedRandom(), NOW)
        assert isinstance(plan, Plan)
        assert [choice.candidate.id for choice in plan.choices] == ["a/m"]
    rejected = decide(Facts(call("e/m")), view, ScriptedRandom(), NOW)
    assert isinstance(rejected, Failure)
    assert "is outside the region" in rejected.message


def test_policies_watch_for_the_requests_that_they_object_to() -> None:
    """Each candidate has an alternative without known limits. A fault that all candidates share is no reason to prefer
    one."""
    count = 0
    for item, facts, view in demanding():
        asker = Asker(facts.call.operation, facts.virtual_key, view.snapshot)
        watches = [watching((item, candidate(CHAT_ONLY, "m")), asker) for watching in WATCHES]
        for (_, check), watch in zip(CHECKS, watches, strict=True):
            if check(item, facts, view, NOW) is not None:
                count += 1
                assert watch is not None
                assert watch(facts.call)
    assert count == len(demanding())


@every_policy
def test_view_is_unchanged(name: str, check: Check) -> None:
    view, untouched = troubled(), troubled()
    for item, facts, _ in cases():
        check(item, facts, view, NOW)
    assert view.conditions == untouched.conditions
    assert view.key_blocks == untouched.key_blocks
    assert view.exhausted == untouched.exhausted


def reason_of(name: str, item: Candidate, view: FakeView, operation: Operation = "chat") -> Reason | None:
    return dict(POLICIES)[name](item, Facts(call(operation=operation)), view, NOW)


@pytest.mark.parametrize(
    ("name", "item", "code"),
    [
        ("drained", candidate(HEALTHY, "m", 0), "drained"),
        ("drained", candidate(HEALTHY, "m", 1e-300), None),
        ("health", candidate(HEALTHY, "m"), "breaker_open"),
        ("health", candidate(HEALTHY, "another"), None),
        ("blocked_keys", candidate(HEALTHY, "m"), "keys_blocked"),
        ("blocked_keys", candidate(TWO_KEYS, "m"), None),
        ("keys", candidate(KEYLESS, "m"), "no_key"),
        ("keys", candidate(ZERO_KEY, "m"), "no_key"),
        ("operation", candidate(CHAT_ONLY, "m"), "unsupported_operation"),
        ("operation", candidate(HEALTHY, "m"), None),
    ],
)
def test_reasons_of_each_policy(name: str, item: Candidate, code: str | None) -> None:
    reason = reason_of(name, item, troubled(), "image")
    assert (None if reason is None else reason.code) == code


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("capability", [("capability", True), None, None]),
        ("context_window", [None, ("context_window", True), ("context_window", False)]),
    ],
)
def test_reasons_for_a_demanding_call(name: str, expected: list[tuple[str, bool] | None]) -> None:
    reasons = [dict(POLICIES)[name](item, facts, view, NOW) for item, facts, view in demanding()[: len(expected)]]
    assert [None if reason is None else (reason.code, reason.is_last_resort) for reason in reasons] == expected


def test_key_of_weight_zero_does_not_make_a_provider_usable() -> None:
    reason = reason_of("keys", candidate(ZERO_KEY, "m"), FakeView(CONFIGURATION))
    assert reason is not None
    assert not reason.is_last_resort


def test_blocked_provider_names_its_keys_and_the_first_to_recover() -> None:
    view = troubled()
    view.block("e", "k2", failures.CREDENTIAL_REJECTED, NOW + 1.5)
    reason = reason_of("blocked_keys", candidate(TWO_KEYS, "m"), view)
    assert reason is not None
    assert reason.until == NOW + 1.5
    assert reason.message == (
        "every key of e is blocked: k1 (upstream_rate_limited, 2.0 s left), "
        "k2 (upstream_credential_rejected, 1.5 s left)"
    )


def test_provider_without_a_free_connection_is_the_last_resort() -> None:
    check = dict(POLICIES)["connections"]
    view = FakeView(CONFIGURATION)
    view.saturated.add((HEALTHY.network, HEALTHY.origin))
    reason = check(candidate(HEALTHY, "m"), Facts(call()), view, NOW)
    assert reason is not None
    assert reason.is_last_resort
    assert check(candidate(CHAT_ONLY, "m"), Facts(call()), view, NOW) is None


class PlainModel(SmallModel):
    """A catalog in which the model of one provider has no capability at all."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        lacks = frozenset({"tools", "vision", "reasoning", "json_schema"})
        return ModelFacts(name=model, lacks=lacks) if provider_type == "small" else None


@pytest.mark.parametrize(
    ("dialect", "fields", "missing"),
    [
        ("openai", {"tools": b"[{}]"}, "tools"),
        ("openai", {"reasoning_effort": b'"high"'}, "reasoning"),
        ("openai", {"response_format": b'{"type":"json_schema"}'}, "json_schema"),
        ("openai", {"messages": b'[{"type":"image_url"}]'}, "vision"),
        ("openai-responses", {"tools": b"[{}]"}, "tools"),
        ("openai-responses", {"reasoning": b'{"effort":"high"}'}, "reasoning"),
        ("openai-responses", {"text": b'{"format":{"type":"json_schema"}}'}, "json_schema"),
        ("openai-responses", {"input": b'[{"type":"input_image"}]'}, "vision"),
        ("anthropic", {"tools": b"[{}]"}, "tools"),
        ("anthropic", {"thinking": b'{"type":"enabled","budget_tokens":1024}'}, "reasoning"),
        ("anthropic", {"output_config": b'{"format":{"type":"json_schema"}}'}, "json_schema"),
        ("anthropic", {"messages": b'[{"content":[{"type":"image"}]}]'}, "vision"),
        ("gemini", {"tools": b'[{"functionDeclarations":[]}]'}, "tools"),
        ("gemini", {"generationConfig": b'{"thinkingConfig":{"thinkingBudget":9}}'}, "reasoning"),
        ("gemini", {"generationConfig": b'{"responseSchema":{}}'}, "json_schema"),
        ("gemini", {"contents": b'[{"parts":[{"inlineData":{"mimeType":"image/png"}}]}]'}, "vision"),
    ],
)
def test_missing_capability_is_found_in_every_dialect(dialect: str, fields: dict[str, bytes], missing: str) -> None:
    view = FakeView(replace(CONFIGURATION, pricing=Pricing(catalog=PlainModel())))
    item = candidate(replace(HEALTHY, catalog="small"), "m")
    request = replace(
        call(operation=DIALECTS[dialect].operation),
        head=RequestHead(path=DIALECTS[dialect].path, dialect=dialect),
        fields={name: Raw(value) for name, value in fields.items()},
        media=Media(count=1) if missing == "vision" else NO_MEDIA,
    )
    reason = dict(POLICIES)["capability"](item, Facts(request), view, NOW)
    assert reason is not None
    assert reason.is_last_resort
    assert reason.message.endswith(f": {missing}")


def test_aborted_canary_is_the_last_resort_until_its_time() -> None:
    check = dict(POLICIES)["canary"]
    facts, view = Facts(call()), troubled()
    trial, other = replace(candidate(HEALTHY, "m"), arm=CANARY), candidate(HEALTHY, "m")
    reason = check(trial, facts, view, NOW)
    assert reason == Reason("canary_aborted", "the canary is aborted: it is worse", is_last_resort=True, until=NOW + 3)
    assert check(trial, facts, view, NOW + 3) is None
    assert check(other, facts, view, NOW) is None


@pytest.mark.parametrize("name", ["healthy", "healthy/m", "healthy:k1"])
def test_held_target_gets_no_request_until_the_hold_ends(name: str) -> None:
    check, item = dict(POLICIES)["holds"], candidate(replace(HEALTHY, name="healthy", keys=HEALTHY.keys[:1]), "m")
    name = name.replace("k1", item.keys[0].name)
    view = FakeView(CONFIGURATION)
    view.holds[name] = Held(Hold(name, reason="maintenance", until=1_800_000_000.0), NOW + 9)
    reason = check(item, Facts(call()), view, NOW)
    assert reason is not None
    assert (reason.code, reason.is_last_resort, reason.until) == ("held", False, NOW + 9)
    assert reason.message == f"an operator holds {name} out of use until 2027-01-15 08:00:00Z: maintenance"
    assert check(item, Facts(call()), view, NOW + 9) is None
    assert check(candidate(endpoint("other"), "m"), Facts(call()), view, NOW) is None


def test_provider_with_another_key_is_not_held() -> None:
    item = candidate(endpoint("healthy", "k1", "k2"), "m")
    view = FakeView(CONFIGURATION)
    view.holds["healthy:k1"] = Held(Hold("healthy:k1"))
    assert dict(POLICIES)["holds"](item, Facts(call()), view, NOW) is None


def test_order_about_a_target_outranks_one_about_its_provider() -> None:
    item, view = candidate(endpoint("healthy"), "m"), FakeView(CONFIGURATION)
    view.holds["healthy"] = Held(Hold("healthy"))
    assert dict(POLICIES)["holds"](item, Facts(call()), view, NOW) is not None
    view.holds["healthy/m"] = Held(Hold("healthy/m", "in"))
    assert dict(POLICIES)["holds"](item, Facts(call()), view, NOW) is None
