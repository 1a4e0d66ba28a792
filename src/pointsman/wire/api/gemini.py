"""Gemini's API below `/genai`, whose paths name the model. https://ai.google.dev/api/generate-content

`wire.heads` reads the model from the path, and whether the answer is a stream. Every field passes through, in one
spelling (`wire.dialects.gemini.spelling`). The fields below are typed because the gateway acts on them, or because a
provider would reject them anyway, later and less clearly. `fallbacks` is the gateway's own field.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.domain.state import Touched
from pointsman.wire.dialects.gemini.embeddings import ONE, SEVERAL, requests_of
from pointsman.wire.dialects.gemini.prompts import COUNTING, GENERATING, in_content, in_contents
from pointsman.wire.dialects.gemini.request_reader import whole_number_in
from pointsman.wire.dialects.gemini.spelling import in_one_spelling
from pointsman.wire.dialects.gemini.stored import touched
from pointsman.wire.generation import MAX_FALLBACKS, MAX_TOKENS, check_names
from pointsman.wire.json_object import (
    check_shape,
    encode_object,
    is_empty,
    read_object,
    read_typed,
    read_value,
    reject_variants,
    rejection,
)
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.public_names import own_name

MAX_CANDIDATES = 8  # https://ai.google.dev/api/generate-content#generationconfig (`candidateCount`)
MAX_NAME = 512  # characters
_NO_VALUE = Raw(b"")
_CONFIG, _SYSTEM, _INNER = "generationConfig", "systemInstruction", "generateContentRequest"


class _Request(Struct, kw_only=True, gc=False):
    """The fields of both paths. Unknown fields are allowed and passed on."""

    model: str | None = None
    fallbacks: Annotated[list[str], Meta(max_length=MAX_FALLBACKS)] | None = None
    contents: Raw = _NO_VALUE


_DECODER = msgspec.json.Decoder(_Request)
_NAME: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_FIELDS = msgspec.json.Decoder(dict[str, Raw] | None)
_SHAPES = (
    (_SYSTEM, ("str", "object", "null")),
    ("tools", ("array", "null")),
    ("toolConfig", ("object", "null")),
    (_CONFIG, ("object", "null")),
    ("safetySettings", ("array", "null")),
    ("cachedContent", ("str", "null")),
    (_INNER, ("object", "null")),
)
# Names that must not come in another spelling.
ACTED_ON = frozenset({"contents", "model", "fallbacks", *(name for name, _ in _SHAPES)})


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request for content. Raises `Rejection`."""
    fields, fallbacks = _read(parsed, body)
    if "contents" not in fields:
        raise rejection("the field 'contents' is required; set it to a list of contents", "contents")
    config = read_value(_FIELDS, fields.get(_CONFIG, b"null"), _CONFIG) or {}
    most = whole_number_in(config, "maxOutputTokens")
    if most is not None and not 0 < most <= MAX_TOKENS:
        name = f"{_CONFIG}.maxOutputTokens"
        raise rejection(f"the field {name!r} must be a whole number from 1 to {MAX_TOKENS}", name)
    choices = whole_number_in(config, "candidateCount") or 1
    if not 0 < choices <= MAX_CANDIDATES:
        name = f"{_CONFIG}.candidateCount"
        raise rejection(f"the field {name!r} must be a whole number from 1 to {MAX_CANDIDATES}", name)
    return replace(_call(parsed, fields, fallbacks, len(body), most), choices=choices, answers=choices)


def parse_counting(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request that counts the tokens of a prompt, which costs nothing. Raises `Rejection`.
    https://ai.google.dev/api/tokens#method:-models.counttokens"""
    fields, fallbacks = _read(parsed, body)
    if "contents" not in fields and _INNER not in fields:
        raise rejection(f"one of the fields 'contents' and {_INNER!r} is required", "contents")
    return _call(parsed, fields, fallbacks, len(body), None)


def _read(parsed: ParsedHead, body: bytes) -> tuple[dict[str, Raw], tuple[str, ...]]:
    """Return the fields of a body, without those of the gateway, and the names in its own `fallbacks`."""
    fields = in_one_spelling(read_object(body))
    reject_variants(fields, ACTED_ON)
    typed = read_typed(_DECODER, encode_object(fields), fields)
    for name, shapes in _SHAPES:
        if name in fields:
            check_shape(fields[name], name, *shapes)
    if "contents" in fields:
        check_shape(fields["contents"], "contents", "array")
    if bytes(memoryview(fields.get(_SYSTEM, _NO_VALUE))[:1]) == b'"':
        fields[_SYSTEM] = Raw(b'{"parts":[{"text":%b}]}' % bytes(fields[_SYSTEM]))
    check_model(parsed, typed.model)
    fields.pop("model", None)
    fields.pop("fallbacks", None)
    if not 0 < len(parsed.head.model) <= MAX_NAME:
        raise rejection(f"the path must name a model, in at most {MAX_NAME} characters", "model")
    check_names(parsed.head.model, typed.fallbacks)
    return fields, tuple([own_name(name, parsed.snapshot) for name in typed.fallbacks or ()])


def check_model(parsed: ParsedHead, named: str | None) -> None:
    """Raise `Rejection` if a body names another model than its path."""
    if named is not None and named.removeprefix("models/") != parsed.head.model:
        raise rejection(f"the field 'model' must be that of the path, {parsed.head.model!r}", "model")


def _call(parsed: ParsedHead, fields: dict[str, Raw], fallbacks: tuple[str, ...], size: int, most: int | None) -> Call:
    media = in_contents(fields["contents"]) if "contents" in fields else NO_MEDIA
    if not is_empty(fields.get(_SYSTEM, _NO_VALUE)):
        media += in_content(fields[_SYSTEM])
    state: Touched | None = touched(fields)
    return Call(
        operation="chat",
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(parsed.head.model, parsed.snapshot),
        fields=fields,
        size=size,
        stream=parsed.head.streams,
        wants_usage=True,
        fallbacks=fallbacks,
        max_tokens=most,
        stated_tokens=most,
        media=media,
        state=state,
    )


def parse_embedding(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request for embeddings. Raises `Rejection`. https://ai.google.dev/api/embeddings"""
    fields, fallbacks = _read(parsed, body)
    name = "requests" if parsed.api.path == SEVERAL else "content"
    if name not in fields:
        raise rejection(f"the field {name!r} is required", name)
    check_shape(fields[name], name, "array" if name == "requests" else "object")
    if name == "requests" and is_empty(fields[name]):
        raise rejection("the field 'requests' must have at least one request", name)
    media = NO_MEDIA
    for one in requests_of({name: fields[name]}):
        named = read_value(_NAME, one.get("model", Raw(b"null")), "requests.model")
        check_model(parsed, named)
        if "content" in one:
            media += in_content(one["content"])
    return Call(
        operation="embedding",
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(parsed.head.model, parsed.snapshot),
        fields=fields,
        size=len(body),
        fallbacks=fallbacks,
        media=media,
    )


PATHS = (
    ApiPath(GENERATING, frozenset({"POST"}), "chat", parse=parse, dialect="gemini"),
    ApiPath(COUNTING, frozenset({"POST"}), "chat", parse=parse_counting, dialect="gemini"),
    ApiPath(ONE, frozenset({"POST"}), "embedding", parse=parse_embedding, dialect="gemini"),
    ApiPath(SEVERAL, frozenset({"POST"}), "embedding", parse=parse_embedding, dialect="gemini"),
)
