"""Reads the overlay of the model catalog: a YAML file with only the differences from the catalog."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from pydantic import ValidationError

from pointsman.catalog.overlay import EntryChange, Layer, like_of, overlaid, same_at
from pointsman.catalog.reader import CatalogError, ModelCatalog
from pointsman.config.catalog import CatalogInUse
from pointsman.config.load import explain, location_of
from pointsman.config.overlay_schema import OverlayDocument, OverlayEntry
from pointsman.config.prices import price_of
from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import Document
from pointsman.config.source import MAX_BYTES, Location, Source, SourceError, parse
from pointsman.routing.wording import listed

NAME = "overlay.yaml"  # in the folder `catalog` of the data folder
SOURCE = "overlay"
_DAYS = {
    "retires_on": "must be a day, such as 2027-03-31, or `never`",
    "priced_on": "must be a day, such as 2026-11-30",
}


class OverlayError(ValueError):
    """A faulty overlay. Each message has its file, its line and a remedy."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Overlay(Struct, frozen=True):
    """An overlay that was read: its document, and the place of every value."""

    document: OverlayDocument
    source: Source


def overlay_path(data_dir: Path, configured: Path | None) -> Path:
    """Return the file of the overlay, which need not exist."""
    return configured if configured is not None else data_dir / "catalog" / NAME


def read_overlay(path: Path) -> bytes | None:
    """Return the content of an overlay; `None` if there is none. Raises `OverlayError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OverlayError([f"{path} cannot be read: {error.strerror}"]) from None
    if len(content) > MAX_BYTES:
        raise OverlayError([f"{path} is larger than {MAX_BYTES} bytes; remove changes that the catalog has by now"])
    return content


def parse_overlay(content: bytes, path: Path) -> Overlay:
    """Check the form of an overlay. Raises `OverlayError` with every problem."""
    if not any(line.strip() and not line.lstrip().startswith(b"#") for line in content.splitlines()):
        return Overlay(OverlayDocument(), Source({}, {}))
    try:
        source = parse(content)
    except SourceError as error:
        raise OverlayError([f"{path}:{error.line or 1}: {error.message}"]) from None
    problems = [f"{path}:{one.line}: {one.message}" for one in source.duplicates]
    try:
        document = OverlayDocument.model_validate(source.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            location = location_of(item)
            day = next((at for at, part in enumerate(location) if part in _DAYS), None)
            if _is_place(item["loc"]):
                message = "write it as provider/model, without spaces"
            elif day is not None:  # each form of the field reports an error
                location, message = location[: day + 1], _DAYS[str(location[day])]
            else:
                message = explain(location, item, OverlayDocument)
            problems.append(_at(location, message, source, path))
        raise OverlayError(dict.fromkeys(problems)) from None
    if problems:
        raise OverlayError(problems)
    return Overlay(document, source)


def lay_over(catalog: ModelCatalog, overlay: Overlay, path: Path, providers: Iterable[str] = ()) -> ModelCatalog:
    """Return the catalog with an overlay over it. `providers` are those of the configuration, which may have models
    that the catalog does not know. Raises `OverlayError`."""
    problems: list[str] = []
    changes: dict[str, EntryChange] = {}
    known = [*catalog.providers(), *providers]
    for place, entry in overlay.document.models.items():
        location: Location = ("models", place)
        provider, _, model = place.partition("/")
        if provider not in known:
            message = f"neither the catalog nor the configuration has a provider {provider!r}{nearest(provider, known)}"
            problems.append(_at(location, message, overlay.source, path))
        elif entry.like is not None and like_of(catalog, provider, entry.like) is None:
            names = [*catalog.models(provider), *catalog.canonical_names()]
            message = f"the catalog does not know {entry.like!r}{nearest(entry.like, names)}"
            problems.append(_at((*location, "like"), message, overlay.source, path))
        elif entry.like is not None and catalog.find(provider, model) is not None:
            message = f"{place} is in the catalog already; remove `like`, and set the fields that differ"
            problems.append(_at((*location, "like"), message, overlay.source, path))
        else:
            try:
                changes[place] = _change(entry)
                _check_known(catalog, provider, model, entry)
            except ValueError as error:
                problems.append(_at(location, str(error), overlay.source, path))
    if problems:
        raise OverlayError(problems)
    try:
        layer = msgspec.json.encode(Layer(source=SOURCE, changes=changes), order="sorted")
        return overlaid(catalog, (layer,))
    except CatalogError as error:
        raise OverlayError([f"{path}: {error}"]) from None


def overlay_schema() -> dict[str, Any]:
    """Return the JSON Schema of the overlay."""
    schema = OverlayDocument.model_json_schema(mode="validation")
    schema["properties"]["models"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json.loads(json.dumps(schema))}


def _check_known(catalog: ModelCatalog, provider: str, model: str, entry: OverlayEntry) -> None:
    """Raise `ValueError` for a model that the catalog lacks, unless the entry says that the model is new."""
    models = list(catalog.models(provider))
    if not models or model in models:
        return
    same = same_at(catalog, provider, model)
    is_new = entry.like is not None or entry.name is not None
    if same and not is_new:
        others = listed([f"{provider}/{one}" for one in same], limit=4)
        message = f"the catalog has this model as {others}; write it so, or set `name` or `like` if it is another one"
        raise ValueError(message)
    if not is_new and (entry.context_tokens is None or entry.input_usd_per_million is None):
        remedy = "a new one needs `like`, `name`, or both `context_tokens` and a price"
        raise ValueError(f"the catalog has no model {model!r} at {provider}, and {remedy}{nearest(model, models)}")


def _change(entry: OverlayEntry) -> EntryChange:
    """Raises `ValueError` for an incomplete price, and for a contradiction."""
    both = sorted({*entry.can} & {*entry.cannot})
    if both:
        raise ValueError(f"`can` and `cannot` both list {both[0]}")
    price = price_of(entry)
    if entry.priced_on is not None and price is None:
        raise ValueError("`priced_on` is the day of a price; set the price too")
    retires = entry.retires_on
    return EntryChange(
        name=entry.name,
        like=entry.like,
        context=entry.context_tokens,
        output=entry.max_output_tokens,
        price=price,
        can=frozenset(entry.can),
        cannot=frozenset(entry.cannot),
        deprecated_on=None if retires is None else "" if isinstance(retires, str) else retires.isoformat(),
        priced_on=entry.priced_on.isoformat() if entry.priced_on is not None else "",
    )


def _is_place(location: tuple[int | str, ...]) -> bool:
    return len(location) == 3 and location[0] == "models" and location[-1] == "[key]"


def _at(location: Location, message: str, source: Source, path: Path) -> str:
    where, line = source.place(location)
    return f"{path}:{line or 1}: {where}: {message}"


def with_overlay(in_use: CatalogInUse, path: Path | None, document: Document, findings: Findings) -> CatalogInUse:
    """Return the catalog with the overlay over it, if there is one."""
    place = ("catalog", "overlay")
    try:
        content = read_overlay(path) if path is not None else None
        if content is None or path is None:
            if document.catalog.overlay is not None:
                message = f"{path} does not exist; `pointsman catalog add` creates it"
                findings.warning(place, message)
            return in_use
        catalog = lay_over(in_use.catalog, parse_overlay(content, path), path, document.providers)
    except OverlayError as error:
        for problem in error.problems:
            findings.error(place, problem)
        return in_use
    return replace(
        in_use, catalog=catalog, added=frozenset(catalog.providers()) - frozenset(in_use.catalog.providers())
    )
