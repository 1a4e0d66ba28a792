"""The prompt of a call of `/v1/messages`: its media, an estimate of its tokens, and what may add to its cost.

https://platform.claude.com/docs/en/api/messages. The rules and ceilings are those of `wire.tokens` and
`wire.unbounded`. The second has Anthropic's tools too. In addition, these fields have the provider add input, or
continue with another model:

| in the request | added |
|---|---|
| files by their ids, documents by their addresses | a file |
| `mcp_servers` | the results of their tools |
| `thread` | a conversation that the provider stores |
| `context_management` that compacts | a summary |
| `fallbacks` | an answer of another, perhaps more expensive, model |
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.wire.json_object import UNREADABLE, is_empty, read_or
from pointsman.wire.tokens import (
    FILE_BYTES_PER_TOKEN,
    FILE_TOKENS,
    IMAGE_TOKENS,
    MAX_WALKED_BYTES,
    MAX_WALKED_QUOTES,
    MEDIA_TOKENS,
    MESSAGE_TOKENS,
    REPLY_TOKENS,
    about_by_size,
    about_value,
    counted,
    is_dense,
)
from pointsman.wire.unbounded import Unbounded, Use, unbounded_in

COUNTING = "/messages/count_tokens"
MAX_DEPTH = 4  # of contents: a document in a result of a tool is the third

_NO_VALUE = Raw(b"")
_TEXTS = frozenset(
    {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use", "tool_reference"}
    | {"search_result", "web_search_tool_result", "tool_search_tool_result", "mcp_tool_listing", "compaction"}
    | {"code_execution_tool_result", "bash_code_execution_tool_result", "text_editor_code_execution_tool_result"}
    | {"advisor_tool_result", "fallback"}
)  # the bytes of a block of one of these kinds bound its cost
_RESULTS = frozenset({"tool_result", "mcp_tool_result"})
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_NOT_PROMPT = frozenset({"role", "type", "id", "tool_use_id", "cache_control", "signature"})
_WALKED = ("messages", "system", "tools", "output_config")
_FEATURE_FIELDS = frozenset({"tools", "thinking", "output_config", "output_format"})
_ADDING_FIELDS = frozenset({"fallbacks", "mcp_servers", "thread", "context_management"})
_THINKING = (b'"enabled"', b'"adaptive"', b'"between_tools"')
_QUOTE, _LIST, _OBJECT = b'"', b"[", b"{"


class PromptSource(Struct, gc=False):
    """The source of an image or a document."""

    type: str = ""
    media_type: str = ""
    data: Raw = _NO_VALUE
    content: Raw = _NO_VALUE


class PromptBlock(Struct, gc=False):
    """The fields of a block that may hold media."""

    type: str = ""
    source: Raw = _NO_VALUE
    content: Raw = _NO_VALUE


_BLOCKS = msgspec.json.Decoder(list[PromptBlock])
_SOURCE = msgspec.json.Decoder(PromptSource)
_ITEMS = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)


def in_content(content: Raw | bytes, depth: int = 0) -> Media:
    """Return the media in a content: a text, or a list of blocks."""
    text = bytes(content)
    if not text.startswith(_LIST):
        return NO_MEDIA
    if depth > MAX_DEPTH:
        return Media(elsewhere="content")
    try:
        blocks = _BLOCKS.decode(text)
    except UNREADABLE:
        return Media(elsewhere="content")
    media = NO_MEDIA
    for block in blocks:
        if block.type not in _TEXTS:
            media += _of_block(block, depth)
    return media


def _of_block(block: PromptBlock, depth: int) -> Media:
    if block.type in _RESULTS:
        return in_content(block.content, depth + 1)
    if block.type in ("image", "document"):
        return _of_source(block, depth)
    if block.type == "web_fetch_tool_result":
        return Media(1, MEDIA_TOKENS)  # perhaps a document
    # A block of an unknown kind may have the provider read anything.
    return Media(elsewhere="file_id" if block.type == "container_upload" else "content")


def _of_source(block: PromptBlock, depth: int) -> Media:
    source = read_or(_SOURCE, block.source, PromptSource())
    is_image = block.type == "image"
    match source.type:
        case "base64" if is_image and source.media_type in _IMAGES:
            return Media(1, MEDIA_TOKENS, memoryview(source.data).nbytes)
        case "base64":
            return Media(1, MEDIA_TOKENS)
        case "text" if not is_image:
            return NO_MEDIA
        case "content" if not is_image:
            return in_content(source.content, depth + 1)
        case "url":
            return Media(1, MEDIA_TOKENS, elsewhere="" if is_image else "document.source.url")
    return Media(1, MEDIA_TOKENS, elsewhere="file_id")


def needs(call: Call, capabilities: Iterable[str]) -> set[str]:
    """Return the capabilities in `capabilities` that the call needs."""
    fields, found = call.fields, set[str]()
    if _FEATURE_FIELDS.isdisjoint(fields) and not call.media.count:
        return found
    if not is_empty(fields.get("tools", _NO_VALUE)) and bytes(fields["tools"]) != b"[]":
        found.add("tools")
    thinking = bytes(fields.get("thinking", b""))
    if any(mark in thinking for mark in _THINKING):
        found.add("reasoning")
    if any(b'"json_schema"' in bytes(fields.get(name, b"")) for name in ("output_config", "output_format")):
        found.add("json_schema")
    if call.media.count and b'"image"' in bytes(fields.get("messages", b"")):
        found.add("vision")
    return found.intersection(capabilities)


def service_tier(call: Call) -> str | None:
    """Return the service tier that a request names, or its speed: both set the price."""
    for name in ("speed", "service_tier"):
        named = bytes(call.fields.get(name, b""))
        if named.startswith(_QUOTE) and named != b'"standard"':
            return read_or(_STRING, named, "") or None
    return None


def counts_tokens(call: Call) -> bool:
    """Return whether a call only counts the tokens of a prompt."""
    return call.head.path.startswith(COUNTING)  # a query may follow


def own_answer(call: Call) -> bytes | None:
    """Return the answer to a call that counts tokens, for a provider that cannot: the gateway's own estimate."""
    return b'{"input_tokens":%d}' % about_tokens(call) if counts_tokens(call) else None


def takes_bound(call: Call) -> bool:
    """Return whether the request has a field for the most tokens of its answer."""
    return not counts_tokens(call)


def continues_unread(call: Call) -> bool:  # noqa: ARG001 -- the same for every call
    """Return whether a provider continues the call even if nobody reads its answer. Anthropic stops."""
    return False


def unbounded(call: Call) -> Unbounded | None:
    """Return `None` for nearly every request: its bytes bound its cost."""
    found, fields = unbounded_in(call), call.fields
    if found is None and _ADDING_FIELDS.isdisjoint(fields):
        return None
    field = found.field if found is not None else ""
    uses = found.uses if found is not None else ()
    if not is_empty(fields.get("fallbacks", _NO_VALUE)):
        uses += (Use("models", 1, "fallbacks"),)
    if not field:
        field = next((name for name in ("mcp_servers", "thread") if _is_set(fields, name)), "")
    if not field and b"compact" in bytes(fields.get("context_management", b"")):
        field = "context_management"
    if not field and uses:
        field = uses[0].field
    return Unbounded(field, uses) if field else None


def _is_set(fields: dict[str, Raw], name: str) -> bool:
    raw = fields.get(name, _NO_VALUE)
    return not is_empty(raw) and bytes(raw) not in (b"[]", b"{}")


def about_tokens(call: Call) -> int:
    """Estimate the tokens of a prompt. This takes some milliseconds at most."""
    fields = call.fields
    is_large = call.size > MAX_WALKED_QUOTES and any(
        is_dense(bytes(fields[name])) for name in _WALKED if name in fields
    )
    if call.size > MAX_WALKED_BYTES or is_large:
        return about_by_size(call)
    total = REPLY_TOKENS
    if "messages" in fields:
        total += counted(_about_messages, bytes(fields["messages"]))
    if "system" in fields:
        total += counted(_about_content, bytes(fields["system"]))
    for name in ("tools", "output_config"):
        if name in fields and (name == "tools" or b'"schema"' in bytes(fields[name])):
            total += counted(about_value, bytes(fields[name]))
    return total


def _about_messages(text: bytes) -> int:
    total = 0
    for raw in _ITEMS.decode(text):
        content = bytes(_ITEM.decode(raw).get("content", b""))
        total += MESSAGE_TOKENS + _about_content(content)
    return total


def _about_content(text: bytes, depth: int = 0) -> int:
    if not text.startswith(_LIST) or depth > MAX_DEPTH:
        return about_value(text) if text else 0
    return sum(_about_block(bytes(raw), depth) for raw in _ITEMS.decode(text))


def _about_block(text: bytes, depth: int) -> int:
    if not text.startswith(_OBJECT):
        return about_value(text)
    fields = _ITEM.decode(text)
    kind = _STRING.decode(fields["type"]) if "type" in fields else ""
    if kind == "image":
        return IMAGE_TOKENS
    if kind == "document":
        return _about_document(fields, depth)
    total = 0
    for name, raw in fields.items():
        if name == "content" and kind in _RESULTS:
            total += _about_content(bytes(raw), depth + 1)
        elif name not in _NOT_PROMPT:
            total += about_value(bytes(raw))
    return total


def _about_document(fields: dict[str, Raw], depth: int) -> int:
    source = read_or(_SOURCE, fields.get("source", b"{}"), PromptSource())
    if source.type == "text":
        return about_value(bytes(source.data)) if bytes(source.data) else 0
    if source.type == "content":
        return _about_content(bytes(source.content), depth + 1)
    return max(FILE_TOKENS, memoryview(source.data).nbytes * 3 // 4 // FILE_BYTES_PER_TOKEN)
