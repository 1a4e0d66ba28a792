"""The public side of importers."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from pointsman.importers.draft import Draft


class ImportRejectedError(ValueError):
    """The document is not a configuration of the other gateway. The message says why."""


class ImportOrigin(Struct, frozen=True, kw_only=True):
    """Another gateway. `read` fills a draft from its parsed document. `tables` are those of its database whose rows
    `read_rows` adds to the draft, each with the columns to read, the first one being its key. The time is in Unix
    seconds."""

    title: str
    docs: str
    read: Callable[[Mapping[str, Any], Draft], None]
    tables: Mapping[str, tuple[str, ...]] = {}
    read_rows: Callable[[Mapping[str, list[dict[str, Any]]], Draft, float], None] | None = None
