"""The routers of a comparison: strategies of the production core, and policies that rank routes within it."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.snapshots import Hedging, Racing, Routing, Snapshot, Timeouts
from pointsman.domain.targets import Candidate, ProviderKey, Strategy
from pointsman.engine.live import Live
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.strategies import STRATEGIES, StrategyKind, adaptive
from pointsman.routing.view import RandomSource, View
from pointsman.simulate.worlds.fleet import NAME
from pointsman.simulate.worlds.policies.base import Policy
from pointsman.simulate.worlds.world import Arrival

DEADLINE_S = 30.0  # to the first content; a request without any by then has failed
RANKED = "ranked-by-a-policy"  # the name of the strategy that a policy becomes


class Contender(Struct, frozen=True, kw_only=True):
    """A router. It is a strategy of the production core, or a policy. `duplicates` and `racing` are those of the core.
    With a `snapshot`, a configuration of its own decides on everything, for requests that name `model`."""

    name: str
    strategy: Strategy | None = None
    policy: type[Policy] | None = None
    duplicates: Hedging | None = None
    racing: Racing | None = None
    snapshot: Snapshot | None = None
    model: str = NAME

    def routing(self, ranked: "Ranked | None" = None) -> Routing:
        """Return the settings of a simulated configuration."""
        if ranked is not None:
            return Routing(
                strategy=Strategy(RANKED, ranked),
                max_attempts=ranked.policy.attempts,
                timeouts=Timeouts(commit_s=DEADLINE_S, queue_s=DEADLINE_S),
            )
        assert self.strategy is not None
        return Routing(
            strategy=self.strategy, timeouts=Timeouts(commit_s=DEADLINE_S), hedging=self.duplicates, racing=self.racing
        )


class Ranked(Struct):
    """The settings of the strategy that a policy becomes: the places of candidates among its routes, and the request
    that is being decided on."""

    policy: Policy
    places: dict[str, int]
    request: Arrival


def _ranked(candidates: tuple[Candidate, ...], settings: Ranked) -> Order:
    by_place = {settings.places[item.id]: item for item in candidates}

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:  # noqa: ARG001
        policy, request = settings.policy, settings.request
        ranking = [place for place in policy.rank(request, now) if place in by_place]
        patience = policy.patience(request, now, ranking)
        return Ordered(
            tuple([by_place[place] for place in ranking]),
            patience={by_place[place].id: limit_s for place, limit_s in patience.items()},
        )

    return order


@contextmanager
def ranked_strategy() -> Iterator[None]:
    """Let the production core know policies as a strategy, only for the time of a simulation."""
    STRATEGIES[RANKED] = StrategyKind(_ranked, Ranked, learns=True)  # type: ignore[arg-type]
    try:
        yield
    finally:
        STRATEGIES.pop(RANKED, None)


class LiveWithoutHealth(Live):
    """The live state for a policy: only attempts in progress are counted, since the policy has its own knowledge."""

    def finish(
        self,
        candidate: Candidate,
        key: ProviderKey,  # noqa: ARG002
        failure: Failure | None,  # noqa: ARG002
        now: float,  # noqa: ARG002
        **facts: object,  # noqa: ARG002
    ) -> None:
        count = self.in_progress[candidate.id] - 1
        if count:
            self.in_progress[candidate.id] = count
        else:
            del self.in_progress[candidate.id]


def production(name: str, settings: Struct | None = None, duplicates: Hedging | None = None) -> Contender:
    """Return the contender of a strategy of the production core."""
    label = name if duplicates is None else f"{name}+hedge"
    return Contender(name=label, strategy=Strategy(name, settings), duplicates=duplicates)


def adaptive_contender(policy: str = "latency", duplicates: Hedging | None = None) -> Contender:
    """Return the adaptive strategy. In worlds that count only time, its policy is `latency`."""
    return production("adaptive", adaptive.AdaptiveSettings(policy=policy), duplicates)  # type: ignore[arg-type]


def is_adaptive(contender: Contender) -> bool:
    """Return whether a router is the adaptive strategy, with or without duplicates."""
    return contender.strategy is not None and contender.strategy.name == "adaptive"


def rng_of(seed: int, worker: int) -> Random:
    """Return the random source of a worker."""
    return Random(seed * 101 + worker)
