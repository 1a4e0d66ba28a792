"""The curated scenarios: four providers, of which the best one has a fault from 150 to 450 s of 600 s.

The best provider has two of five keys. The last one is a small self-hosted engine: fast while it is idle, and slow
beyond eight answers at once.
"""

from msgspec.structs import replace

from pointsman.simulate.worlds.world import Budget, Burst, Fault, Key, Provider, Scenario, Traffic

BEST = "p1"
FLEET = (
    Provider(
        name=BEST, first_s=0.35, prompt_token_s=60e-6, token_s=0.012, usd_in=3.0, usd_out=15.0, concurrency=400,
        keys=(Key("k1", 300, 450_000), Key("k2", 300, 450_000)),
    ),
    Provider(
        name="p2", first_s=0.55, prompt_token_s=80e-6, token_s=0.015, usd_in=2.5, usd_out=10.0, concurrency=300,
        keys=(Key("k1", 450, 700_000),),
    ),
    Provider(
        name="p3", first_s=0.90, prompt_token_s=120e-6, token_s=0.025, usd_in=1.0, usd_out=4.0, concurrency=400,
        keys=(Key("k1", 2000, 3_000_000),),
    ),
    Provider(
        name="p4", type="vllm", first_s=0.30, prompt_token_s=200e-6, token_s=0.018, usd_in=0.6, usd_out=0.6,
        concurrency=14, keys=(Key("k1", 6000, 9_000_000),),
    ),
)  # fmt: skip


_TRAFFIC = Traffic()


def _scenario(name: str, *faults: Fault, traffic: Traffic = _TRAFFIC) -> Scenario:
    return Scenario(name=name, providers=FLEET, traffic=traffic, faults=faults, watched=BEST if faults else "")


_OUTAGE = Fault(provider=BEST, refuses=True)
_SPARSE = Scenario(
    name="sparse", providers=FLEET, traffic=Traffic(rate=0.1), watched=BEST, duration_s=6000.0,
    faults=(Fault(provider=BEST, refuses=True, since=1500.0, until=4500.0),),
)  # fmt: skip
_SLOWER = Fault(provider=BEST, factor=4.0)

_EVERY = (
    _scenario("steady"),
    _scenario("latency x4", _SLOWER),
    _scenario("brown-out 30 %", Fault(provider=BEST, errors=0.3)),
    _scenario("outage", _OUTAGE),
    _scenario("black hole", Fault(provider=BEST, hangs=True)),
    _scenario("429 storm", Fault(provider=BEST, limits=0.12)),
    _scenario(
        "slow recovery",
        Fault(provider=BEST, refuses=True, until=300.0),
        Fault(provider=BEST, errors=0.5, factor=3.0, since=300.0, fades=True),
    ),
    _scenario("flapping 10 s", replace(_OUTAGE, period_s=10.0)),
    _scenario("correlated", Fault(factor=2.5, errors=0.05)),
    _scenario("burst x5", traffic=Traffic(bursts=(Burst(200.0, 230.0, 5.0),))),
    _SPARSE,
    replace(_scenario("price x4", Fault(provider=BEST, price=4.0)), usd_s=100.0),
    _scenario("revoked key", Fault(provider=BEST, key="k1", revoked=True)),
    _scenario("one key throttled", Fault(provider=BEST, key="k1", limits=0.1)),
    _scenario("slow tokens", Fault(provider=BEST, tokens=6.0), traffic=Traffic(whole=0.5)),
    _scenario("lying headers", Fault(provider=BEST, limits=0.25, headers="lying")),
    _scenario("no headers", Fault(provider=BEST, limits=0.25, headers="absent")),
    _scenario("clock skew", Fault(provider=BEST, limits=0.25, clock_s=120.0)),
    replace(_scenario("budget exhausted"), budget=Budget(BEST, 8.0)),
    replace(_scenario("4 workers", _SLOWER), workers=4),
    replace(_scenario("4 workers that share", _SLOWER), workers=4, shared=True),
    replace(_scenario("a lost worker", _SLOWER), workers=4, shared=True, lost=(1, 250.0, 300.0)),
)
SCENARIOS = {one.name: one for one in _EVERY}
"""The scenarios by name."""
OF_CONFIGURATIONS = tuple([one.name for one in _EVERY if one.budget is None])
"""The names of those that have an effect on any configuration."""
