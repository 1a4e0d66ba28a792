"""The parts of a worker that every request uses."""

from random import Random

from msgspec import Struct, field

from pointsman.engine.billing import Billing
from pointsman.engine.bodies import BodyWriter
from pointsman.engine.counting import PromptCounter
from pointsman.engine.credentials import Credentials
from pointsman.engine.limit_headers import LimitHeaders
from pointsman.engine.live import Live
from pointsman.engine.ownership import Ownership
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.tasks import EagerTask
from pointsman.engine.upstreams import Upstreams
from pointsman.money.usage import UsedAmounts


class Engine(Struct, frozen=True, kw_only=True, eq=False):
    """The shared parts, each with its own state."""

    live: Live
    upstreams: Upstreams
    request_metrics: RequestMetrics
    billing: Billing
    rng: Random
    ownership: Ownership = field(default_factory=Ownership)
    amounts: UsedAmounts | None = None  # absent: those of `live` are known at once
    limit_headers: LimitHeaders = field(default_factory=LimitHeaders)
    prompts: PromptCounter = field(default_factory=PromptCounter)
    credentials: Credentials = field(default_factory=Credentials)
    bodies: BodyWriter = field(default_factory=BodyWriter)
    copies: set[EagerTask] = field(default_factory=set)  # of requests, for mirrors, in progress
