"""Resources that were made by API, and their place in the configuration document.

The document is merged before it is compiled. So a resource has the schema of the file, and is checked with all else. No
name may be in both: a person who reads the file must be able to rely on it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from pointsman.config.problems import Problem
from pointsman.config.resource import Resource, Spec
from pointsman.config.resource_kinds import KINDS, ResourceKind
from pointsman.config.source import Location, Source, rendered, written_place

FILE, API = "file", "api"  # the owners of a resource


class Listed(Struct, frozen=True, kw_only=True):
    """A resource of the configuration in force, with its owner. One of the file has the `line` where it begins."""

    name: str
    owner: str
    spec: Spec
    line: int | None = None
    made: Resource | None = None


class MergedSource(Source):
    """A document with resources in it. Places inside a resource are relative to its content, and have no line."""

    def __init__(self, file: Source, data: Mapping[str, object], owned: Mapping[Location, Resource]) -> None:
        super().__init__(data, file.lines, file.duplicates)
        self._owned = owned

    def place(self, location: Location) -> tuple[str, int | None]:
        found, absent = written_place(self.data, location)
        for length in range(2, len(found) + 1):
            if found[:length] in self._owned:
                return rendered((*found[length:], *absent)), None
        return super().place(location)

    def owner(self, location: Location) -> str:
        found, _ = written_place(self.data, location)
        for length in range(2, len(found) + 1):
            if found[:length] in self._owned:
                return self._owned[found[:length]].label
        return ""


def sort_key(one: Resource) -> tuple[int, str]:
    """Return the order of resources: by kind, and then by name. So rules made by API are evaluated by name."""
    return list(KINDS).index(one.kind), one.name


def merge(source: Source, resources: Iterable[Resource]) -> tuple[Source, list[Problem]]:
    """Return the document with these resources in it, and a problem for each name that is in both. The entry of the
    file then stays."""
    every = sorted(resources, key=sort_key)
    if not every:
        return source, []
    data, problems = dict(source.data), list[Problem]()
    owned: dict[Location, Resource] = {}
    for kind in KINDS.values():
        made = [one for one in every if one.kind == kind.name]
        if not made:
            continue
        parent = _section(data, kind.place[:-1])
        found = parent.get(str(kind.place[-1])) if parent is not None else None
        if parent is None or not isinstance(found, (list if kind.name_in is not None else dict) | None):
            continue  # the form of the file is wrong, which is reported
        taken = _names(kind, found)
        free = [one for one in made if one.name not in taken]
        problems += [_clash(source, kind, taken[one.name], one) for one in made if one.name in taken]
        if kind.name_in is not None:
            items = found or []
            parent[str(kind.place[-1])] = [*items, *(kind.full(one.name, one.spec) for one in free)]
            owned |= {(*kind.place, len(items) + index): one for index, one in enumerate(free)}
        else:
            parent[str(kind.place[-1])] = {**dict(found or {}), **{one.name: one.spec for one in free}}
            owned |= {(*kind.place, one.name): one for one in free}
    return MergedSource(source, data, owned), problems


def listed(source: Source, kind: ResourceKind, resources: Iterable[Resource]) -> list[Listed]:
    """Return all resources of a kind, sorted by name: those of the file `source`, and those made by API."""
    parent = _section(dict(source.data), kind.place[:-1])
    found = parent.get(str(kind.place[-1])) if parent is not None else None
    entries: list[Listed] = []
    for name, location in _names(kind, found).items():
        _, line = source.place(location)
        entries.append(Listed(name=name, owner=FILE, spec=_at(source.data, location), line=line))
    made = [one for one in resources if one.kind == kind.name]
    entries += [Listed(name=one.name, owner=API, spec=one.spec, made=one) for one in made]
    return sorted(entries, key=lambda one: one.name)


def _section(data: dict[str, Any], place: Location) -> dict[str, Any] | None:
    """Return a copied section, which is put in place of the original. Return `None` if it is no mapping."""
    node = data
    for part in place:
        child = node.get(str(part), {})
        if not isinstance(child, Mapping):
            return None
        node[str(part)] = dict(child)
        node = node[str(part)]
    return node


def _names(kind: ResourceKind, found: object) -> dict[str, Location]:
    """Return the names in the file, each with its location."""
    if kind.name_in is None:
        return {str(name): (*kind.place, str(name)) for name in found} if isinstance(found, dict) else {}
    names: dict[str, Location] = {}
    for at, item in enumerate(found if isinstance(found, list) else []):
        if isinstance(item, Mapping):
            name = kind.name_in(item)
            names[name if name not in names else f"{name} ({at})"] = (*kind.place, at)  # default limits may repeat
    return names


def _at(data: object, location: Location) -> Any:
    node: Any = data
    for part in location:
        node = node[part]
    return node


def _clash(source: Source, kind: ResourceKind, location: Location, one: Resource) -> Problem:
    path, line = source.place(location)
    at = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d %H:%MZ")
    author = f" by {one.author}" if one.author else ""
    where = f"line {line} of the configuration file" if line is not None else "the configuration file"
    message = (
        f"the {kind.name} {one.name!r} is in {where}, and was also made by API on {at}{author}; remove it from the "
        f"file, or delete the other one with `pointsman {kind.plural} delete`"
    )
    return Problem(path, message, line, resource=one.label)
