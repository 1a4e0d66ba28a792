"""The difference between two versions of the configuration, as changes and as text."""

import json
from collections.abc import Iterable
from difflib import unified_diff
from typing import Any

from pointsman.control.store.resources import ConfigVersion, ResourceChange


def net_changes(versions: Iterable[ConfigVersion]) -> list[ResourceChange]:
    """Return the sum of the changes of successive versions, each resource once."""
    found: dict[tuple[str, str], ResourceChange] = {}
    for version in versions:
        for one in version.changes:
            key = one.kind, one.name
            before = found[key].before if key in found else one.before
            found[key] = ResourceChange(kind=one.kind, name=one.name, before=before, after=one.after)
    return [one for _, one in sorted(found.items()) if one.before != one.after]


def text_of(changes: Iterable[ResourceChange]) -> list[str]:
    """Return the changes as lines in the form of `diff -u`."""
    lines: list[str] = []
    for one in changes:
        label = f"{one.kind} {one.name}"
        old, new = f"before: {label}", f"after: {label}"
        lines += unified_diff(_lines(one.before), _lines(one.after), old, new, lineterm="")
    return lines


def _lines(spec: Any) -> list[str]:
    return [] if spec is None else json.dumps(spec, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
