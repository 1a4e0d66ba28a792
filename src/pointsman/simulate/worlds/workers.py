"""The workers of a run.

Each worker has its own live state and random source, and serves a share of the requests. The budgets of providers are
the same for all of them, as if control granted each lease at once.
"""

from collections.abc import Iterable, Sequence

from pointsman.domain.snapshots import Snapshot
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger
from pointsman.simulate.worlds.agenda import Agenda
from pointsman.simulate.worlds.contender import Contender, LiveWithoutHealth, Ranked, rng_of
from pointsman.simulate.worlds.exchange import Exchange
from pointsman.simulate.worlds.fleet import Routes, routes_of, snapshot_of
from pointsman.simulate.worlds.own import repriced
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.oracle import Oracle
from pointsman.simulate.worlds.worker import Request, Worker
from pointsman.simulate.worlds.world import Arrival, Scenario

_NOTHING = Arrival(0.0, 0, 0)


class Workers:
    """The workers of a run. `changes` are the times at which `change` is due."""

    def __init__(
        self, scenario: Scenario, contender: Contender, services: Sequence[Service], seed: int, agenda: Agenda
    ) -> None:
        self._scenario = scenario
        self._contender = contender
        self._services = services
        self._seed = seed
        self._prices: dict[str, float] = {}
        self._ledger = Ledger()
        # A policy has its own knowledge, which no worker shares.
        self._exchange = Exchange(agenda, scenario.duration_s) if scenario.shared and contender.policy is None else None
        self.every = [self._make(number) for number in range(scenario.workers)]
        edges = {at for one in scenario.faults if one.price != 1.0 for at in (one.since, one.until)}
        if scenario.lost is not None:
            edges.update(scenario.lost[1:])
        self.changes = sorted(edges)

    def of(self, request: int) -> Worker:
        """Return the worker that serves a request."""
        up = [one for one in self.every if one.is_up]
        return up[request % len(up)]

    def change(self, now: float) -> Iterable[Request]:
        """Carry out the changes of this time. Return the requests of a worker that is lost."""
        prices = {
            one.spec.name: factor for one in self._services if (factor := one.routes[0].present(now).price) != 1.0
        }
        if prices != self._prices and self._contender.policy is None:
            self._prices = prices
            snapshot = self._snapshot()
            for worker in self.every:
                worker.live.swap(snapshot)
        if self._scenario.lost is None:
            return []
        number, since, until = self._scenario.lost
        worker = self.every[number]
        if now == since:
            worker.is_up = False
            if self._exchange is not None:
                self._exchange.disconnect(worker.live)
            return list(worker.requests.values())
        if now == until:
            self.every[number] = self._make(number)
        return []

    def _make(self, number: int) -> Worker:
        contender, scenario = self._contender, self._scenario
        rng = rng_of(self._seed, number)
        if contender.policy is None:
            worker = Worker(Live(self._snapshot()), rng, self._routes(), self._ledger)
        else:
            routes = routes_of(self._services, apart=True)
            policy = contender.policy(list(routes.values()), rng)
            if isinstance(policy, Oracle):
                policy.usd_s = scenario.usd_s
            ranked = Ranked(policy, {name: place for place, (name, _) in enumerate(routes)}, _NOTHING)
            live = LiveWithoutHealth(self._snapshot(ranked))
            worker = Worker(live, rng, routes, self._ledger, ranked=ranked)
        worker.live.workers = scenario.workers
        if self._exchange is not None:
            self._exchange.connect(worker.live)
        return worker

    def _routes(self) -> Routes:
        """Return the routes of the configuration. The providers of one of a user's are named by their targets."""
        if self._contender.snapshot is None:
            return routes_of(self._services)
        return {(one.spec.name, route.key.name): route for one in self._services for route in one.routes}

    def _snapshot(self, ranked: Ranked | None = None) -> Snapshot:
        """Return the configuration with the present prices."""
        contender, scenario = self._contender, self._scenario
        if contender.snapshot is not None:
            return repriced(contender.snapshot, contender.model, self._prices)
        return snapshot_of(
            scenario.providers,
            contender.routing(ranked),
            apart=ranked is not None,
            prices=self._prices,
            budget=scenario.budget,
        )
