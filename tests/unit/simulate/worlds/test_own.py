"""The user's own configuration as a world."""

from pathlib import Path

import pytest

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.snapshots import Hedging, Snapshot
from pointsman.money.terms import known_terms
from pointsman.routing.strategies.adaptive import AdaptiveSettings
from pointsman.simulate.worlds.compare import CONTENDERS, compare
from pointsman.simulate.worlds.own import ScenarioError, configured, placed, providers_of, repriced, with_strategy
from pointsman.simulate.worlds.scenarios import OF_CONFIGURATIONS, SCENARIOS

FILE = """
version: 1
providers:
  openai: {keys: {a: {value: env.A, weight: 3}, b: {value: env.B}}}
  local: {type: vllm, base_url: http://127.0.0.1:9/v1}
  spare: {type: openai, keys: {c: env.C}}
models:
  chat:
    targets: [{model: openai/gpt-4o-mini, weight: 2}, local/llama]
    fallbacks: [spare/gpt-4o]
governance: {require_key: false}
"""
IDS = ["openai/gpt-4o-mini", "local/llama", "spare/gpt-4o"]


def snapshot(text: str = FILE) -> Snapshot:
    checked = compile_document(load(text.encode()), Path(), {}, reads_secrets=False)
    assert checked.compiled is not None, [str(problem) for problem in checked.problems]
    return checked.compiled.snapshot


def test_targets_and_fallbacks_become_providers() -> None:
    found = providers_of([snapshot()], "chat", 5.0, {"local/llama": 0.2})
    assert [one.name for one in found] == IDS
    assert [one.first_s for one in found] == [0.4, 0.2, 0.4 * 1.25**2]
    assert next([key.name for key in one.keys] for one in found) == ["a", "b"]
    assert found[0].weight == 2.0
    assert found[0].keys[0].weight == 3.0
    assert found[0].keys[0].requests == 300.0  # twice the traffic, for two keys
    assert found[1].concurrency < found[0].concurrency
    assert found[0].usd_in > 0


def test_world_of_two_configurations_has_the_targets_of_both() -> None:
    other = snapshot(FILE.replace("local/llama", "spare/gpt-4o-mini"))
    found = providers_of([snapshot(), other], "chat", 5.0, {})
    assert [one.name for one in found] == [*IDS, "spare/gpt-4o-mini"]


def test_faults_move_to_the_fastest_or_to_the_named_target() -> None:
    providers = providers_of([snapshot()], "chat", 5.0, {"local/llama": 0.2})
    revoked = SCENARIOS["revoked key"]
    by_default, named = placed(revoked, providers), placed(revoked, providers, "openai/gpt-4o-mini")
    assert (by_default.faults[0].provider, by_default.watched) == ("local/llama", "local/llama")
    assert (named.faults[0].provider, named.faults[0].key) == ("openai/gpt-4o-mini", "a")
    assert placed(SCENARIOS["correlated"], providers).faults[0].provider == ""


def test_configuration_and_its_variants_run_beside_published_rules() -> None:
    own = snapshot()
    world = placed(SCENARIOS["steady"], providers_of([own], "chat", 8.0, {}))
    routers = [
        configured("mine", own, "chat"),
        with_strategy(CONTENDERS["priority"], own, "chat"),
        CONTENDERS["bifrost"],
    ]
    found = compare(world, routers, [1])
    assert list(found) == ["mine", "priority", "bifrost"]
    assert all(one.success > 0.9 for one in found.values())
    assert found["priority"].attempts >= 1.0


def test_row_of_adaptive_weighs_costs_and_keeps_the_duplicates_of_the_configuration() -> None:
    own = snapshot(FILE.replace("    fallbacks:", "    duplicates: {hedge: {after_s: 3}}\n    fallbacks:"))
    kept, given = [with_strategy(CONTENDERS[name], own, "chat").snapshot for name in ("adaptive", "adaptive+race")]
    assert kept is not None
    assert given is not None
    routing, other = kept.models["chat"].routing, given.models["chat"].routing
    assert routing is not None
    assert other is not None
    settings = routing.strategy.settings
    assert isinstance(settings, AdaptiveSettings)
    assert settings.policy == "balanced"
    assert routing.hedging is not None
    assert (routing.hedging.after_s, routing.racing) == (3.0, None)
    assert (other.hedging, other.racing is not None) == (Hedging(), True)


def test_new_price_holds_for_its_target_only() -> None:
    own = snapshot()
    changed = repriced(own, "chat", {"openai/gpt-4o-mini": 4.0, "local/llama": 4.0})
    first, unpriced, other = [*own.models["chat"].targets, *own.models["chat"].fallbacks]
    before, after = [known_terms(None, first, one).price for one in (own, changed)]
    assert before is not None
    assert after is not None
    assert after.rates.input == 4 * before.rates.input
    assert after.rates.output == 4 * before.rates.output
    assert known_terms(None, unpriced, changed).price is None
    assert known_terms(None, other, changed).price == known_terms(None, other, own).price


def test_scenario_without_effect_is_rejected() -> None:
    providers = providers_of([snapshot()], "chat", 5.0, {"local/llama": 0.2})
    with pytest.raises(ScenarioError, match="set a budget of the provider in the configuration"):
        placed(SCENARIOS["budget exhausted"], providers)
    with pytest.raises(ScenarioError, match="that of local/llama is not known"):
        placed(SCENARIOS["price x4"], providers)
    assert placed(SCENARIOS["price x4"], providers, "openai/gpt-4o-mini").faults[0].price == 4.0
    assert set(SCENARIOS) - set(OF_CONFIGURATIONS) == {"budget exhausted"}
