"""The configuration of a simulated world."""

from pointsman.domain.snapshots import Routing
from pointsman.money.terms import known_terms
from pointsman.simulate.worlds.fleet import NAME, routes_of, snapshot_of
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.scenarios import FLEET


def test_providers_are_the_targets_of_one_name() -> None:
    snapshot = snapshot_of(FLEET, Routing())
    targets = snapshot.models[NAME].targets
    assert [item.id for item in targets] == ["p1/m", "p2/m", "p3/m", "p4/m"]
    assert [key.name for key in targets[0].keys] == ["k1", "k2"]


def test_keys_apart_are_targets_of_their_own() -> None:
    services = [Service(one, (), place) for place, one in enumerate(FLEET)]
    targets = snapshot_of(FLEET, Routing(), apart=True).models[NAME].targets
    routes = routes_of(services, apart=True)
    assert [(item.id, item.keys[0].name) for item in targets] == list(routes)
    assert routes["p1-k1/m", "k1"].service is routes["p1-k2/m", "k2"].service is services[0]


def test_prices_follow_their_factors() -> None:
    snapshot = snapshot_of(FLEET, Routing(), prices={"p1": 4.0})
    prices = [known_terms(None, item, snapshot).price for item in snapshot.models[NAME].targets]
    assert [(one.rates.input, one.rates.output) for one in prices if one is not None] == [
        (12_000_000, 60_000_000), (2_500_000, 10_000_000), (1_000_000, 4_000_000), (600_000, 600_000)
    ]  # fmt: skip


def test_limits_of_self_hosted_engines_are_learned_unless_a_policy_routes() -> None:
    found = {
        item.endpoint.name: item.endpoint.max_concurrency for item in snapshot_of(FLEET, Routing()).models[NAME].targets
    }
    assert found == {"p1": None, "p2": None, "p3": None, "p4": "auto"}
    apart = snapshot_of(FLEET, Routing(), apart=True).models[NAME].targets
    assert all(item.endpoint.max_concurrency is None for item in apart)
