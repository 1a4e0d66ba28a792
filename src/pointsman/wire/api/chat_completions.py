"""POST /v1/chat/completions, in OpenAI's dialect. https://platform.openai.com/docs/api-reference/chat

Every field passes through. The fields below are typed for one of two reasons. The gateway acts on them, or a provider
would reject them anyway, later and less clearly.

Cursor sends bodies of the Responses API to this path; they are read as such (`_input_as_chat`).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.wire.api._input_as_chat import as_chat, is_response
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.dialects.openai import UNLIMITED
from pointsman.wire.generation import MAX_TOKENS, Generation, generation_call
from pointsman.wire.json_object import check_shape, read_object, read_typed, rejection
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.state import may_name, may_name_by_field, touched_by_chat
from pointsman.wire.tokens import in_content, in_earlier_audio

_NONE = Raw(b"")
_TEXT = b'"'


class _ChatMessage(Struct, gc=False):
    role: str
    content: Raw = _NONE
    audio: Raw = _NONE


class _Chat(Generation):
    messages: Annotated[list[_ChatMessage], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=UNLIMITED, le=MAX_TOKENS)] | None = None
    tools: Raw = _NONE
    response_format: Raw = _NONE
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None


class _LargeMessage(Struct, gc=False):
    """A message whose role is kept as raw bytes: with one rare letter, its decoded text could take four times its
    bytes."""

    role: Raw
    content: Raw = _NONE
    audio: Raw = _NONE


class _LargeChat(_Chat):
    messages: Annotated[list[_LargeMessage], Meta(min_length=1)]  # type: ignore[assignment]


_LARGE_DECODER = msgspec.json.Decoder(_LargeChat)
_DECODER = msgspec.json.Decoder(_Chat)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a chat completion. Raises `Rejection`."""
    fields = read_object(body)
    if "input" in fields and is_response(fields):
        return _parse_response(parsed, fields, len(body))
    if len(body) <= SMALL_BYTES:
        typed: _Chat = read_typed(_DECODER, body, fields)
    else:
        typed = large = read_typed(_LARGE_DECODER, body, fields)
        for number, one in enumerate(large.messages):
            check_shape(one.role, f"messages[{number}].role", "str")
    if typed.max_completion_tokens == 0:
        raise rejection("the field 'max_completion_tokens' must be 1 or more", "max_completion_tokens")
    if typed.tools is not _NONE:
        check_shape(typed.tools, "tools", "array", "null")
    if typed.response_format is not _NONE:
        check_shape(typed.response_format, "response_format", "object", "null")
    media, names = NO_MEDIA, may_name_by_field(fields)
    for message in typed.messages:
        content = bytes(message.content)
        if not content.startswith(_TEXT):
            media += in_content(content)
            names = names or may_name(content)
        if message.audio is not _NONE:
            media += in_earlier_audio(message.audio)
            names = True
    call = generation_call(
        parsed, "chat", fields, typed, len(body), max_completion_tokens=typed.max_completion_tokens, media=media
    )
    if not names and media == NO_MEDIA:
        return call
    state = touched_by_chat(fields)
    return call if state is None else replace(call, state=state)


# The fields of a chat completion that a response does not have.
_OWN = frozenset(_Chat.__struct_fields__) - frozenset(
    {"model", "stream", "fallbacks", "temperature", "top_p", "user", "tools", "top_logprobs", "parallel_tool_calls"}
)


def _parse_response(parsed: ParsedHead, fields: dict[str, Raw], size: int) -> Call:
    """Parse the body of a response as a chat completion. Raises `Rejection`."""
    found = as_chat(parsed, fields, _OWN)
    call = parse(parsed, found.body)
    # The provider's codec knows the field that sets the bound there.
    bound = call.max_tokens if call.max_tokens is not None else found.max_tokens
    stated = call.stated_tokens
    return replace(call, size=size, max_tokens=bound, stated_tokens=stated, dropped=found.dropped)


PATHS = (ApiPath("/chat/completions", frozenset({"POST"}), "chat", parse=parse),)
