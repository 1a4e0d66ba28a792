"""Frozen structs as bytes, for the gateway's own files.

The encoding is that of pickle. It preserves shared objects, such as the endpoint of many candidates. It also takes any
struct, including those that only one provider or strategy knows. Plain pickle can run code and would write anything.
Here a file can make structs and enum members of this package and no other objects. It is trusted like the configuration
all the same, and has the same mode. Three kinds of values are named instead of written: secrets by their references, a
catalog by its digest, time zones and paths as text.

The bytes begin with a digest of the fields of all structs in them, so changes of structs are noticed.
"""

import pickle
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.origin import Secret

# Returns a value that a file names: `("secret", reference)` or `("catalog", digest)`.
Find = Callable[[str, str], object]


class FrozenError(ValueError):
    """Bytes that are not frozen structs of this version."""


class _Freezer(pickle.Pickler):
    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.secrets: dict[str, Secret] = {}
        self.kinds: set[type[Struct]] = set()

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if isinstance(value, Secret) and value.reference is not None:
            self.secrets[value.reference] = value
            return "secret", value.reference
        if isinstance(value, ModelCatalog):
            return "catalog", value.digest
        if isinstance(value, ZoneInfo):
            return "zone", value.key
        if isinstance(value, Struct):
            self.kinds.add(type(value))
        return ("path", str(value)) if isinstance(value, Path) else None


class _Thawer(pickle.Unpickler):
    def __init__(self, data: bytes, find: Find) -> None:
        super().__init__(BytesIO(data))
        self._find = find
        self.kinds: set[type[Struct]] = set()

    def persistent_load(self, named: Any) -> object:
        kind, name = named
        if kind == "zone":
            return ZoneInfo(name)
        return Path(name) if kind == "path" else self._find(kind, name)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("msgspec._utils", "rebuild"):  # makes a struct with keyword-only fields
            return super().find_class(module, name).__call__
        if module.startswith("pointsman."):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module and issubclass(found, (Struct, Enum)):
                if issubclass(found, Struct):
                    self.kinds.add(found)
                return type(found).__call__.__get__(found)  # not the class: a file could set its attributes
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a snapshot")


def freeze(value: object) -> tuple[bytes, dict[str, Secret]]:
    """Return the bytes, and the secrets that they name by reference. Raise `TypeError` for any other secret."""
    file = BytesIO()
    freezer = _Freezer(file)
    freezer.dump(value)
    return _shape(freezer.kinds) + file.getvalue(), freezer.secrets


def thaw(data: bytes, find: Find) -> Any:
    """Return the value that was frozen. Raise `FrozenError`, and the errors of `find`."""
    shape, thawer = data[:32], _Thawer(data[32:], find)
    try:
        value = thawer.load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        raise FrozenError(str(error)) from error
    if _shape(thawer.kinds) != shape:
        raise FrozenError("the fields of its structs differ from those of this version")
    return value


def _shape(kinds: set[type[Struct]]) -> bytes:
    """Return a digest of the names of structs and of their fields."""
    fields = sorted(f"{kind.__module__}.{kind.__qualname__}: {kind.__struct_fields__}" for kind in kinds)
    return sha256("\n".join(fields).encode()).digest()
