"""The compiled configuration: immutable and replaced as a whole. A request keeps the one it began with."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.access import Access
from pointsman.domain.bodies import BodyCapture
from pointsman.domain.callers import CallerIdentity
from pointsman.domain.identity import EndUserLimits, KeyTable, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.prices import Catalog, NoCatalog, Price, ToolPrice
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements
from pointsman.domain.rules import Rule
from pointsman.domain.targets import Candidate, Endpoint, Strategy
from pointsman.domain.tracing import Tracing


class Timeouts(Struct, frozen=True, kw_only=True):
    """Timeouts in seconds. `commit_s` bounds a request until its answer commits. `stall_s` bounds the silence inside a
    committed stream, `stream_s` a committed stream as a whole, and `queue_s` the wait for quota and for room in a
    budget. `stream_head_s` bounds an attempt at a stream until its head, while another candidate is left. `response_s`
    bounds an attempt at an answer that is not streamed."""

    connect_s: float = 5.0
    commit_s: float = 600.0
    stall_s: float = 60.0
    stream_s: float = 3600.0
    queue_s: float = 5.0
    stream_head_s: float = 30.0
    response_s: float | None = None


# The failures that a declared fallback can be for; `fallbacks.cause_of` maps each failure to one of them.
FALLBACK_CAUSES = (
    "provider",
    "quota",
    "credential",
    "context_length",
    "model_missing",
    "content_filter",
    "refusal",
    "unsupported",
    "rejection",
)


StreamRecovery = Literal["error", "buffer", "continue"]


class Failover(Struct, frozen=True):
    """Settings of the change from one candidate to another. `fallback_on` are the failures that open declared
    fallbacks for all purposes. `first_token_s` bounds an attempt until the first content of its answer, while another
    candidate is left. `retry_after_wait_s` is the longest `Retry-After` that is waited for at the same key, and
    `same_target_retries` the number of repeats at a target before the next candidate. `stream_recovery` is `error`,
    `buffer` to hold a stream back until it is complete, or `continue` to request the rest of a text that broke off."""

    fallback_on: frozenset[str] = frozenset(FALLBACK_CAUSES[:5])
    first_token_s: float | None = None
    retry_after_wait_s: float = 0.0
    same_target_retries: int = 0
    stream_recovery: StreamRecovery = "error"


class Hedging(Struct, frozen=True):
    """The policy for a rival of a slow attempt, which is sent the same request. It starts after `after_s` seconds. If
    that is `None`, it starts once the attempt takes longer than `percentile` percent of the candidate's recent answers,
    and at least `at_least_s`. At most `share` of the requests get one."""

    after_s: float | None = None
    percentile: float = 95.0
    at_least_s: float = 0.1
    share: float = 0.05


class Racing(Struct, frozen=True):
    """The policy for an attempt beside the first one that starts at once, to find out how its candidate is now. At most
    `share` of the requests get one."""

    share: float = 0.03


class HealthLimits(Struct, frozen=True):
    """The settings of the circuit breaker. They are the failures in a row that open it, and the most seconds it stays
    open. The seconds differ for immediate failures and for those that keep a request waiting."""

    failures: int = 3
    max_block_s: float = 15.0
    max_block_hanging_s: float = 30.0


class Routing(Struct, frozen=True, kw_only=True):
    """Routing settings: the default ones, or those of one public name. `commit_buffer` is in bytes, and so is
    `event_bytes`, the longest event of a stream. `response_model` selects the model that an answer names: the one that
    `served` it, or the one that was `requested`. `state_days` is how long the owners of stored objects are known.
    `unowned_state` is `refuse` or `allow`, for requests about objects without a known owner. `None` follows from the
    requirement for keys. `fetch_media` is `https` or `http` if the gateway itself fetches images and documents for a
    provider that takes no addresses, and else `no`."""

    strategy: Strategy = Strategy("adaptive")
    max_attempts: int = 5
    timeouts: Timeouts = Timeouts()
    commit_buffer: int = 8 * 1024 * 1024
    failover: Failover = Failover()
    hedging: Hedging | None = None
    racing: Racing | None = None
    response_model: str = "served"
    health: HealthLimits = HealthLimits()
    event_bytes: int = 32 * 1024 * 1024
    state_days: float = 30.0
    unowned_state: str | None = None
    fetch_media: str = "no"


class Mirror(Struct, frozen=True, eq=False):
    """The copies of a `share` of the requests for a public name, which are sent to the model `to` for comparison, and
    their own limits."""

    name: str
    to: str
    share: float
    limits: tuple[Limit, ...]


class PublicModel(Struct, frozen=True, kw_only=True, eq=False):
    """A public name and its targets, in the order of the configuration. `strategy` is `None` if `routing` decides.
    `fallbacks` are those for certain causes, those for all purposes, and other providers of the same models. `source`
    is the origin of a name that the configuration does not list. `routing` is set if the name has settings of its own.
    `require` holds for requests that name it, and for its targets and fallbacks wherever they are used."""

    name: str
    targets: tuple[Candidate, ...]
    fallbacks: tuple[Candidate, ...] = ()
    strategy: Strategy | None = None
    source: str = ""
    routing: Routing | None = None
    require: Requirements = NO_REQUIREMENTS
    mirror: Mirror | None = None


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
    neither a model nor a known stored object. `limit_headers` adds the remaining amounts of limits to answers.
    `read_headers` are the request headers that the configuration reads, in lower case. `require` holds for every
    request. `rules` are those of routing. `logged_facts` are references to facts whose values are stored with each
    request. `end_user_limits` are the limits of end users of all keys. `tracing` decides on samples of traces. `bodies`
    decides on bodies that are kept; `None` keeps none. `identities` are those of callers without a virtual key, in the
    order of the configuration."""

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
    read_headers: tuple[str, ...] = ()
    require: Requirements = NO_REQUIREMENTS
    rules: tuple[Rule, ...] = ()
    logged_facts: tuple[str, ...] = ()
    end_user_limits: tuple[EndUserLimits, ...] = ()
    tracing: Tracing = Tracing()
    bodies: BodyCapture | None = None
    identities: tuple[CallerIdentity, ...] = ()


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
    yield from _listed_limits(snapshot)
    yield from _limits_of_keys(snapshot.virtual_keys)


def keys_in_memory(snapshot: Snapshot) -> Mapping[bytes, VirtualKey]:
    """Return the virtual keys, without those that are made at their first use."""
    keys = snapshot.virtual_keys
    return keys.own if isinstance(keys, KeyTable) else keys


def _limits_of_keys(keys: Mapping[bytes, VirtualKey]) -> Iterator[Limit]:
    for key in keys.values():
        yield from key.limits
        for entry in key.entries.values():
            yield from entry.limits


def has_canaries(snapshot: Snapshot) -> bool:
    """Return whether some target of a public name or a rule is a canary."""
    chosen = [*(one.targets for one in snapshot.models.values()), *(rule.targets for rule in snapshot.rules)]
    return any(item.arm is not None and item.arm.guard is not None for targets in chosen for item in targets)


def limits_to_list(snapshot: Snapshot, most: int) -> list[Limit]:
    """Return the limits to list one by one, each once: all of them, or `most`. Those of keys that are made at their
    first use are not listed."""
    limits = chain(_listed_limits(snapshot), snapshot.shared_limits, _limits_of_keys(keys_in_memory(snapshot)))
    return list(islice({limit.counter: limit for limit in limits}.values(), most))


def _listed_limits(snapshot: Snapshot) -> list[Limit]:
    """Return the limits of providers, mirrors and identities, which are listed even if keys are made at their first
    use."""
    of_mirrors = [one for model in snapshot.models.values() if model.mirror is not None for one in model.mirror.limits]
    of_identities = [
        limit
        for one in snapshot.identities
        for limit in (*one.key.limits, *(limit for entry in one.key.entries.values() for limit in entry.limits))
    ]
    of_providers = [limit for endpoint in snapshot.endpoints.values() for limit in endpoint.limits]
    return [*of_providers, *of_mirrors, *of_identities]


def counters_of(snapshot: Snapshot) -> Mapping[str, Limit]:
    """Return every limit of a configuration by the name of its counter. Those of end users are found by name only."""
    keys = snapshot.virtual_keys
    if not isinstance(keys, KeyTable):
        limits = {limit.counter: limit for limit in limits_of(snapshot)}
        return _Counters(limits, snapshot, None) if snapshot.end_user_limits else limits
    known = (*_listed_limits(snapshot), *snapshot.shared_limits, *_limits_of_keys(keys.own))
    return _Counters({limit.counter: limit for limit in known}, snapshot, keys)


class _Counters(Mapping[str, Limit]):
    """Limits of a table of keys, or with limits of end users. Those of a key or an end user are looked up on demand."""

    def __init__(self, known: dict[str, Limit], snapshot: Snapshot, keys: KeyTable | None) -> None:
        self._known = known
        self._snapshot = snapshot
        self._keys = keys
        self._templates = {limit.counter: limit for one in snapshot.end_user_limits for limit in one.limits}

    def get(self, counter: str, default: Limit | None = None) -> Limit | None:  # type: ignore[override]
        found = self._known.get(counter)
        if found is None and self._templates:
            owner, _, rest = counter.partition("|")
            template = self._templates.get(f"{owner.partition('/')[0]}|{rest}")
            if template is not None:
                return replace(template, owner=owner)
        if found is None and self._keys is not None:
            found = self._keys.limit(counter)
        return found or default

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
