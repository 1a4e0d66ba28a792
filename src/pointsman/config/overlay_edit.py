"""Adds a model to an overlay, and keeps the rest of the file as it is, with its comments."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import yaml

from pointsman.config.overlay import Overlay, OverlayError, parse_overlay

Value = str | int | float | date | list[str]
_HEAD = """\
# Changes of the model catalog, by provider/model. `pointsman catalog schema` prints the fields.
models:
"""


def with_model(content: bytes | None, place: str, fields: Mapping[str, Value], path: Path) -> tuple[bytes, Overlay]:
    """Return the overlay with these fields of a model, and its meaning. An entry that exists keeps its other fields.
    Raises `OverlayError` if the file is faulty, or if it cannot be changed without a person."""
    text = (content or b"").decode("utf-8", "replace")
    before = parse_overlay(content, path).document.models if content else {}
    present = yaml.safe_load(text) if text else None
    kept = ((present or {}).get("models") or {}).get(place) or {}
    changed = _written(text, place, _entry(place, {**kept, **fields}), path).encode()
    after = parse_overlay(changed, path)
    if {**after.document.models, place: None} != {**before, place: None}:
        raise OverlayError([f"{path}: cannot add {place} without a change of other models; add it by hand"])
    return changed, after


def _entry(place: str, fields: Mapping[str, Value]) -> str:
    if not fields:
        return yaml.safe_dump({place: {}}, default_flow_style=False)
    return yaml.safe_dump({place: dict(fields)}, sort_keys=False, default_flow_style=None, width=120)


def _written(text: str, place: str, entry: str, path: Path) -> str:
    """Return the text with an entry: in the place of an older one, else before all others."""
    root = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    if root is None:
        return f"{text.rstrip()}\n{_HEAD}{_indented(entry, 2)}".lstrip()
    models = next((value for key, value in root.value if key.value == "models"), None)
    if models is None:
        return f"{text.rstrip()}\nmodels:\n{_indented(entry, 2)}"
    if not models.value:
        start, end = models.start_mark.index, models.end_mark.index
        return f"{text[:start].rstrip()}\n{_indented(entry, 2)}{text[end:].lstrip(' ').removeprefix(chr(10))}"
    if models.flow_style:
        raise OverlayError([f"{path}: `models` is written in braces; write one model per line, or add {place} by hand"])
    column = models.value[0][0].start_mark.column
    for at, (key, value) in enumerate(models.value):
        if key.value == place:
            start = key.start_mark.index - column
            following = models.value[at + 1][0].start_mark.index - column if at + 1 < len(models.value) else len(text)
            end = min(_end_of_lines(text, value.end_mark.index), following) if value.flow_style else following
            if not value.flow_style and isinstance(value, yaml.MappingNode):
                last = value.value[-1][1] if value.value else value
                end = min(_end_of_lines(text, last.end_mark.index), following)
            return f"{text[:start]}{_indented(entry, column)}{text[end:]}"
    start = models.value[0][0].start_mark.index - column
    return f"{text[:start]}{_indented(entry, column)}{text[start:]}"


def _end_of_lines(text: str, index: int) -> int:
    """Return the index after the line that `index` is in."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _indented(entry: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in entry.splitlines())
