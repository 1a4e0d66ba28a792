"""The list of models in Gemini's dialect, in pages. https://ai.google.dev/api/models

The token of a page is the name of the last model before it, so pages stay right if the list grows between them.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from msgspec import Raw, Struct
from msgspec.json import encode

from pointsman.engine.model_pages import PagedModel, place_of
from pointsman.wire.json_object import rejection

DEFAULT_SIZE, MAX_SIZE = 50, 1000
METHODS = {"chat": ("generateContent", "countTokens"), "embedding": ("embedContent",)}  # by the operation


class _GeminiModel(Struct, rename="camel", omit_defaults=True):
    name: str
    base_model_id: str
    display_name: str
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: Sequence[str] = ()


class _GeminiPage(Struct, rename="camel", omit_defaults=True):
    models: list[Raw]
    next_page_token: str = ""


def entries_of(
    name: str,
    context: int | None,
    output: int | None,
    *,
    is_public: bool,  # noqa: ARG001 -- this dialect needs no second names
    operations: frozenset[str],
) -> list[PagedModel]:
    """Return the entry of a model. `context` and `output` are in tokens. `operations` are those that its targets may
    serve."""
    shown = _GeminiModel(
        name=f"models/{name}",
        base_model_id=name,
        display_name=name,
        input_token_limit=context,
        output_token_limit=output,
        supported_generation_methods=[
            method for operation, methods in METHODS.items() if operation in operations for method in methods
        ],
    )
    return [PagedModel(name, Raw(encode(shown)))]


def page_of(entries: Sequence[PagedModel], query: str) -> bytes:
    """Return the page that a query requests. A size above the maximum counts as the maximum. Raises `Rejection`."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    size = asked.get("pageSize", asked.get("page_size", "")) or "0"
    if not (size.isdecimal() and size.isascii() and len(size) <= 9):
        raise rejection("pageSize must be a whole number", "pageSize")
    count = min(int(size), MAX_SIZE) or DEFAULT_SIZE
    after = asked.get("pageToken", asked.get("page_token", ""))
    start = place_of(after, "pageToken", entries) + 1 if after else 0
    shown = entries[start : start + count]
    has_more = start + count < len(entries)
    return encode(_GeminiPage([one.body for one in shown], shown[-1].id if has_more else ""))
