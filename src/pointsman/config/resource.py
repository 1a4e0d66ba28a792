"""A resource that was made by API. Workers read them in the snapshot file, so this module needs no other."""

from typing import Any

from msgspec import Struct

Spec = Any
"""The content of a resource, in exactly the form that the configuration file has at its place."""


class Resource(Struct, frozen=True, kw_only=True):
    """A resource that was made by API. `version` is the number of the configuration that last changed it. Times are
    Unix seconds, and `author` is the last one who changed it."""

    kind: str
    name: str
    spec: Spec
    version: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    author: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}"
