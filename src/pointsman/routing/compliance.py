"""The hard filter of compliance: a candidate keeps only the provider keys whose tags meet every requirement.

`compliant` is applied to every candidate of a set, before any policy and any order. A candidate without a key is in no
plan, so nothing that comes later can use one that was removed here.
"""

from collections.abc import Iterable, Sequence
from math import inf

from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.requirements import (
    NO_REQUIREMENTS,
    REGION,
    UNKNOWN,
    Requirement,
    Requirements,
    Tag,
    is_met,
    merged,
    next_expiry,
    shortcoming,
    statements,
)
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, ProviderKey


def requirements_of(facts: Facts, snapshot: Snapshot, directive: Directive | None) -> Requirements:
    """Return the requirements of a request: those of the configuration, its public name, its virtual key, its rules and
    its header."""
    more = directive.requirements if directive is not None else NO_REQUIREMENTS
    call, key = facts.call, facts.virtual_key
    public = snapshot.models.get(call.model)
    named = public.require if public is not None else NO_REQUIREMENTS
    owned = key.require if key is not None else NO_REQUIREMENTS
    if snapshot.require or owned or named or call.head.require or more:
        return merged(snapshot.require, owned, named, more, call.head.require)
    return NO_REQUIREMENTS


def stated(requirement: Requirement, item: Candidate, key: ProviderKey) -> Sequence[tuple[Tag, ...]]:
    """Return the values that are stated for a required tag. The name of a model may imply its region, which counts as
    a tag of the target unless it has one. If the region is unknown, a tag of the key covers the key's deployments."""
    tags = item.tags
    if requirement.tag == REGION and item.endpoint.regions and REGION not in tags and (region := item.region_at(key)):
        sent = item.model_at(key)
        if region != UNKNOWN or REGION not in key.tags or sent == item.model:
            tags = {**tags, REGION: (Tag(region, evidence=f"the name {sent}"),)}
    return statements(requirement.tag, item.endpoint.tags, key.tags, tags)


def is_compliant(item: Candidate, key: ProviderKey, unix_s: float) -> bool:
    """Return whether one key of a candidate meets all requirements of the candidate."""
    return all(is_met(one, stated(one, item, key), unix_s) for one in item.require)


def compliant(item: Candidate, requirements: Requirements, unix_s: float) -> Candidate:
    """Return the candidate with all requirements that apply to it, and with only the keys that meet them."""
    if not (requirements or item.require):
        return item
    item = replace(item, require=merged(item.require, requirements))
    return replace(item, keys=tuple([key for key in item.keys if is_compliant(item, key, unix_s)]))


def valid_until(candidates: Iterable[Candidate], requirements: Requirements, unix_s: float) -> float:
    """Return the time up to which the same keys comply, in Unix seconds. `candidates` have all their keys.
    The keys of a candidate without any are those of its provider, which its rejection names."""
    ends = [
        next_expiry(stated(one, item, key), unix_s)
        for item in candidates
        for one in (*item.require, *requirements)
        for key in item.keys or item.endpoint.keys
    ]
    return min((end for end in ends if end is not None), default=inf)


def first_expiry(snapshot: Snapshot, unix_s: float) -> float:
    """Return the time at which the next tag of a configuration expires, in Unix seconds."""
    endpoints = snapshot.endpoints.values()
    tags = [endpoint.tags for endpoint in endpoints]
    tags += [key.tags for endpoint in endpoints for key in endpoint.keys]
    tags += [item.tags for model in snapshot.models.values() for item in model.targets]
    found = (next_expiry(one.values(), unix_s) for one in tags if one)
    return min((moment for moment in found if moment is not None), default=inf)


def shortcomings(item: Candidate, virtual_key: VirtualKey | None, unix_s: float) -> str:
    """Say what each key that the virtual key could use of a candidate lacks. Return an empty text if there is none."""
    entry = virtual_key.entries.get(item.endpoint.name) if virtual_key is not None else None
    found: dict[str, list[str]] = {}
    for key in item.endpoint.keys:
        may_use = entry is None or entry.keys is None or key.name in entry.keys
        if may_use and key.weight > 0 and (not item.model or key.serves_model(item.model)):
            lacks = lacking(item, key, item.require, unix_s)
            if lacks:
                found.setdefault(lacks, []).append(key.name)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"with key {', '.join(names)}: {lacks}" for lacks, names in found.items())


def lacking(item: Candidate, key: ProviderKey, requirements: Requirements, unix_s: float) -> str:
    """Say which requirements one key of a candidate does not meet, and why."""
    return ", and ".join(
        f"{one} (required by {one.origin}): {shortcoming(one, stated(one, item, key), unix_s)}"
        for one in requirements
        if not is_met(one, stated(one, item, key), unix_s)
    )
