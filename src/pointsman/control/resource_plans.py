"""The resources that a call asks for: by edits, by a document, or by an earlier version."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import json

from pointsman.config.resource import Spec
from pointsman.config.resource_kinds import KINDS
from pointsman.config.resources import Listed, listed
from pointsman.config.schema import Document
from pointsman.config.source import Source
from pointsman.control.inquiries.resources import FaultyField, ResourceEdit
from pointsman.control.resource_book import EditError, Key, ResourceBook


async def edited(book: ResourceBook, edits: Sequence[ResourceEdit]) -> dict[Key, Spec]:
    """Return the contents after some edits. Raises `EditError`."""
    present = {(one.kind, one.name): one for one in book.present}
    wanted = {key: one.spec for key, one in present.items()}
    for one in edits:
        key = one.kind, one.name
        label = f"the {one.kind} {one.name!r}"
        if (own := (await book.of_file(one.kind)).get(one.name)) is not None:
            raise EditError(
                "managed_by_file", f"{label} is managed by the configuration file{_line(own)}; edit it there"
            )
        if one.if_version is not None and one.if_version != (present[key].version if key in present else 0):
            raise EditError("version_mismatch", f"{label} was changed meanwhile; read it again, and repeat the change")
        if one.action == "create" and key in wanted:
            raise EditError("already_exists", f"{label} exists already; replace it, or choose another name")
        if one.action in ("patch", "delete") and key not in wanted:
            raise EditError("not_found", f"there is no {one.kind} {one.name!r} made by API")
        if one.action == "delete":
            del wanted[key]
        elif one.action == "patch":
            wanted[key] = merge_patch(wanted[key], one.spec)
        else:
            wanted[key] = one.spec
    return wanted


KEYS = ("governance", "virtual_keys")  # keys made by API are in a document, too


def entries_of_keys(document: Mapping[str, Any]) -> Any:
    """Return the virtual keys in a document, as it has them."""
    return _node(document, KEYS)


async def documented(book: ResourceBook, document: Mapping[str, Any], notes: list[str]) -> dict[Key, Spec]:
    """Return the contents in a document. A section without resources is noted if it differs from the one in force.
    Raises `EditError`."""
    unknown = [FaultyField(name, "unknown section") for name in document if name not in Document.model_fields]
    if unknown:
        raise EditError("invalid_resource", f"{unknown[0].field}: unknown section", unknown)
    source = Source(document, {})
    wanted: dict[Key, Spec] = {}
    faults: list[FaultyField] = []
    for kind in KINDS.values():
        own = await book.of_file(kind.name)
        for one in listed(source, kind, ()):
            mine = own.get(one.name)
            if mine is None:
                wanted[kind.name, one.name] = one.spec
            elif _plain(kind.full(one.name, mine.spec)) != _plain(kind.full(one.name, one.spec)):
                message = (
                    f"is managed by the server's configuration file{_line(mine)}, and differs from it; edit it there"
                )
                faults.append(FaultyField("", message, f"{kind.name} {one.name}"))
    if faults:
        raise EditError("managed_by_file", "; ".join(f"{one.resource}: {one.message}" for one in faults), faults)
    in_force = (await book.configuration.document()).source.data
    differ = [place for place in _other_sections(document) if _at(document, place) != _at(in_force, place)]
    notes += [f"{'.'.join(place)}: only the server's own configuration file sets this; not applied" for place in differ]
    return wanted


async def at_version(book: ResourceBook, number: int) -> dict[Key, Spec]:
    """Return the contents of an earlier version. Raises `EditError` and `StoreError`."""
    if not 0 <= number <= book.number:
        raise EditError("not_found", f"there is no version {number}; the newest one is {book.number}")
    wanted = {(one.kind, one.name): one.spec for one in book.present}
    for version in await book.open_store().versions(book.number - number, after=number):
        for change in version.changes:
            if change.before is None:
                wanted.pop((change.kind, change.name), None)
            else:
                wanted[change.kind, change.name] = change.before
    return wanted


async def exported(book: ResourceBook, *, only_made: bool) -> dict[str, Any]:
    """Return the document with all resources, or with only those that were made by API."""
    base = {} if only_made else (await book.configuration.document()).source.data
    document: dict[str, Any] = dict(base)
    for one in book.present:
        kind = KINDS[one.kind]
        node = document
        for part in kind.place[:-1]:
            node[str(part)] = node = dict(node.get(str(part)) or {})
        last = str(kind.place[-1])
        if kind.name_in is not None:
            node[last] = [*(node.get(last) or []), kind.full(one.name, one.spec)]
        else:
            node[last] = {**(node.get(last) or {}), one.name: one.spec}
    return document


def merge_patch(target: Any, patch: Any) -> Any:
    """Return a value after a merge patch (RFC 7396): fields that are null are removed."""
    if not isinstance(patch, Mapping):
        return patch
    found: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merge_patch(found.get(name), value)
    return found


def _line(one: Listed) -> str:
    return f", line {one.line}" if one.line is not None else ""


def _other_sections(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the places of a document that hold no resources."""
    places = {tuple(map(str, kind.place)) for kind in KINDS.values()} | {KEYS}
    split = {place[0] for place in places if len(place) > 1}
    found: list[tuple[str, ...]] = []
    for name, section in document.items():
        if name in split and isinstance(section, Mapping):
            found += [(name, part) for part in section if (name, part) not in places]
        elif (name,) not in places:
            found.append((name,))
    return found


def _at(data: Any, place: tuple[str, ...]) -> Any:
    return _plain(_node(data, place))


def _node(data: Any, place: tuple[str, ...]) -> Any:
    for part in place:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _plain(data: Any) -> Any:
    """Return data as JSON has them, without the dates of YAML."""
    return json.decode(json.encode(data))
