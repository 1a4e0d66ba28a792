"""Small worlds for the tests of the simulator."""

from pointsman.simulate.worlds.world import Fault, Key, Provider, Scenario, Traffic

PROVIDERS = (
    Provider(name="p1", first_s=0.3, keys=(Key("k1"), Key("k2"))),
    Provider(name="p2", first_s=0.5),
    Provider(name="p3", first_s=0.8),
)


def fault_of(provider: str, since: float = 30.0, until: float = 60.0, **given: object) -> Fault:
    return Fault(provider=provider, since=since, until=until, **given)  # type: ignore[arg-type]


def small(*faults: Fault, duration_s: float = 90.0, rate: float = 6.0, **given: object) -> Scenario:
    """Return a world of three providers for 90 seconds."""
    traffic = given.pop("traffic", Traffic(rate=rate))
    return Scenario(
        name="small", providers=PROVIDERS, traffic=traffic, faults=faults, duration_s=duration_s,  # type: ignore[arg-type]
        watched="p1" if faults else "", **given,  # type: ignore[arg-type]
    )  # fmt: skip
