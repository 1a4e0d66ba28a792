"""The compiled configuration: immutable, swapped whole; a request keeps the one it began with."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from msgspec import Struct

from pointsman.domain.access import Access
from pointsman.domain.identity import KeyTable, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.prices import Catalog, NoCatalog, Price, ToolPrice
from pointsman.domain.targets import Candidate, Endpoint, Strategy


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds. `commit_s` bounds a request until its answer commits, `stall_s` the silence inside a committed
    stream, `stream_s` a committed stream as a whole, `queue_s` the wait for a quota to free. `stream_head_s` bounds an
    attempt at a stream until its head, while another candidate is left; `response_s` an attempt at an answer that is
    not streamed."""

    connect_s: float = 5.0
    commit_s: float = 600.0
    stall_s: float = 60.0
    stream_s: float = 3600.0
    queue_s: float = 5.0
    stream_head_s: float = 30.0
    response_s: float | None = None


# The failures that a declared fallback can be for; `failover.cause_of` tells which one a failure is.
FALLBACK_CAUSES = (
    "provider",
    "quota",
    "credential",
    "context_length",
    "model_missing",
    "content_filter",
    "refusal",
    "unsupported",
)


class Failover(Struct, frozen=True):
    """How one candidate takes over from another. `fallback_on` are the failures that open declared fallbacks;
    `first_token_s` bounds an attempt at a stream until its first content, while another candidate is left."""

    fallback_on: frozenset[str] = frozenset(FALLBACK_CAUSES[:5])
    first_token_s: float | None = None


class HealthLimits(Struct, frozen=True):
    """The circuit breaker: how many failures in a row open it, and the most seconds it stays open after a failure that
    shows at once, and after one that keeps its request waiting."""

    failures: int = 3
    max_block_s: float = 15.0
    max_block_hanging_s: float = 60.0


class Routing(Struct, frozen=True, kw_only=True):
    """How requests are routed: by default, or for one public name. `commit_buffer` is in bytes, and so is
    `event_bytes`, the longest event of a stream. `response_model` says which model an answer names: the one that
    `served` it, or the one that was `requested`. `state_days` is how long it is known what providers keep for whom;
    `unowned_state` says what becomes of requests for what is not known, `refuse` or `allow`, `None` being as keys are
    required or not."""

    strategy: Strategy = Strategy("priority")
    max_attempts: int = 5
    timeouts: Timeouts = Timeouts()
    commit_buffer: int = 8 * 1024 * 1024
    failover: Failover = Failover()
    response_model: str = "served"
    health: HealthLimits = HealthLimits()
    event_bytes: int = 32 * 1024 * 1024
    state_days: float = 30.0
    unowned_state: str | None = None


class PublicModel(Struct, frozen=True, kw_only=True, eq=False):
    """A name that can be asked for: what it stands for, in order of mention. `strategy` is `None` where `routing`
    decides. `fallbacks` are the declared ones, then other providers of the same models. `source` says where a name is
    from that the configuration does not list. `routing` is given where the name has settings of its own."""

    name: str
    targets: tuple[Candidate, ...]
    fallbacks: tuple[Candidate, ...] = ()
    strategy: Strategy | None = None
    source: str = ""
    routing: Routing | None = None


class PriceOverride(Struct, frozen=True, kw_only=True, eq=False):
    """Terms that replace the catalog's for the models that `model`, a shell-style pattern of `provider/model`, matches:
    for one owner, such as `team:research`, where `owner` is given. `output` is the most tokens an answer can have,
    `context` the most that its model can read, and `tools` are what single tools of the provider cost."""

    model: str
    owner: str | None = None
    price: Price | None = None
    output: int | None = None
    context: int | None = None
    tools: dict[str, ToolPrice] = {}


class Pricing(Struct, frozen=True, eq=False):
    """What things cost. `unknown` says whether a model without a known price may be used where no budget is at stake:
    `allow-and-flag` or `deny`. The first of `overrides` that fits best holds, see `money.terms`."""

    unknown: str = "allow-and-flag"
    overrides: tuple[PriceOverride, ...] = ()
    catalog: Catalog = NoCatalog()


class Names(Struct, frozen=True, eq=False):
    """What names that the configuration does not list are resolved with. `siblings` says whether other providers of
    the same model stand in for a bare name."""

    endpoints: dict[str, Endpoint]
    catalog: Catalog
    siblings: bool = True


# The headers that carry a virtual key by default, in the order they are looked at.
KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class Snapshot(Struct, frozen=True, kw_only=True, dict=True, weakref=True):  # its router is kept in its `__dict__`
    """Everything the data plane knows of the configuration. `digest` identifies it in logs and in `/readyz`.
    `near_limit` says what becomes of a request that fits only with a shorter answer: `refuse` or `shorten`.
    `default_provider` gets what names neither a model nor anything that is known to be kept somewhere. `limit_headers`
    says whether answers tell what is left of limits."""

    digest: str
    endpoints: dict[str, Endpoint]
    models: dict[str, PublicModel]
    virtual_keys: Mapping[bytes, VirtualKey]  # by digest
    require_key: bool = True
    routing: Routing = Routing()
    key_headers: tuple[str, ...] = KEY_HEADERS
    pricing: Pricing = Pricing()
    names: Names | None = None  # absent: of `endpoints` alone
    shared_limits: tuple[Limit, ...] = ()  # of teams and customers, where keys are made when they are asked for
    near_limit: str = "refuse"
    default_provider: str | None = None
    access: Access = Access()
    limit_headers: bool = False


NO_SNAPSHOT = Snapshot(digest="", endpoints={}, models={}, virtual_keys={})


def allows_unowned(snapshot: Snapshot) -> bool:
    """Whether things may be asked for of which nobody knows who made them."""
    stated = snapshot.routing.unowned_state
    return stated == "allow" if stated is not None else not snapshot.require_key


def is_listed(snapshot: Snapshot, provider: str, model: str) -> bool:
    """Whether the configuration or the catalog names this model of a provider, as against a client alone."""
    endpoint = snapshot.endpoints.get(provider)
    if endpoint is None:
        return False
    if model in endpoint.serves or snapshot.pricing.catalog.find(endpoint.catalog, model) is not None:
        return True
    name = f"{provider}/{model}"
    return any(item.id == name for one in snapshot.models.values() for item in (*one.targets, *one.fallbacks))


def limits_of(snapshot: Snapshot) -> Iterator[Limit]:
    """Every limit of a configuration, those of teams and customers once for each of their keys."""
    for endpoint in snapshot.endpoints.values():
        yield from endpoint.limits
    for key in snapshot.virtual_keys.values():
        yield from key.limits
        for entry in key.entries.values():
            yield from entry.limits


def limits_told(snapshot: Snapshot, most: int) -> list[Limit]:
    """The limits that are listed one by one, each once: all of them, or `most`. Where keys are made when they are asked
    for, those of providers, teams and customers alone."""
    if isinstance(snapshot.virtual_keys, KeyTable):
        limits = chain(
            (one for endpoint in snapshot.endpoints.values() for one in endpoint.limits), snapshot.shared_limits
        )
    else:
        limits = chain(limits_of(snapshot))
    return list(islice({limit.counter: limit for limit in limits}.values(), most))


def counters_of(snapshot: Snapshot) -> Mapping[str, Limit]:
    """Every limit of a configuration by the name of its counter."""
    keys = snapshot.virtual_keys
    if not isinstance(keys, KeyTable):
        return {limit.counter: limit for limit in limits_of(snapshot)}
    known = [limit for endpoint in snapshot.endpoints.values() for limit in endpoint.limits]
    return _Counters({limit.counter: limit for limit in (*known, *snapshot.shared_limits)}, snapshot, keys)


class _Counters(Mapping[str, Limit]):
    """Limits of a table of keys: those of a key are looked up when they are asked for."""

    def __init__(self, known: dict[str, Limit], snapshot: Snapshot, keys: KeyTable) -> None:
        self._known = known
        self._snapshot = snapshot
        self._keys = keys

    def get(self, counter: str, default: Limit | None = None) -> Limit | None:  # type: ignore[override]
        return self._known.get(counter) or self._keys.limit(counter) or default

    def __getitem__(self, counter: str) -> Limit:
        found = self.get(counter)
        if found is None:
            raise KeyError(counter)
        return found

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for limit in limits_of(self._snapshot):
            if limit.counter not in seen:
                seen.add(limit.counter)
                yield limit.counter

    def __len__(self) -> int:
        return sum(1 for _ in self)
