"""Rules for every policy."""

from itertools import product
from types import ModuleType

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, POLICIES, FakeView, ScriptedDice, call, endpoint, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit, Period
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.plans import Plan, Reason
from pointsman.domain.prices import ModelFacts
from pointsman.domain.snapshots import Pricing, Snapshot
from pointsman.domain.targets import Candidate, candidate
from pointsman.registry import modules
from pointsman.routing import policies
from pointsman.routing.decide import decide
from pointsman.routing.health import subject
from pointsman.routing.policies import CHECKS, KINDS, LIVE, STATIC, WATCHES, Check
from pointsman.routing.view import Exhausted

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
LIMIT = Limit(
    level="virtual_key",
    owner="virtual_key:restricted",
    metric="usd",
    period=Period("day"),
    amount=1_000_000_000,
)
RESTRICTED = VirtualKey(name="restricted", digest=b"", entries=ENTRIES, limits=(LIMIT,))

every_policy = pytest.mark.parametrize(("name", "check"), POLICIES, ids=[name for name, _ in POLICIES])


def troubled() -> FakeView:
    """Return a view in which every breaker is open, every first key is blocked, every connection is in use, and the
    only limit is exhausted."""
    view = FakeView(CONFIGURATION)
    view.exhausted[LIMIT.counter] = Exhausted(LIMIT, NOW + 1, NOW + 60)
    for item in ENDPOINTS:
        view.crowded.add((item.network, item.origin))
        for operation in OPERATIONS:
            view.open_breaker(subject(candidate(item, "m"), operation), NOW + 3)
        view.block(item.name, "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 2)
    return view


def cases() -> list[tuple[Candidate, Facts, FakeView]]:
    built = [candidate(item, "m", weight) for item, weight in product(ENDPOINTS, (0.0, 1.0))]
    asked = [Facts(call(operation=operation), key) for operation in OPERATIONS for key in (None, RESTRICTED)]
    return list(product(built, asked, (FakeView(CONFIGURATION), troubled())))


class SmallModel:
    """A catalog in which the model of one provider is small and has no tools."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        return ModelFacts(name=model, context=100, lacks=frozenset({"tools"})) if provider_type == "small" else None

    def models(self, provider: str) -> list[str]:
        return []

    def name_of(self, model: str) -> str | None:
        return model

    def serving(self, model: str) -> list[tuple[str, str]]:
        return []


def demanding() -> list[tuple[Candidate, Facts, FakeView]]:
    """Calls that ask for more than some models have."""
    configuration = replace(CONFIGURATION, pricing=Pricing(catalog=SmallModel()))
    calls = [replace(call(), fields={"tools": Raw(b"[1]")}), replace(call(), size=404), replace(call(), size=1700)]
    small = candidate(replace(HEALTHY, catalog="small"), "m")
    return [(small, Facts(one), FakeView(configuration)) for one in calls]


def test_the_policies_are_found_in_the_order_of_their_names() -> None:
    names = [name for name, _ in POLICIES]
    assert {"blocked_keys", "drained", "health", "keys", "operation"} <= set(names)
    assert names == sorted(names)


@every_policy
def test_healthy_candidate_has_no_verdict(name: str, check: Check) -> None:
    assert check(candidate(HEALTHY, "m"), Facts(call()), FakeView(CONFIGURATION), NOW) is None


@every_policy
def test_every_reason_has_a_code_and_a_message_and_is_stable(name: str, check: Check) -> None:
    refusals = 0
    for item, facts, view in (*cases(), *demanding()):
        reason = check(item, facts, view, NOW)
        assert check(item, facts, view, NOW) == reason
        if reason is not None:
            refusals += 1
            assert reason.code
            assert reason.message
    assert refusals, "no case here is refused by this policy: add one"


@every_policy
def test_temporary_reason_states_its_end_and_then_ends(name: str, check: Check) -> None:
    for item, facts, view in cases():
        reason = check(item, facts, view, NOW)
        if reason is not None and reason.is_last_resort and reason.code != "no_connection_free":  # ends with an answer
            assert reason.until is not None
            assert reason.until > NOW
            assert check(item, facts, view, reason.until) is None


@pytest.mark.parametrize(("name", "module"), list(modules("pointsman.routing.policies")))
def test_each_defines_the_one_function_that_says_what_it_reads(name: str, module: ModuleType) -> None:
    kinds = [kind for kind in KINDS if hasattr(module, kind)]
    assert len(kinds) == 1
    assert name in dict({"static": STATIC, "live": LIVE, "check": CHECKS}[kinds[0]])
    assert kinds == ["check"] or not hasattr(module, "watch")


def residency(candidate: Candidate, operation: Operation, key: VirtualKey | None, snapshot: Snapshot) -> Reason | None:
    """A rule that the whole configuration makes, such as that data stays in a region."""
    required = snapshot.default_provider
    if required is None or candidate.endpoint.name == required:
        return None
    return Reason("residency", f"{candidate.endpoint.name} is not where data may go")


@pytest.mark.parametrize("is_healthy", [True, False])
def test_a_rule_of_the_configuration_holds_for_every_request(monkeypatch: pytest.MonkeyPatch, is_healthy: bool) -> None:
    monkeypatch.setattr(policies, "STATIC", (*STATIC, ("residency", residency)))
    targets = [candidate(TWO_KEYS, "m"), candidate(HEALTHY, "m")]
    configuration = replace(snapshot([TWO_KEYS, HEALTHY], targets), default_provider="a")
    view = FakeView(configuration)
    if not is_healthy:
        view.open_breaker("a/m", NOW + 3)
    for asked in (call(), call(), call(fallbacks=("e/m",)), call(provider="a"), call("e/m", fallbacks=("a/m",))):
        plan = decide(Facts(asked), view, ScriptedDice(), NOW)
        assert isinstance(plan, Plan)
        assert [choice.candidate.id for choice in plan.choices] == ["a/m"]
    refused = decide(Facts(call("e/m")), view, ScriptedDice(), NOW)
    assert isinstance(refused, Failure)
    assert "is not where data may go" in refused.message


def test_a_request_that_a_policy_objects_to_is_one_it_watches_for() -> None:
    """With a candidate beside it of which nothing is known: what all of them lack is no reason to prefer one."""
    told = 0
    for item, facts, view in demanding():
        watches = [watching((item, candidate(CHAT_ONLY, "m")), view.snapshot) for watching in WATCHES]
        for (_, check), watch in zip(CHECKS, watches, strict=True):
            if check(item, facts, view, NOW) is not None:
                told += 1
                assert watch is not None
                assert watch(facts.call)
    assert told == len(demanding())


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
    reasons = [dict(POLICIES)[name](item, facts, view, NOW) for item, facts, view in demanding()]
    assert [None if reason is None else (reason.code, reason.is_last_resort) for reason in reasons] == expected


def test_a_key_of_weight_zero_does_not_make_a_provider_usable() -> None:
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


def test_a_provider_without_a_free_connection_is_the_last_resort() -> None:
    check = dict(POLICIES)["connections"]
    view = FakeView(CONFIGURATION)
    view.crowded.add((HEALTHY.network, HEALTHY.origin))
    reason = check(candidate(HEALTHY, "m"), Facts(call()), view, NOW)
    assert reason is not None
    assert reason.is_last_resort
    assert check(candidate(CHAT_ONLY, "m"), Facts(call()), view, NOW) is None
