"""GET /v1/models and /v1/models/{id}, answered by the gateway itself: the names that a virtual key may request. The
gateway's own field `pointsman` has their capabilities and prices.

The names are public names, models listed in `serves`, and the catalog's models of configured providers. The list is
computed once for each snapshot; a key only leaves names out of it.
"""

from fnmatch import fnmatchcase

from msgspec import Raw, Struct
from msgspec.json import encode

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.money.terms import terms_of
from pointsman.routing.policies import rights
from pointsman.routing.router import router_of

_USD = 1_000_000  # pico-dollars per token in a dollar per million tokens
_MAX_BODIES = 256  # lists kept, one for each set of names that keys may use


class _Served(Struct, kw_only=True, omit_defaults=True):
    provider: str
    model: str
    context: int | None = None
    max_output: int | None = None
    capabilities: list[str] = []
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    cached_input_usd_per_million: float | None = None
    region: str | None = None
    deprecated_on: str | None = None


class _Extension(Struct):
    context: int | None  # of the provider with the largest
    providers: list[_Served]


class _ListedModel(Struct):
    id: str
    object: str
    created: int
    owned_by: str
    pointsman: _Extension


class _List(Struct):
    object: str
    data: list[Raw]


class _Row(Struct, frozen=True):
    name: str
    candidates: tuple[Candidate, ...]
    body: Raw


class ModelList:
    """The list under one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._rows: list[_Row] | None = None
        self._bodies: dict[VirtualKey | None, bytes] = {}

    def prepare(self) -> "ModelList":
        """Compute the list now: it takes 0.1 s for a thousand models, too long for a request to wait."""
        self._all_rows()
        return self

    def answer(self, key: VirtualKey | None, path: str) -> bytes:
        """Return the body for `path` below `/v1`. Raises `Rejection`: 404 for a name that this key cannot use."""
        wanted = path.partition("?")[0].removeprefix("/models").strip("/")
        if wanted:
            for row in self._all_rows():
                if row.name == wanted and _may_use(key, row, self.snapshot):
                    return bytes(row.body)
            raise Rejection(
                Failure(failures.MODEL_NOT_FOUND, f"the model {wanted!r} does not exist here", param="model")
            )
        everything = key is None or not (key.allow_models or key.entries)
        body = self._bodies.get(None if everything else key)
        if body is None:
            body = encode(_List("list", [row.body for row in self._all_rows() if _may_use(key, row, self.snapshot)]))
            if len(self._bodies) >= _MAX_BODIES:
                self._bodies.clear()
            self._bodies[None if everything else key] = body
        return body

    def _all_rows(self) -> list[_Row]:
        if self._rows is None:
            models = dict.fromkeys(names_of(self.snapshot))
            self._rows = [_row(name, self.snapshot) for name in models]
        return self._rows


def names_of(snapshot: Snapshot) -> list[str]:
    """Return the public names; then the models behind them and those listed in `serves` by their exact names; then the
    providers' models by the catalog and by their own lists."""
    known = {target.id for model in snapshot.models.values() for target in (*model.targets, *model.fallbacks)}
    for endpoint in snapshot.endpoints.values():
        for pattern in endpoint.serves:
            if not any(mark in pattern for mark in "*?["):
                known.add(f"{endpoint.name}/{pattern}")
    return [*snapshot.models, *sorted(known), *_catalog_names(snapshot)]


def _catalog_names(snapshot: Snapshot) -> list[str]:
    catalog = snapshot.pricing.catalog
    candidates: set[str] = set()
    for endpoint in snapshot.endpoints.values():
        candidates.update(endpoint.listed)
        for model in catalog.models(endpoint.catalog):
            facts = catalog.find(endpoint.catalog, model)
            if facts is not None:
                candidates.add(facts.name)
    return sorted(name for name in candidates if router_of(snapshot).resolve(name) is not None)


def _row(name: str, snapshot: Snapshot) -> _Row:
    public = snapshot.models.get(name) or router_of(snapshot).resolve(name) or PublicModel(name=name, targets=())
    served = [_served(item, snapshot) for item in public.targets]
    owners = ", ".join(dict.fromkeys(one.provider for one in served))
    context = max((one.context for one in served if one.context is not None), default=None)
    model = _ListedModel(name, "model", 0, owners, _Extension(context, served))
    return _Row(name, public.targets, Raw(encode(model)))


def _served(item: Candidate, snapshot: Snapshot) -> _Served:
    """Describe a target at the prices that apply to everybody."""
    served = _Served(provider=item.endpoint.name, model=item.model)
    facts = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    if facts is not None:
        served.context, served.max_output, served.region = facts.context, facts.output, facts.region
        served.capabilities, served.deprecated_on = sorted(facts.capabilities), facts.deprecated_on
    price = terms_of(None, item, snapshot).price
    if price is not None:
        rates = price.rates
        served.input_usd_per_million = rates.input / _USD
        served.output_usd_per_million = rates.output / _USD
        served.cached_input_usd_per_million = rates.cache_read / _USD if rates.cache_read is not None else None
    return served


def _may_use(key: VirtualKey | None, row: _Row, snapshot: Snapshot) -> bool:
    """Return whether the key may request the name, and a candidate is left to serve it."""
    if key is None:
        return True
    if key.allow_models and not any(fnmatchcase(row.name, pattern) for pattern in key.allow_models):
        return False
    candidates = row.candidates
    return not key.entries or any(rights.static(item, "chat", key, snapshot) is None for item in candidates)
