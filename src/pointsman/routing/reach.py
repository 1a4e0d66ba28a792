"""The provider keys that a virtual key can reach, and by which tags: the report for an auditor.

A row of a provider is for requests that name `provider/model`, and for files and other calls without a model. A row of
a public name is for one of its targets or fallbacks.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from pointsman.domain.identity import VirtualKey
from pointsman.domain.requirements import Requirement, Requirements, Tag, has_expired, is_met, merged
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, ProviderKey, candidate
from pointsman.routing.compliance import lacking, stated
from pointsman.routing.policies import Asker, rights

ANY_MODEL = "*"


class UsedTag(Struct, frozen=True):
    """A value that meets a requirement. `expires_at` is in Unix seconds."""

    requirement: str
    origin: str
    value: str
    evidence: str
    expires_at: float | None


class ReachRow(Struct, frozen=True):
    """One provider key for one model. `name` is the public name, or empty. `excluded` is the reason that it cannot be
    used; it is empty if it can."""

    provider: str
    key: str
    model: str
    name: str
    excluded: str
    tags: tuple[UsedTag, ...]


class Reach(Struct, frozen=True):
    """The reach of a virtual key at `unix_s`. `provider_tools` are the tools that a provider may run for it; `None`
    allows all where no requirement applies, and otherwise none. `allow_models` are the names that it may request."""

    virtual_key: str
    unix_s: float
    requirements: tuple[tuple[str, str], ...]
    provider_tools: tuple[str, ...] | None
    allow_models: tuple[str, ...]
    rows: tuple[ReachRow, ...]


def reach_of(key: VirtualKey, snapshot: Snapshot, unix_s: float) -> Reach:
    """Return what a virtual key can reach."""
    require = merged(snapshot.require, key.require)
    asker = Asker("chat", key, snapshot, unix_s)
    rows = [_row(item, one, name, require, asker) for item, one, name in _all(snapshot)]
    return Reach(
        virtual_key=key.name,
        unix_s=unix_s,
        requirements=tuple([(str(one), one.origin) for one in require]),
        provider_tools=tuple(sorted(key.provider_tools)) if key.provider_tools is not None else None,
        allow_models=key.allow_models,
        rows=tuple(rows),
    )


def _all(snapshot: Snapshot) -> Iterator[tuple[Candidate, ProviderKey, str]]:
    for endpoint in snapshot.endpoints.values():
        for key in endpoint.keys:
            yield candidate(endpoint, ANY_MODEL), key, ""
    for model in snapshot.models.values():
        for item in (*model.targets, *model.fallbacks):
            for key in item.endpoint.keys:
                if key.serves_model(item.model):
                    yield item, key, model.name


def _row(item: Candidate, key: ProviderKey, name: str, require: Requirements, asker: Asker) -> ReachRow:
    every = merged(require, item.require)
    used = tuple([tag for one in every for tag in _used(one, item, key, asker.unix_s)])
    excluded = _excluded(item, key, name, asker) or lacking(item, key, every, asker.unix_s)
    return ReachRow(
        provider=item.endpoint.name,
        key=key.name,
        model=item.model,
        name=name,
        excluded=excluded,
        tags=() if excluded else used,
    )


def _excluded(item: Candidate, key: ProviderKey, name: str, asker: Asker) -> str:
    """Return the reason beside compliance that a key cannot be used."""
    by, entry = asker.key, asker.key.entries.get(item.endpoint.name) if asker.key is not None else None
    if key.weight <= 0:
        return "the weight of the provider key is 0"
    if by is None:
        return ""
    if name and by.allow_models and not any(fnmatchcase(name, pattern) for pattern in by.allow_models):
        return f"virtual key {by.name} may not request {name}"
    if entry is not None and entry.keys is not None and key.name not in entry.keys:
        return f"virtual key {by.name} may not use this key"
    if item.model == ANY_MODEL:
        is_foreign = bool(by.entries) and entry is None
        return f"virtual key {by.name} may not use this provider" if is_foreign else ""
    reason = rights.static(item, asker)
    return reason.message if reason is not None else ""


def _used(requirement: Requirement, item: Candidate, key: ProviderKey, unix_s: float) -> Iterator[UsedTag]:
    statements: Sequence[tuple[Tag, ...]] = stated(requirement, item, key)
    if not is_met(requirement, statements, unix_s):
        return
    for tag in dict.fromkeys(tag for tags in statements for tag in tags):
        if tag.value in requirement.values and not has_expired(tag, unix_s):
            yield UsedTag(str(requirement), requirement.origin, tag.value, tag.evidence, tag.expires_at)
