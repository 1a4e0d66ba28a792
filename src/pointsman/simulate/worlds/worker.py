"""One worker of a run, and its requests in progress."""

from random import Random

from pointsman.domain.calls import Call
from pointsman.domain.dollars import nano_of
from pointsman.domain.plans import Exclusion, Plan, Progress, Try
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger
from pointsman.money.terms import known_terms
from pointsman.routing.paces import Tried
from pointsman.simulate.worlds.arrivals import MOST_OUT
from pointsman.simulate.worlds.contender import Ranked
from pointsman.simulate.worlds.fleet import Routes
from pointsman.simulate.worlds.physics import Outcome, Route
from pointsman.simulate.worlds.world import Arrival


class Request:
    """A request in progress. `wakes` counts its steps, so that an old timer has no effect. `name` is its id. A client
    that sends its request again to another worker gets a new one, with the same `index`."""

    __slots__ = (
        "arrival", "attempts", "call", "index", "is_done", "name", "plan", "progress", "running", "tries", "wakes",
        "worker",
    )  # fmt: skip

    def __init__(self, index: int, arrival: Arrival, name: str = "") -> None:
        self.index = index
        self.name = name or str(index)
        self.arrival = arrival
        self.attempts = 0
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

    def __init__(
        self, live: Live, rng: Random, routes: Routes, ledger: Ledger, *, ranked: Ranked | None = None
    ) -> None:
        self.live = live
        self.rng = rng
        self.routes = routes
        self.ledger = ledger
        self.ranked = ranked
        self.is_up = True
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
