"""The router of a snapshot: its memos, their lifetime, and its end with the snapshot."""

import gc
import weakref
from collections.abc import Iterator
from random import Random

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, failure, provider_key, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.origin import Secret
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import ProviderKey, candidate
from pointsman.engine.live import Live
from pointsman.routing import router as module
from pointsman.routing.candidate_set import CandidateSet
from pointsman.routing.decide import decide
from pointsman.routing.evaluation import MAX_EVALUATION_S
from pointsman.routing.health import FIRST_BLOCK_S
from pointsman.routing.router import router_of
from pointsman.routing.strategies import STRATEGIES

A, B = endpoint("a"), endpoint("b")
CHAT = snapshot([A, B], [candidate(A, "m"), candidate(B, "m")])


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Disable the garbage collector, so that only reference counts free objects."""
    gc.disable()
    yield
    gc.enable()


def set_of(facts: Facts, configuration: Snapshot) -> CandidateSet:
    found = router_of(configuration).candidates(facts, configuration)
    assert isinstance(found, CandidateSet)
    return found


def ids(facts: Facts, live: Live, now: float = NOW) -> list[str]:
    plan = decide(facts, live, Random(1), now)
    assert isinstance(plan, Plan)
    return [choice.candidate.id for choice in plan.choices]


def test_each_snapshot_has_its_own_router() -> None:
    configuration = replace(CHAT)
    assert router_of(configuration) is router_of(configuration)
    assert router_of(replace(configuration)) is not router_of(configuration)


def test_candidates_are_computed_once_for_each_kind_of_request() -> None:
    configuration = replace(CHAT)
    key = VirtualKey(name="k", digest=b"", entries={"a": ProviderEntry("a")})
    requests = [Facts(call()), Facts(call(), key), Facts(call(provider="b")), Facts(call(fallbacks=("b/x",)))]
    sets = [set_of(facts, configuration) for facts in requests]
    assert len(set(map(id, sets))) == len(sets)
    assert [set_of(facts, configuration) for facts in requests] == sets


def test_memo_of_unknown_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 10)
    configuration = replace(CHAT)
    for number in range(100):
        for name in (f"a/{number}", f"none-{number}"):
            decide(Facts(call(name)), FakeView(configuration), Random(1), NOW)
    router = router_of(configuration)
    assert len(router._sets) <= 10
    assert len(router._resolved) <= 10


class WatchedSecret(Secret):
    __slots__ = ("__weakref__",)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_old_snapshot_and_rotated_key_are_freed_after_a_swap(strategy: str) -> None:
    """This holds after requests with weighted targets and keys, bare names, pins, and virtual keys with settings."""

    def configured() -> tuple[Snapshot, weakref.ref[Secret]]:
        secret = WatchedSecret("to be rotated")
        two = endpoint("a", ProviderKey("k1", secret, 2), provider_key("k2"), serves=("free-*",))
        targets = [candidate(two, "m"), candidate(B, "m", 2)]
        return snapshot([two, B], targets, strategy=strategy), weakref.ref(secret)

    old, secret = configured()
    live, was = Live(old), weakref.ref(old)
    key = VirtualKey(name="k", digest=b"", entries={"a": ProviderEntry("a", 1.0, keys=frozenset({"k1"}))})
    shapes = [call(), call("free-1"), call("a/x"), call(provider="a"), call(fallbacks=("a/y",)), call(stateful=True)]
    for request in (*shapes, replace(call(), pin=Pin("a", "k1", "file f"))):
        for facts in (Facts(request), Facts(request, key)):
            assert isinstance(decide(facts, live, Random(1), NOW), Plan)
    live.swap(configured()[0])
    del old
    assert was() is None
    assert secret() is None


def test_live_state_is_evaluated_again_only_after_a_change() -> None:
    configuration = replace(CHAT)
    live, facts = Live(configuration), Facts(call())
    assert ids(facts, live) == ["a/m", "b/m"]
    healthy = set_of(facts, configuration).evaluation
    ids(facts, live, NOW + 1e6)
    assert set_of(facts, configuration).evaluation is healthy
    for _ in range(3):
        live.begin(candidate(A, "m"), NOW, is_retry=False)
        live.finish(candidate(A, "m"), A.keys[0], failure(), NOW)
    assert ids(facts, live) == ["b/m", "a/m"]
    degraded = set_of(facts, configuration).evaluation
    assert ids(facts, live, NOW + MAX_EVALUATION_S / 2) == ["b/m", "a/m"]
    assert set_of(facts, configuration).evaluation is degraded, "a degraded model causes no new evaluation"
    assert ids(facts, live, NOW + FIRST_BLOCK_S) == ["a/m", "b/m"], "its block is over"


def test_views_of_one_snapshot_are_distinguished() -> None:
    configuration = replace(CHAT)
    one, other = Live(configuration), Live(configuration)
    for _ in range(3):
        one.begin(candidate(A, "m"), NOW, is_retry=False)
        one.finish(candidate(A, "m"), A.keys[0], failure(), NOW)
    for _ in range(2):
        assert ids(Facts(call()), one) == ["b/m", "a/m"]
        assert ids(Facts(call()), other) == ["a/m", "b/m"]
