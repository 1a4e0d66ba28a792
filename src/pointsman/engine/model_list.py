"""The gateway's own answers to GET /v1/models and /v1/models/{id}: the names that a virtual key may request. Their
field `pointsman` has capabilities and prices. With `?public=true`, the list has the public names alone. Clients of
Anthropic's and Gemini's dialects get pages of another shape.

The names are public names, models listed in `serves`, and the catalog's models of configured providers. The list is
computed once for each snapshot. The list of a virtual key omits the names that the key may not request, and those that
no compliant provider serves.
"""

from fnmatch import fnmatchcase
from typing import TypeVar
from urllib.parse import parse_qs

from msgspec import Raw, Struct
from msgspec.json import encode

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.domain.prices import written_name
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements, merged
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.engine import gemini_models, model_pages
from pointsman.engine.model_pages import PagedModel, find
from pointsman.money.terms import terms_of
from pointsman.routing.compliance import compliant, first_expiry
from pointsman.routing.policies import Asker, rights
from pointsman.routing.router import router_of
from pointsman.routing.unknown_names import guess
from pointsman.wire.public_names import own_name

# The dialects whose lists have pages.
_ENTRIES = {"anthropic": model_pages.entries_of, "gemini": gemini_models.entries_of}
_PAGES = {"anthropic": model_pages.page_of, "gemini": gemini_models.page_of}
_USD = 1_000_000  # pico-dollars per token in a dollar per million tokens
_MAX_BODIES = 256  # lists kept, one for each set of names that keys may use

K = TypeVar("K")
T = TypeVar("T")


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
    fallbacks: tuple[Candidate, ...]
    body: Raw
    entries: dict[str, list[PagedModel]]  # by the dialect


class ModelsAsked(Struct, frozen=True):
    """One request for the list. `path` is below `/v1`, `require` are the requirements of its header, and `unix_s` is
    its time, in Unix seconds."""

    key: VirtualKey | None
    path: str
    dialect: str = "openai"
    require: Requirements = NO_REQUIREMENTS
    unix_s: float = 0.0


_Reader = tuple[VirtualKey | None, Requirements, bool]  # with true for the public names alone


class ModelList:
    """The list under one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._rows: list[_Row] | None = None
        self._bodies: dict[_Reader, bytes] = {}
        self._entries: dict[tuple[str, _Reader], list[PagedModel]] = {}
        self._until = 0.0  # when a tag expires, in Unix seconds: what is kept does not hold longer

    def prepare(self) -> "ModelList":
        """Compute the list now. That takes 0.1 s for a thousand models, which is too long for a request to wait."""
        self._all_rows()
        return self

    def answer(self, asked: ModelsAsked) -> bytes:
        """Return the body in the client's dialect. Raises `Rejection` with status 404 for a name that its key may not
        request."""
        plain, _, query = asked.path.partition("?")
        wanted = plain.removeprefix("/models").strip("/")
        if wanted:
            return self._one(asked, wanted)
        if asked.unix_s >= self._until:
            self._bodies, self._entries = {}, {}
            self._until = first_expiry(self.snapshot, asked.unix_s)
        key = asked.key
        is_unrestricted = key is None or not (key.allow_models or key.entries or key.require)
        is_public = parse_qs(query).get("public") == ["true"]
        shared = (None if is_unrestricted else key, asked.require, is_public)
        page_of = _PAGES.get(asked.dialect)
        if page_of is not None:
            entries = self._entries.get((asked.dialect, shared))
            if entries is None:
                entries = [
                    one for row in self._usable_by(asked, is_public=is_public) for one in row.entries[asked.dialect]
                ]
                _keep(self._entries, (asked.dialect, shared), entries)
            return page_of(entries, query)
        body = self._bodies.get(shared)
        if body is None:
            body = encode(_List("list", [row.body for row in self._usable_by(asked, is_public=is_public)]))
            _keep(self._bodies, shared, body)
        return body

    def _one(self, asked: ModelsAsked, wanted: str) -> bytes:
        name = own_name(wanted, self.snapshot)
        for row in self._all_rows():
            shown = _shown_to(asked, row, self.snapshot) if row.name == name else None
            found = None
            if shown is not None:
                is_paged = asked.dialect in _PAGES
                found = find(shown.entries[asked.dialect], wanted) if is_paged else bytes(shown.body)
            if found is not None:
                return found
        near = guess(name, self.snapshot, router_of(self.snapshot).resolve, asked.key) or ";"
        message = (
            f"the model {wanted!r} does not exist, or this key may not use it{near} GET /v1/models lists its models"
        )
        raise Rejection(Failure(failures.MODEL_NOT_FOUND, message, param="model"))

    def _usable_by(self, asked: ModelsAsked, *, is_public: bool) -> list[_Row]:
        rows = [row for row in self._all_rows() if not is_public or row.name in self.snapshot.models]
        found = [_shown_to(asked, row, self.snapshot) for row in rows]
        return [row for row in found if row is not None]

    def _all_rows(self) -> list[_Row]:
        if self._rows is None:
            models = dict.fromkeys(names_of(self.snapshot))
            self._rows = [_row(name, self.snapshot) for name in models]
        return self._rows


def _keep(known: dict[K, T], key: K, value: T) -> None:
    if len(known) >= _MAX_BODIES:
        known.clear()
    known[key] = value


def names_of(snapshot: Snapshot) -> list[str]:
    """Return the public names. After them come their targets and the exact names in `serves`, then the models of
    providers in the catalog and in their own lists."""
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
                candidates.add(written_name(facts, endpoint.catalog, model))
    return sorted(name for name in candidates if router_of(snapshot).resolve(name) is not None)


def _row(name: str, snapshot: Snapshot) -> _Row:
    public = snapshot.models.get(name) or router_of(snapshot).resolve(name) or PublicModel(name=name, targets=())
    return _row_of(name, public.targets, public.fallbacks, snapshot)


def _row_of(name: str, targets: tuple[Candidate, ...], fallbacks: tuple[Candidate, ...], snapshot: Snapshot) -> _Row:
    served = [_served(item, snapshot) for item in targets]
    owners = ", ".join(dict.fromkeys(one.provider for one in served))
    context = max((one.context for one in served if one.context is not None), default=None)
    model = _ListedModel(name, "model", 0, owners, _Extension(context, served))
    output = max((one.max_output for one in served if one.max_output is not None), default=None)
    is_public = name in snapshot.models
    operations = frozenset[str]().union(*[_operations(item, snapshot) for item in (*targets, *fallbacks)])
    entries = {
        dialect: make(name, context, output, is_public=is_public, operations=operations)
        for dialect, make in _ENTRIES.items()
    }
    return _Row(name, targets, fallbacks, Raw(encode(model)), entries)


def _operations(item: Candidate, snapshot: Snapshot) -> frozenset[str]:
    """Return the operations of a target. A model that the catalog knows chats or makes embeddings, but not both. Some
    tables list the vectors of embeddings as texts, so the name counts too."""
    facts = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    if facts is None or not facts.modalities_out:
        return item.endpoint.operations
    embeds = "embedding" in facts.modalities_out or "embed" in facts.name
    return item.endpoint.operations - {"chat" if embeds else "embedding"}


def _served(item: Candidate, snapshot: Snapshot) -> _Served:
    """Describe a target with the prices that apply without a virtual key."""
    served = _Served(provider=item.endpoint.name, model=item.model)
    facts = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    if facts is not None:
        served.context, served.max_output, served.region = facts.context, facts.output, facts.region
        served.capabilities, served.deprecated_on = sorted(facts.capabilities), facts.deprecated_on
    price = terms_of(None, item, snapshot).price
    if price is not None and not price.only_units:
        rates = price.rates
        served.input_usd_per_million = rates.input / _USD
        served.output_usd_per_million = rates.output / _USD
        served.cached_input_usd_per_million = rates.cache_read / _USD if rates.cache_read is not None else None
    return served


def _shown_to(asked: ModelsAsked, row: _Row, snapshot: Snapshot) -> _Row | None:
    """Return the row for a key, or `None` if the key may not request the name, or no candidate may serve it. If
    requirements apply, the row has only targets that meet them, and fallbacks if no target does."""
    key, candidates = asked.key, row.candidates
    if key is not None and key.allow_models and not any(fnmatchcase(row.name, one) for one in key.allow_models):
        return None
    require = merged(snapshot.require, key.require if key is not None else (), asked.require)
    if require or any(item.require for item in candidates):
        targets, fallbacks = _complying(candidates, require, asked), _complying(row.fallbacks, require, asked)
        if not (targets or fallbacks):
            return None
        if len(targets) < len(candidates):
            row = _row_of(row.name, targets or fallbacks, fallbacks, snapshot)
        candidates = (*targets, *fallbacks)
    if key is None or not key.entries:
        return row
    asker = Asker("chat", key, snapshot)
    return row if any(rights.static(item, asker) is None for item in candidates) else None


def _complying(candidates: tuple[Candidate, ...], require: Requirements, asked: ModelsAsked) -> tuple[Candidate, ...]:
    found = [compliant(item, require, asked.unix_s) for item in candidates]
    return tuple([item for item in found if item.keys])
