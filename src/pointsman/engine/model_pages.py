"""The list of models in Anthropic's dialect, in pages. https://platform.claude.com/docs/en/api/models/list

Claude Code offers only ids that begin with `claude` or `anthropic`, so each public name follows once more under its
second name (`wire.public_names`).
"""

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

from msgspec import Raw, Struct
from msgspec.json import encode

from pointsman.wire.json_object import rejection
from pointsman.wire.public_names import ALIAS

DEFAULT_LIMIT, MAX_LIMIT = 20, 1000
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"  # Anthropic's own value for a model without a known date


class PagedModel(Struct, frozen=True):
    """One model of a list."""

    id: str
    body: Raw


class _ShownModel(Struct, kw_only=True, tag_field="type", tag="model"):
    id: str
    display_name: str
    created_at: str = _UNKNOWN_DATE
    max_input_tokens: int | None
    max_tokens: int | None
    capabilities: None = None  # they have no form for the models of other authors
    lifecycle: str = "active"
    deprecated_at: None = None
    retires_at: None = None
    line: None = None


class _ModelPage(Struct):
    data: list[Raw]
    has_more: bool
    first_id: str | None
    last_id: str | None


def entries_of(
    name: str,
    context: int | None,
    output: int | None,
    *,
    is_public: bool,
    operations: frozenset[str] = frozenset(),  # noqa: ARG001 -- this dialect shows none
) -> list[PagedModel]:
    """Return the entry of a model, and the one of its second name. `context` and `output` are in tokens."""
    ids = (name, ALIAS + name) if is_public else (name,)
    models = [_ShownModel(id=one, display_name=name, max_input_tokens=context, max_tokens=output) for one in ids]
    return [PagedModel(one.id, Raw(encode(one))) for one in models]


def page_of(entries: Sequence[PagedModel], query: str) -> bytes:
    """Return the page that a query requests. Raises `Rejection`."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    limit = _limit(asked.get("limit"))
    after, before = asked.get("after_id"), asked.get("before_id")
    if after is not None and before is not None:
        raise rejection("after_id and before_id cannot be combined; send one of them", "before_id")
    if before is not None:
        end = place_of(before, "before_id", entries)
        start = max(end - limit, 0)
        has_more = start > 0
    else:
        start = 0 if after is None else place_of(after, "after_id", entries) + 1
        end = start + limit
        has_more = end < len(entries)
    shown = entries[start:end]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return encode(_ModelPage([one.body for one in shown], has_more, first, last))


def find(entries: Iterable[PagedModel], name: str) -> bytes | None:
    """Return the body of one model, if it is in the list."""
    return next((bytes(one.body) for one in entries if one.id == name), None)


def _limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not (value.isdecimal() and value.isascii() and len(value) <= 4 and 1 <= int(value) <= MAX_LIMIT):
        raise rejection(f"limit must be a whole number from 1 to {MAX_LIMIT}", "limit")
    return int(value)


def place_of(name: str, param: str, entries: Sequence[PagedModel]) -> int:
    """Return the place of a model in the list. `param` is the parameter that names it. Raises `Rejection`."""
    for place, one in enumerate(entries):
        if one.id == name:
            return place
    raise rejection(f"{param} names no model of this list; send an id from one of its pages", param)
