"""Random worlds by seed: three to six providers with one or two keys, and two to five random faults.

No constant of a router may be chosen on the seeds of a published table: use those below 1,000 to tune, and others to
report.
"""

from collections.abc import Callable
from math import exp, log
from random import Random

from pointsman.simulate.worlds.world import Fault, Key, Profile, Provider, Scenario, Traffic

DURATION_S = 600.0
_TOKENS = 2300  # per request, in the limits of keys
PROFILES: tuple[Profile, Profile] = ("code", "conversation")


def random_world(seed: int) -> Scenario:
    """Return the world of a seed."""
    rng = Random(70_000 + seed)
    rate = rng.choice([1.5, 3.0, 6.0, 10.0])
    providers = tuple([_provider(rng, f"p{number}", rate) for number in range(1, rng.randint(3, 6) + 1)])
    faults = tuple([_fault(rng, rng.choice(providers).name) for _ in range(rng.randint(2, 5))])
    traffic = Traffic(rate=rate, profile=PROFILES[seed % 2])
    return Scenario(name=f"world {seed}", providers=providers, traffic=traffic, faults=faults, duration_s=DURATION_S)


def _provider(rng: Random, name: str, rate: float) -> Provider:
    count = rng.choice([1, 1, 2])
    requests = _spread(rng, 0.5, 4.0) * rate * 60 / count
    keys = tuple([Key(f"k{number}", requests, requests * _TOKENS) for number in range(1, count + 1)])
    concurrency = rng.choice([400.0, 400.0, max(6.0, rate * 3)])
    return Provider(
        name=name, first_s=_spread(rng, 0.2, 1.2), prompt_token_s=_spread(rng, 4e-5, 2e-4),
        token_s=_spread(rng, 0.008, 0.03), usd_in=_spread(rng, 0.3, 4.0), usd_out=_spread(rng, 0.6, 16.0),
        sigma=rng.uniform(0.25, 0.6), tail=rng.uniform(0.005, 0.03), keys=keys, concurrency=concurrency,
        type="openai" if concurrency == 400 else "vllm",
    )  # fmt: skip


def _fault(rng: Random, provider: str) -> Fault:
    since = rng.uniform(60.0, 480.0)
    until = since + _spread(rng, 10.0, 200.0)
    kinds: list[Callable[[], Fault]] = [
        lambda: Fault(provider=provider, since=since, until=until, factor=_spread(rng, 1.5, 8.0)),
        lambda: Fault(provider=provider, since=since, until=until, errors=rng.uniform(0.05, 0.9)),
        lambda: Fault(provider=provider, since=since, until=until, refuses=True),
        lambda: Fault(provider=provider, since=since, until=until, hangs=True),
        lambda: Fault(provider=provider, since=since, until=until, limits=rng.uniform(0.05, 0.5)),
        lambda: Fault(provider=provider, since=since, until=until, factor=2.0, errors=0.2),
    ]
    return rng.choice(kinds)()


def _spread(rng: Random, low: float, high: float) -> float:
    return exp(rng.uniform(log(low), log(high)))
