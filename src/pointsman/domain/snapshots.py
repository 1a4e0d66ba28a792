"""The compiled configuration: immutable and replaced as a whole. A request keeps the one it began with."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from msgspec import Struct

from pointsman.domain.access import Access
from pointsman.domain.identity import KeyTable, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.prices import Catalog, NoCatalog, Price, ToolPrice
from pointsman.domain.targets import Candidate, Endpoint, Strategy


class Timeouts(Struct, frozen=True, kw_only=True):
    """Timeouts in seconds. `commit_s` bounds a request until its answer commits. `stall_s` bounds the silence inside a
    committed stream, `stream_s` a committed stream as a whole, and `queue_s` the wait for quota. `stream_head_s` bounds
    an attempt at a stream until its head, while another candidate is left. `response_s` bounds an attempt at an answer
    that is not streamed."""

    connect_s: float = 5.0
    commit_s: float = 600.0
    stall_s: float = 60.0
    stream_s: float = 3600.0
    queue_s: float = 5.0
    stream_head_s: float = 30.0
    response_s: float | None = None


# The failures that a declared fallback can be for; `failover.cause_of` maps each failure to one of them.
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
    """Settings of the change from one candidate to another. `fallback_on` are the failures that open declared
    fallbacks. `first_token_s` bounds an attempt at a stream until its first content, while another candidate is
    left."""

    fallback_on: frozenset[str] = frozenset(FALLBACK_CAUSES[:5])
    first_token_s: float | None = None


class HealthLimits(Struct, frozen=True):
    """The settings of the circuit breaker. They are the failures in a row that open it, and the most seconds it stays
    open. The seconds differ for immediate failures and for those that keep a request waiting."""

    failures: int = 3
    max_block_s: float = 15.0
    max_block_hanging_s: float = 60.0


class Routing(Struct, frozen=True, kw_only=True):
    """Routing settings: the default ones, or those of one public name. `commit_buffer` is in bytes, and so is
    `event_bytes`, the longest event of a stream. `response_model` selects the model that an answer names: the one that
    `served` it, or the one that was `requested`. `state_days` is how long the owners of stored objects are known.
    `unowned_state` is `refuse` or `allow`, for requests about objects without a known owner. `None` follows from the
    requirement for keys."""

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
    """A public name and its targets, in the order of the configuration. `strategy` is `None` if `routing` decides.
    `fallbacks` are the declared ones, then other providers of the same models. `source` is the origin of a name that
    the configuration does not list. `routing` is set if the name has settings of its own."""

    name: str
    targets: tuple[Candidate, ...]
    fallbacks: tuple[Candidate, ...] = ()
    strategy: Strategy | None = None
    source: str = ""
    routing: Routing | None = None


class PriceOverride(Struct, frozen=True, kw_only=True, eq=False):
    """Terms that replace the catalog's. `model` is a shell-style pattern of `provider/model`. With `owner`, such as
    `team:research`, they hold for that owner alone. `output` is the most tokens an answer can have, `context` the most
    tokens that its model can read. `tools` are the prices of single tools of the provider."""

    model: str
    owner: str | None = None
    price: Price | None = None
    output: int | None = None
    context: int | None = None
    tools: dict[str, ToolPrice] = {}


class Pricing(Struct, frozen=True, eq=False):
    """Price settings. `unknown` decides on a model without a known price if no budget is at stake: `allow-and-flag` or
    `deny`. The first of the best matches in `overrides` holds, see `money.terms`."""

    unknown: str = "allow-and-flag"
    overrides: tuple[PriceOverride, ...] = ()
    catalog: Catalog = NoCatalog()


class Names(Struct, frozen=True, eq=False):
    """The data that resolves names which the configuration does not list. With `siblings`, other providers of the same
    model stand in for a bare name."""

    endpoints: dict[str, Endpoint]
    catalog: Catalog
    siblings: bool = True


# The headers that carry a virtual key by default, in the order of the search.
KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class Snapshot(Struct, frozen=True, kw_only=True, dict=True, weakref=True):  # its router is kept in its `__dict__`
    """The configuration of the data plane. `digest` identifies it in logs and in `/readyz`. `near_limit` decides on a
    request that fits only with a shorter answer: `refuse` or `shorten`. `default_provider` gets requests that name
    neither a model nor a known stored object. `limit_headers` adds the remaining amounts of limits to answers."""

    digest: str
    endpoints: dict[str, Endpoint]
    models: dict[str, PublicModel]
    virtual_keys: Mapping[bytes, VirtualKey]  # by digest
    require_key: bool = True
    routing: Routing = Routing()
    key_headers: tuple[str, ...] = KEY_HEADERS
    pricing: Pricing = Pricing()
    names: Names | None = None  # absent: of `endpoints` alone
    shared_limits: tuple[Limit, ...] = ()  # of teams and customers, if keys are made at their first use
    near_limit: str = "refuse"
    default_provider: str | None = None
    access: Access = Access()
    limit_headers: bool = False


NO_SNAPSHOT = Snapshot(digest="", endpoints={}, models={}, virtual_keys={})


def allows_unowned(snapshot: Snapshot) -> bool:
    """Return whether requests may use objects without a known owner."""
    setting = snapshot.routing.unowned_state
    return setting == "allow" if setting is not None else not snapshot.require_key


def is_listed(snapshot: Snapshot, provider: str, model: str) -> bool:
    """Return whether the configuration or the catalog names this model of a provider, not only a client."""
    endpoint = snapshot.endpoints.get(provider)
    if endpoint is None:
        return False
    if model in endpoint.serves or snapshot.pricing.catalog.find(endpoint.catalog, model) is not None:
        return True
    name = f"{provider}/{model}"
    return any(item.id == name for one in snapshot.models.values() for item in (*one.targets, *one.fallbacks))


def limits_of(snapshot: Snapshot) -> Iterator[Limit]:
    """Yield every limit of a configuration. Those of teams and customers come once for each of their keys."""
    for endpoint in snapshot.endpoints.values():
        yield from endpoint.limits
    for key in snapshot.virtual_keys.values():
        yield from key.limits
        for entry in key.entries.values():
            yield from entry.limits


def limits_told(snapshot: Snapshot, most: int) -> list[Limit]:
    """Return the limits to list one by one, each once: all of them, or `most`. If keys are made at their first use,
    only those of providers, teams and customers are listed."""
    if isinstance(snapshot.virtual_keys, KeyTable):
        limits = chain(
            (one for endpoint in snapshot.endpoints.values() for one in endpoint.limits), snapshot.shared_limits
        )
    else:
        limits = chain(limits_of(snapshot))
    return list(islice({limit.counter: limit for limit in limits}.values(), most))


def counters_of(snapshot: Snapshot) -> Mapping[str, Limit]:
    """Return every limit of a configuration by the name of its counter."""
    keys = snapshot.virtual_keys
    if not isinstance(keys, KeyTable):
        return {limit.counter: limit for limit in limits_of(snapshot)}
    known = [limit for endpoint in snapshot.endpoints.values() for limit in endpoint.limits]
    return _Counters({limit.counter: limit for limit in (*known, *snapshot.shared_limits)}, snapshot, keys)


class _Counters(Mapping[str, Limit]):
    """Limits of a table of keys. Those of a key are looked up on demand."""

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
