"""POST /v1/messages, in Anthropic's dialect. https://platform.claude.com/docs/en/api/messages

Every field passes through. The fields below are typed because the gateway acts on them, or because a provider would
reject them anyway, later and less clearly.

A list of names in `fallbacks` is the gateway's own field. Anthropic has a field of the same name, which is `"default"`
or a list of objects; that passes through.
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.wire.dialects.anthropic.prompts import COUNTING, in_content
from pointsman.wire.generation import MAX_FALLBACKS, MAX_TOKENS, check_names
from pointsman.wire.json_object import check_shape, read_object, read_or, read_typed, reject_variants, rejection
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.public_names import own_name
from pointsman.wire.state import may_name, may_name_by_field, touched_by_chat

_NO_VALUE = Raw(b"")
_TEXT = b'"'


class _PromptMessage(Struct, gc=False):
    """One message. Its role stays raw: decoded, a rare letter would make it four times as long."""

    role: Raw
    content: Raw


class _Prompt(Struct, kw_only=True, gc=False):
    """The fields of a prompt. Unknown fields are allowed and passed on."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    messages: Annotated[list[_PromptMessage], Meta(min_length=1)]
    system: Raw = _NO_VALUE
    tools: Raw = _NO_VALUE
    tool_choice: Raw = _NO_VALUE
    thinking: Raw = _NO_VALUE
    output_config: Raw = _NO_VALUE
    fallbacks: Raw = _NO_VALUE


class _MessageRequest(_Prompt, kw_only=True, gc=False):
    # 0 fills the cache without an answer:
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pre-warming-the-cache
    max_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Raw = _NO_VALUE
    service_tier: str | None = None


_DECODER = msgspec.json.Decoder(_MessageRequest)
_PROMPT = msgspec.json.Decoder(_Prompt)
_NAMES: msgspec.json.Decoder[list[str]] = msgspec.json.Decoder(Annotated[list[str], Meta(max_length=MAX_FALLBACKS)])
_ITEMS = msgspec.json.Decoder(list[Raw])
_SHAPES = (
    ("system", ("str", "array", "null")),
    ("tools", ("array", "null")),
    ("tool_choice", ("object", "null")),
    ("thinking", ("object", "null")),
    ("output_config", ("object", "null")),
    ("metadata", ("object", "null")),
)
_SHAPED = frozenset(name for name, _ in _SHAPES)
# Names that must not come in another spelling.
ACTED_ON = frozenset(_MessageRequest.__struct_fields__)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request for a message. Raises `Rejection`."""
    fields = read_object(body)
    typed = read_typed(_DECODER, body, fields)
    return _call(parsed, fields, typed, len(body), is_streamed=typed.stream or False, most=typed.max_tokens)


def parse_counting(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request that counts the tokens of a prompt. It has no bound on an answer, and costs nothing. Raises
    `Rejection`. https://platform.claude.com/docs/en/api/messages-count-tokens"""
    fields = read_object(body)
    return _call(parsed, fields, read_typed(_PROMPT, body, fields), len(body))


def _call(
    parsed: ParsedHead,
    fields: dict[str, Raw],
    typed: _Prompt,
    size: int,
    *,
    is_streamed: bool = False,
    most: int | None = None,
) -> Call:
    reject_variants(fields, ACTED_ON)
    if not _SHAPED.isdisjoint(fields):
        for name, shapes in _SHAPES:
            if name in fields:
                check_shape(fields[name], name, *shapes)
    fallbacks = _own_fallbacks(fields)
    check_names(typed.model, fallbacks)
    media, names = NO_MEDIA, may_name_by_field(fields)
    for number, message in enumerate(typed.messages):
        if not bytes(message.role).startswith(_TEXT):
            check_shape(message.role, f"messages[{number}].role", "str")
        content = bytes(message.content)
        if not content.startswith(_TEXT):
            check_shape(message.content, f"messages[{number}].content", "str", "array")
            media += in_content(content)
            names = names or may_name(content)
    return Call(
        operation="chat",
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(typed.model, parsed.snapshot),
        fields=fields,
        size=size,
        stream=is_streamed,
        wants_usage=True,
        fallbacks=tuple([own_name(name, parsed.snapshot) for name in fallbacks]),
        max_tokens=most,
        stated_tokens=most,
        media=media,
        state=touched_by_chat(fields) if names or media != NO_MEDIA else None,
    )


def _own_fallbacks(fields: dict[str, Raw]) -> Sequence[str]:
    """Remove the gateway's own `fallbacks`, which are a list of names, and return them."""
    raw = fields.get("fallbacks")
    if raw is None or not bytes(raw).startswith(b"["):
        return ()
    items = read_or(_ITEMS, raw, [])
    if items and all(bytes(item).startswith(b"{") for item in items):
        return ()
    try:
        names = _NAMES.decode(raw)
    except msgspec.ValidationError as error:
        message = f"the field 'fallbacks': {str(error)[0].lower()}{str(error)[1:]}"
        raise rejection(message, "fallbacks") from None
    del fields["fallbacks"]
    return names


MESSAGES = ApiPath("/messages", frozenset({"POST"}), "chat", parse=parse, dialect="anthropic")
COUNT_TOKENS = ApiPath(COUNTING, frozenset({"POST"}), "chat", parse=parse_counting, dialect="anthropic")
PATHS = (MESSAGES, COUNT_TOKENS)
