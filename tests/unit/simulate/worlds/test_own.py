"""The user's own configuration as a world."""

from pathlib import Path

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.snapshots import Snapshot
from pointsman.simulate.worlds.compare import CONTENDERS, compare
from pointsman.simulate.worlds.own import configured, placed, providers_of, with_strategy
from pointsman.simulate.worlds.scenarios import SCENARIOS

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
