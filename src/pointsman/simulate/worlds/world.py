"""A simulated world as data: providers with their keys, the traffic, and the faults of some of them.

Times are seconds, rates are per minute, and prices are dollars per million tokens.
"""

from collections.abc import Sequence
from math import inf
from typing import Literal

from msgspec import Struct

Headers = Literal["truthful", "absent", "lying"]
Profile = Literal["conversation", "code"]


class Key(Struct, frozen=True):
    """A key of a provider with its limits per minute. The provider grants ten seconds of them at once."""

    name: str
    requests: float = inf
    tokens: float = inf
    weight: float = 1.0


class Provider(Struct, frozen=True, kw_only=True):
    """A provider with one model.

    The time to the first content is `first_s + prompt_token_s · prompt`, lognormal with `sigma`, and a share `tail` of
    the requests takes up to twelve times as long. Each token of the answer takes `token_s`. Beyond 60 % of
    `concurrency` answers in progress, everything gets slower. A share `errors` of the requests fails. `type` is the
    kind of its API in a configuration. `headers` says how its answers report the limits."""

    name: str
    first_s: float
    prompt_token_s: float = 6e-5
    token_s: float = 0.015
    usd_in: float = 1.0
    usd_out: float = 4.0
    concurrency: float = 400.0
    keys: tuple[Key, ...] = (Key("k1"),)
    sigma: float = 0.35
    tail: float = 0.015
    errors: float = 0.002
    type: str = "openai"
    headers: Headers = "truthful"
    weight: float = 1.0


class Fault(Struct, frozen=True, kw_only=True):
    """A change of a provider, or of one of its keys, between two times. An empty name means every provider.

    `factor` multiplies the time to the first content, `tokens` that for each token of the answer, `limits` the rate
    limits, and `price` the prices. A share `errors` of the requests fails. A provider that `refuses` fails at once, and
    one that `hangs` never answers. A `revoked` key is rejected. With `period_s` the fault is on and off in turn. A
    fault that `fades` gets linearly weaker. The clock of the provider is `clock_s` ahead."""

    provider: str = ""
    key: str = ""
    since: float = 150.0
    until: float = 450.0
    factor: float = 1.0
    errors: float = 0.0
    refuses: bool = False
    hangs: bool = False
    revoked: bool = False
    tokens: float = 1.0
    limits: float = 1.0
    price: float = 1.0
    headers: Headers | None = None
    clock_s: float = 0.0
    period_s: float = 0.0
    fades: bool = False

    def strength(self, now: float) -> float:
        """Return the present strength of the fault, from 0 to 1."""
        if not self.since <= now < self.until:
            return 0.0
        if self.period_s and int((now - self.since) // self.period_s) % 2:
            return 0.0
        return (self.until - now) / (self.until - self.since) if self.fades else 1.0


class Arrival(Struct, frozen=True, gc=False):
    """A request of a client: the time of its arrival, the tokens of its prompt and of its answer, and whether it asks
    for a stream."""

    at: float
    tokens_in: int
    tokens_out: int
    stream: bool = True


class Burst(Struct, frozen=True):
    """A time in which `factor` times as many requests arrive."""

    since: float
    until: float
    factor: float


class Traffic(Struct, frozen=True, kw_only=True):
    """Requests arrive at random, `rate` a second. `profile` selects the lengths of prompts and answers. A share
    `whole` of the answers is not streamed."""

    rate: float = 8.0
    profile: Profile = "conversation"
    bursts: tuple[Burst, ...] = ()
    whole: float = 0.0


class Budget(Struct, frozen=True):
    """A budget of the gateway for one provider, in dollars an hour. Runs begin with the hour."""

    provider: str
    usd: float


class Scenario(Struct, frozen=True, kw_only=True):
    """Providers, traffic and faults. `watched` is the provider whose share of the requests shows when it is left and
    used again. With `usd_s` seconds for a dollar, costs count as time in the regret. `workers` share the traffic; if
    they are `shared`, they exchange their knowledge each second. The worker `lost` ends at its first time and starts
    anew at its second one. An answer that takes longer than `slo_s` to its first content misses its objective."""

    name: str
    providers: tuple[Provider, ...]
    traffic: Traffic = Traffic()
    faults: tuple[Fault, ...] = ()
    duration_s: float = 600.0
    watched: str = ""
    usd_s: float = 0.0
    workers: int = 1
    shared: bool = False
    lost: tuple[int, float, float] | None = None
    budget: Budget | None = None
    slo_s: float = 2.0

    @property
    def window(self) -> tuple[float, float] | None:
        """The time of the fault of the watched provider, if there is one."""
        times = [(one.since, one.until) for one in self.faults if one.provider in ("", self.watched)]
        if not self.watched or not times:
            return None
        return min(since for since, _ in times), max(until for _, until in times)


class Trace(Struct, frozen=True):
    """Recorded arrivals, in order. `name` is that of the file."""

    name: str
    arrivals: Sequence[Arrival]
