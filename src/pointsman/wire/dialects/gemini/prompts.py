"""The prompt of a call of `generateContent`: its media, an estimate of its tokens, and what may add to its cost.

https://ai.google.dev/api/generate-content. The rules and ceilings are those of `wire.tokens` and `wire.unbounded`. In
this dialect, `cachedContent`, files by their addresses and tools that Google runs add input.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.failures import Rejection
from pointsman.wire.dialects.gemini.request_reader import thinking_in
from pointsman.wire.json_object import UNREADABLE, encode_object, is_empty, read_or
from pointsman.wire.tokens import (
    FILE_BYTES_PER_TOKEN,
    FILE_TOKENS,
    IMAGE_TOKENS,
    MAX_WALKED_BYTES,
    MAX_WALKED_QUOTES,
    MEDIA_TOKENS,
    MESSAGE_TOKENS,
    RECORDING_BYTES_PER_TOKEN,
    REPLY_TOKENS,
    USUAL_RECORDING_TOKENS,
    about_by_size,
    about_value,
    counted,
    in_base64,
    is_dense,
)
from pointsman.wire.unbounded import USES, Unbounded, Use

GENERATING, COUNTING = "/generateContent", "/countTokens"
MAX_DEPTH = 3  # of parts: media in the result of a function are the second

_NO_VALUE = Raw(b"")
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif"})
_TEXTS = frozenset({"text", "thought", "thoughtSignature", "functionCall", "executableCode", "codeExecutionResult"})
_MEDIA_FIELDS = frozenset({"inlineData", "fileData", "functionResponse"})
_SETTINGS = frozenset({"videoMetadata", "mediaResolution", "partMetadata"})  # of media
_CONFIG, _THINKING, _INNER = "generationConfig", "thinkingConfig", "generateContentRequest"
_WALKED = ("contents", "systemInstruction", "tools", _CONFIG)
_SCHEMAS = (b'"responseSchema"', b'"responseJsonSchema"')
_DECLARED = "functionDeclarations"
_OF_CLIENTS = (_DECLARED, "computerUse")
_UNREADABLE = Media(elsewhere="contents")


class _Content(Struct, gc=False):
    parts: list[Raw] | None = None


class _Media(Struct, rename="camel", gc=False):
    mime_type: str = ""
    data: Raw = _NO_VALUE
    file_uri: str = ""


class _Response(Struct, gc=False):
    parts: list[Raw] | None = None


_CONTENTS = msgspec.json.Decoder(list[_Content])
_ONE = msgspec.json.Decoder(_Content)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_MEDIA = msgspec.json.Decoder(_Media)
_RESPONSE = msgspec.json.Decoder(_Response)
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]])


def in_contents(contents: Raw) -> Media:
    """Return the media in the contents of a request."""
    try:
        return sum((_in_parts(one.parts, 0) for one in _CONTENTS.decode(contents)), NO_MEDIA)
    except UNREADABLE:
        return _UNREADABLE


def in_content(content: Raw) -> Media:
    """Return the media in one content."""
    try:
        return _in_parts(_ONE.decode(content).parts, 0)
    except UNREADABLE:
        return _UNREADABLE


def _in_parts(parts: list[Raw] | None, depth: int) -> Media:
    if depth > MAX_DEPTH:
        return _UNREADABLE
    media = NO_MEDIA
    for raw in parts or ():
        for name, value in _FIELDS.decode(raw).items():
            if name in _MEDIA_FIELDS:
                media += _of_field(name, value, depth)
            elif name not in _TEXTS and name not in _SETTINGS:
                return _UNREADABLE  # a part of an unknown kind may have the provider read anything
    return media


def _of_field(name: str, value: Raw, depth: int) -> Media:
    if is_empty(value):
        return NO_MEDIA
    if name == "functionResponse":
        return _in_parts(_RESPONSE.decode(value).parts, depth + 1)
    found = _MEDIA.decode(value)
    if name == "fileData":
        return Media(1, MEDIA_TOKENS, elsewhere="" if found.mime_type in _IMAGES else "fileUri")
    if found.mime_type in _IMAGES:
        return Media(1, MEDIA_TOKENS, memoryview(found.data).nbytes)
    if found.mime_type.startswith("audio/"):
        return in_base64(found.data)
    if found.mime_type.startswith("text/"):  # no token of it takes less than a byte
        size = memoryview(found.data).nbytes
        return Media(1, size, size)
    # A page of a document or a second of a video takes some kilobytes.
    return Media(1, MEDIA_TOKENS)


def tools_of(call: Call) -> list[str]:
    """Return the tools of a request that Google runs, and `functionDeclarations` if it has some."""
    raw = call.fields.get("tools", _NO_VALUE)
    if is_empty(raw):
        return []
    try:
        return list(dict.fromkeys(name for tool in _TOOLS.decode(raw) for name in tool))
    except UNREADABLE:
        return ["unknown"]


def needs(call: Call, capabilities: Iterable[str]) -> set[str]:
    """Return the capabilities in `capabilities` that the call needs."""
    found, config = set[str](), bytes(call.fields.get(_CONFIG, b""))
    if _DECLARED in tools_of(call):
        found.add("tools")
    if b'"thinkingConfig"' in config and _thinks(_FIELDS.decode(config).get(_THINKING, _NO_VALUE)):
        found.add("reasoning")
    if any(mark in config for mark in _SCHEMAS):
        found.add("json_schema")
    if call.media.count:
        contents = bytes(call.fields.get("contents", b""))
        found |= {need for mark, need in ((b'"image/', "vision"), (b'"audio/', "audio_in")) if mark in contents}
    return found.intersection(capabilities)


def _thinks(config: Raw) -> bool:
    """Return whether a request asks for reasoning: by a budget above 0, by a level, or for the thoughts."""
    try:
        found = thinking_in({_THINKING: config})
    except Rejection:
        return True  # the provider says what is wrong with it
    return bool(found.is_on) or found.summary == "auto"


def service_tier(call: Call) -> str | None:
    """Return the service tier that a request names."""
    named = bytes(call.fields.get("serviceTier", b""))
    return named[1:-1].decode("utf-8", "replace").lower() if named[:1] == b'"' else None


def counts_tokens(call: Call) -> bool:
    """Return whether a call only counts the tokens of a prompt."""
    return call.head.path.startswith(COUNTING)  # a query may follow


def counted_as(fields: dict[str, Raw], name: str) -> dict[str, Raw]:
    """Return the fields of a request that counts tokens, with the full name of the model where they name one."""
    inner = fields.get(_INNER, _NO_VALUE)
    if is_empty(inner):
        return fields
    found: dict[str, Raw] = read_or(_FIELDS, inner, {})
    return {**fields, _INNER: Raw(encode_object({**found, "model": Raw(encode_object(name))}))}


def own_answer(call: Call) -> bytes | None:
    """Return the answer to a call that counts tokens, for a provider that cannot: the gateway's own estimate."""
    return b'{"totalTokens":%d}' % about_tokens(call) if counts_tokens(call) else None


def is_free(call: Call) -> bool:
    """Return whether no provider charges for the call."""
    return counts_tokens(call)


def lists_events(call: Call) -> bool:
    """Return whether a client wants the answers of a stream as one list, and no events."""
    return call.stream and "alt=sse" not in call.head.path.partition("?")[2].split("&")


def takes_bound(call: Call) -> bool:
    """Return whether the request has a field for the most tokens of its answer."""
    return call.operation == "chat" and not counts_tokens(call)


def continues_unread(call: Call) -> bool:  # noqa: ARG001 -- the same for every call
    """Return whether a provider continues the call even if nobody reads its answer. Google stops."""
    return False


def unbounded(call: Call) -> Unbounded | None:
    """Return `None` for nearly every request: its bytes bound its cost."""
    field, fields = call.media.elsewhere, call.fields
    if not field and "tools" not in fields and "cachedContent" not in fields:
        return None
    if not is_empty(fields.get("cachedContent", _NO_VALUE)):
        field = "cachedContent"
    uses = tuple([Use(name, USES, "tools") for name in tools_of(call) if name not in _OF_CLIENTS])
    if uses and not field:
        field = uses[0].field
    return Unbounded(field, uses) if field else None


def about_tokens(call: Call) -> int:
    """Estimate the tokens of a prompt. This takes some milliseconds at most."""
    fields = _prompt_fields(call)
    is_large = call.size > MAX_WALKED_QUOTES and any(
        is_dense(bytes(fields[name])) for name in _WALKED if name in fields
    )
    if call.size > MAX_WALKED_BYTES or is_large:
        return about_by_size(call)
    total = REPLY_TOKENS
    if "contents" in fields:
        total += counted(_about_contents, bytes(fields["contents"]))
    if "systemInstruction" in fields:
        total += counted(_about_content, bytes(fields["systemInstruction"]))
    if "tools" in fields:
        total += counted(about_value, bytes(fields["tools"]))
    for name, raw in read_or(_FIELDS, fields.get(_CONFIG, b"{}"), {}).items():
        if name in ("responseSchema", "responseJsonSchema"):
            total += counted(about_value, bytes(raw))
    return total


def _prompt_fields(call: Call) -> dict[str, Raw]:
    """Return the fields of a prompt. A request that counts tokens may have them inside one field.
    https://ai.google.dev/api/tokens#method:-models.counttokens"""
    inner = call.fields.get(_INNER, _NO_VALUE)
    return call.fields if is_empty(inner) else read_or(_FIELDS, inner, {})


def _about_contents(text: bytes) -> int:
    return sum(MESSAGE_TOKENS + _about_parts(one.parts, 0) for one in _CONTENTS.decode(text))


def _about_content(text: bytes) -> int:
    return _about_parts(_ONE.decode(text).parts, 0)


def _about_parts(parts: list[Raw] | None, depth: int) -> int:
    return sum(_about_field(name, value, depth) for raw in parts or () for name, value in _FIELDS.decode(raw).items())


def _about_field(name: str, value: Raw, depth: int) -> int:
    if name in ("thought", "thoughtSignature") or is_empty(value):
        return 0
    if name not in _MEDIA_FIELDS or depth > MAX_DEPTH:
        return about_value(bytes(value))
    if name == "functionResponse":
        found = _FIELDS.decode(value)
        inner = _RESPONSE.decode(value).parts
        own = sum(about_value(bytes(raw)) for part, raw in found.items() if part in ("name", "response"))
        return own + _about_parts(inner, depth + 1)
    media = _MEDIA.decode(value)
    size = memoryview(media.data).nbytes * 3 // 4
    if media.mime_type.startswith("image/"):
        return IMAGE_TOKENS
    if media.mime_type.startswith("audio/"):
        return max(USUAL_RECORDING_TOKENS, size // RECORDING_BYTES_PER_TOKEN)
    return max(FILE_TOKENS, size // FILE_BYTES_PER_TOKEN)
