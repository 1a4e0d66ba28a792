"""A worker's reservations in the budgets of providers."""

from random import Random

from fakes.worlds import PROVIDERS
from pointsman.domain.plans import Choice, Try
from pointsman.domain.snapshots import Routing
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger
from pointsman.simulate.worlds.fleet import NAME, snapshot_of
from pointsman.simulate.worlds.physics import UNIX
from pointsman.simulate.worlds.worker import Worker
from pointsman.simulate.worlds.world import Arrival, Budget

ARRIVAL = Arrival(0.0, 1000, 100)  # reserves 0.7 cents


def test_workers_with_one_ledger_share_the_budget() -> None:
    snapshot, ledger = snapshot_of(PROVIDERS, Routing(), budget=Budget("p1", 0.01)), Ledger()
    first, second = [Worker(Live(snapshot), Random(1), {}, ledger) for _ in range(2)]
    item = snapshot.models[NAME].targets[0]
    step = Try(Choice(item, item.keys), item.keys[0], 30.0)
    assert first.reserve("0-1", step, ARRIVAL, UNIX) is None
    refused = second.reserve("1-1", step, ARRIVAL, UNIX)
    assert refused is not None
    assert refused.may_fit
    first.settle("0-1", 0.001, 1100)
    assert second.reserve("1-1", step, ARRIVAL, UNIX) is None


def test_provider_without_a_budget_needs_no_reservation() -> None:
    snapshot = snapshot_of(PROVIDERS, Routing(), budget=Budget("p1", 0.01))
    item = snapshot.models[NAME].targets[1]
    worker = Worker(Live(snapshot), Random(1), {}, Ledger())
    assert worker.reserve("0-1", Try(Choice(item, item.keys), item.keys[0], 30.0), ARRIVAL, UNIX) is None
    assert not worker.ledger.open_attempts
