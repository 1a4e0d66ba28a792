"""The adaptive strategy without one of its parts, in random worlds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf

from pointsman.routing import estimates, load, pace
from pointsman.routing.strategies import adaptive
from pointsman.simulate.worlds.compare import CONTENDERS, Regrets, regrets_of
from pointsman.simulate.worlds.world import Scenario

# Parts of `adaptive`, as attributes of its modules and values that switch them off.
PARTS: Mapping[str, Sequence[tuple[object, str, object]]] = {
    "overdue attempts": [(pace, "FEWEST_OVERDUE", 10**9)],
    "change detection": [(pace, "CHANGED", inf)],
    "forgiveness after an outage": [(pace, "DOWN", 10**9)],
    "probes": [(pace.Pace, "wants_probe", lambda *_: False), (pace.Pace, "wants_look", lambda *_: False)],
    "patience": [(adaptive, "LEAST_PATIENCE_S", 10**9)],
    "noise": [(estimates, "NOISE", 0.0)],
    "first look": [(adaptive, "FIRST_LOOK", 10**9)],
    "load": [(load.Load, "slope", lambda *_: 0.0)],
    "failures": [(pace.Pace, "failure_share", lambda _: 0.0)],
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """Switch off a part for some time."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in PARTS[part]]
    for owner, name, value in PARTS[part]:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def ablation(worlds: Sequence[Scenario], note: Callable[[str], None] | None = None) -> dict[str, Regrets]:
    """Return the regrets of `adaptive` as a whole, under an empty name, and without each part."""
    every = [CONTENDERS["adaptive"]]
    found = {"": regrets_of(worlds, every)["adaptive"]}
    for part in PARTS:
        with without(part):
            found[part] = regrets_of(worlds, every)["adaptive"]
        if note is not None:
            note(part)
    return found
