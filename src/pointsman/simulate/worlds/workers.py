"""The workers of a run, and their requests in progress.

Each worker has its own live state and random source, and serves a share of the requests.
"""

from collections.abc import Iterable, Sequence
from random import Random

from pointsman.domain.calls import Call
from pointsman.domain.dollars import nano_of
from pointsman.domain.plans import Exclusion, Plan, Progress, Try
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger
from pointsman.money.terms import known_terms
from pointsman.routing.paces import Tried
from pointsman.simulate.worlds.arrivals import MOST_OUT
from pointsman.simulate.worlds.contender import Contender, LiveWithoutHealth, Ranked, rng_of
from pointsman.simulate.worlds.fleet import routes_of, snapshot_of
from pointsman.simulate.worlds.physics import Outcome, Route, Service
from pointsman.simulate.worlds.policies.oracle import Oracle
from pointsman.simulate.worlds.world import Arrival, Scenario

_NOTHING = Arrival(0.0, 0, 0)


class Request:
    """A request in progress. `wakes` counts its steps, so that an old timer has no effect."""

    __slots__ = ("arrival", "call", "index", "is_done", "plan", "progress", "running", "tries", "wakes", "worker")

    def __init__(self, index: int, arrival: Arrival) -> None:
        self.index = index
        self.arrival = arrival
        self.worker: Worker | None = None
        self.call: Call | None = None
        self.plan: Plan | None = None
        self.progress = Progress()
        self.running: list[Attempt] = []
        self.tries: dict[int, int] = {}  # attempts by the place of the provider
        self.wakes = 0
        self.is_done = False


class Attempt:
    """An attempt in progress."""

    __slots__ = ("content_at", "is_over", "name", "outcome", "request", "route", "started_at", "step", "tried")

    def __init__(self, request: Request, step: Try, route: Route, started_at: float, name: str) -> None:
        self.request = request
        self.step = step
        self.route = route
        self.started_at = started_at
        self.name = name
        self.content_at: float | None = None
        self.tried: Tried | None = None
        self.is_over = False
        self.outcome: Outcome | None = None

    @property
    def has_content(self) -> bool:
        return self.content_at is not None


class Worker:
    """One worker. `ranked` is set if a policy routes. `requests` are those in progress, by their number."""

    def __init__(self, live: Live, rng: Random, routes: dict[tuple[str, str], Route], ranked: Ranked | None) -> None:
        self.live = live
        self.rng = rng
        self.routes = routes
        self.ranked = ranked
        self.is_up = True
        self.ledger = Ledger()
        self.requests: dict[int, Request] = {}

    def reserve(self, attempt: str, step: Try, arrival: Arrival, unix_s: float) -> Exclusion | None:
        """Reserve for an attempt in the limits of its provider. Return the exclusion of its candidate if there is no
        room; others may settle for less than they reserved."""
        item = step.choice.candidate
        if not item.endpoint.limits:
            return None
        price = known_terms(None, item, self.live.snapshot).price
        pico = 0
        if price is not None:
            pico = arrival.tokens_in * price.rates.input + MOST_OUT * price.rates.output
        account = self.ledger.account(item.endpoint.limits)
        ordinal = int(attempt.rpartition("-")[2])
        found = self.ledger.reserve(
            account, attempt, pico // 1000, arrival.tokens_in + MOST_OUT, ordinal=ordinal, now_unix_s=unix_s
        )
        if not isinstance(found, list):
            return None
        reason = Reason("over_budget", f"the {found[0].limit} has no room")
        return Exclusion(item, Verdict(item.id, "billing", reason), may_fit=found[0].reserved > 0)

    def settle(self, attempt: str, usd: float, tokens: int) -> None:
        """Charge an attempt that has ended, if it reserved anything."""
        if self.ledger.open_attempts:
            self.ledger.settle(attempt, nano_of(usd), tokens)


class Workers:
    """The workers of a run. `changes` are the times at which `change` is due."""

    def __init__(self, scenario: Scenario, contender: Contender, services: Sequence[Service], seed: int) -> None:
        self._scenario = scenario
        self._contender = contender
        self._services = services
        self._seed = seed
        self._prices: dict[str, float] = {}
        self.every = [self._make(number) for number in range(scenario.workers)]
        edges = {at for one in scenario.faults if one.price != 1.0 for at in (one.since, one.until)}
        if scenario.lost is not None:
            edges.update(scenario.lost[1:])
        if scenario.shared:
            edges.update(float(at) for at in range(1, int(scenario.duration_s) + 1))
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
            for worker in self.every:
                worker.live.swap(self._snapshot(None))
        if self._scenario.shared:
            self._exchange(now)
        lost: list[Request] = []
        if self._scenario.lost is not None:
            number, since, until = self._scenario.lost
            worker = self.every[number]
            if now == since:
                worker.is_up = False
                lost = list(worker.requests.values())
            elif now == until:
                fresh = self.every[number] = self._make(number)
                if self._scenario.shared:
                    fresh.live.paces.adopt(self.every[number - 1].live.paces.whole(now), now)
        return lost

    def _exchange(self, now: float) -> None:
        """Give each worker what the others have learned since the last time, as control does each second."""
        up = [one for one in self.every if one.is_up]
        for one in up:
            delta = one.live.paces.take_delta(now)
            if delta is not None:
                for other in up:
                    if other is not one:
                        other.live.paces.merge(delta, now)

    def _make(self, number: int) -> Worker:
        contender, scenario = self._contender, self._scenario
        rng = rng_of(self._seed, number)
        if contender.snapshot is not None:
            routes = {(one.spec.name, route.key.name): route for one in self._services for route in one.routes}
            return Worker(Live(contender.snapshot), rng, routes, None)
        if contender.policy is None:
            live = Live(self._snapshot(None))
            if scenario.shared:
                live.paces.share(number)
            return Worker(live, rng, routes_of(self._services), None)
        routes = routes_of(self._services, apart=True)
        policy = contender.policy(list(routes.values()), rng)
        if isinstance(policy, Oracle):
            policy.usd_s = scenario.usd_s
        ranked = Ranked(policy, {name: place for place, (name, _) in enumerate(routes)}, _NOTHING)
        return Worker(LiveWithoutHealth(self._snapshot(ranked)), rng, routes, ranked)

    def _snapshot(self, ranked: Ranked | None) -> Snapshot:
        providers = self._scenario.providers
        routing = self._contender.routing(ranked)
        return snapshot_of(
            providers, routing, apart=ranked is not None, prices=self._prices, budget=self._scenario.budget
        )
