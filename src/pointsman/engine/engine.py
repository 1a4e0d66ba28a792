"""The parts of a worker that every request uses."""

from random import Random

from msgspec import Struct, field

from pointsman.engine.billing import Billing
from pointsman.engine.live import Live
from pointsman.engine.ownership import Ownership
from pointsman.engine.remains import Remains
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.upstreams import Upstreams


class Engine(Struct, frozen=True, kw_only=True, eq=False):
    """The shared parts, each with its own state."""

    live: Live
    upstreams: Upstreams
    request_metrics: RequestMetrics
    billing: Billing
    rng: Random
    ownership: Ownership = field(default_factory=Ownership)
    remains: Remains = field(default_factory=Remains)
