"""A configuration that is made from that of another gateway, with notes."""

import re
from collections.abc import Collection, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from msgspec import Struct

# `lost` has no counterpart, `changed` works differently, and `todo` is left to the reader of the report.
NoteKind = Literal["lost", "changed", "todo"]
_NANO = Decimal("1e-9")
_REFUSED = re.compile(r"[^A-Za-z0-9._-]+")


class Note(Struct, frozen=True):
    """A remark on one setting. `origin` is its place in the other gateway's configuration, and `target` is the place
    in the new one whose comment has the remark, if any."""

    kind: NoteKind
    origin: str
    text: str
    target: tuple[str, ...] = ()


class Carried(Struct, frozen=True):
    """An amount that an owner, such as `team:research`, has already spent in the present window of its budget."""

    owner: str
    per: str | Mapping[str, int]
    usd: str


class Draft:
    """The sections of a new configuration. `keys` are lines of a keys file. `secrets` are environment variables for
    values that the other configuration has in clear: they belong in no configuration file."""

    def __init__(self) -> None:
        self.sections: dict[str, Any] = {}
        self.keys: list[dict[str, Any]] = []
        self.carried: list[Carried] = []
        self.secrets: dict[str, str] = {}
        self.notes: list[Note] = []

    def section(self, *path: str) -> dict[str, Any]:
        """Return a section, made empty if it is new."""
        found = self.sections
        for name in path:
            found = found.setdefault(name, {})
        return found

    def lost(self, origin: str, text: str, target: tuple[str, ...] = ()) -> None:
        self.notes.append(Note("lost", origin, text, target))

    def changed(self, origin: str, text: str, target: tuple[str, ...] = ()) -> None:
        self.notes.append(Note("changed", origin, text, target))

    def todo(self, origin: str, text: str, target: tuple[str, ...] = ()) -> None:
        self.notes.append(Note("todo", origin, text, target))

    def leave_out(self, origin: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
        """Note all settings that are not in `known`, unless they are empty."""
        for name, value in settings.items():
            if name not in known and value not in (None, "", [], {}, False):
                self.lost(f"{origin}.{name}", "has no counterpart")

    def secret(self, value: str, name: str) -> str:
        """Return a reference to a secret that the other configuration has in clear."""
        base = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET"
        if base[0].isdigit():
            base = f"KEY_{base}"
        variable, number = base, 1
        while self.secrets.get(variable, value) != value:
            number += 1
            variable = f"{base}_{number}"
        self.secrets[variable] = value
        return f"env.{variable}"


def name_of(text: object, taken: Collection[str], default: str) -> str:
    """Return a name in the form that this gateway accepts, different from all in `taken`."""
    base = _REFUSED.sub("-", str(text or "")).strip("-._")[:56] or default
    if not base[0].isalnum():
        base = f"{default}-{base}"[:56]
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def usd_of(value: object) -> str | None:
    """Return dollars as text with at most nine decimals; `None` if the value is not a positive number."""
    try:
        amount = Decimal(str(value)).quantize(_NANO, ROUND_HALF_UP)
    except (ArithmeticError, ValueError):
        return None
    return f"{amount.normalize():f}" if amount.is_finite() and amount > 0 else None


def per_million(usd_per_token: object) -> float | None:
    """Return the price of a million tokens from that of one; `None` if it is not a number."""
    try:
        amount = Decimal(str(usd_per_token)) * 1_000_000
    except ArithmeticError:
        return None
    return float(amount.quantize(_NANO)) if amount.is_finite() and amount >= 0 else None


def mapping_of(value: object) -> dict[str, Any]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def compact(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those that are absent."""
    return {name: value for name, value in settings.items() if value not in (None, {}, [])}
