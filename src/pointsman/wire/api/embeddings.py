"""POST /v1/embeddings, in OpenAI's dialect. https://platform.openai.com/docs/api-reference/embeddings

VLLM takes `messages` in place of `input`, for models that embed images too:
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#chat-embedding
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.wire.generation import ACTED_ON, MAX_FALLBACKS
from pointsman.wire.json_object import check_shape, read_object, read_typed, reject_variants, rejection
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.public_names import own_name
from pointsman.wire.state import touched_by_chat
from pointsman.wire.tokens import in_content, in_input

_NONE = Raw(b"")


class _EmbeddedMessage(Struct, gc=False):
    content: Raw = _NONE


class _Embedding(Struct, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    input: Raw = _NONE
    messages: list[_EmbeddedMessage] | None = None
    fallbacks: Annotated[list[str], Meta(max_length=MAX_FALLBACKS)] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: str | None = None
    user: str | None = None


_DECODER = msgspec.json.Decoder(_Embedding)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse an embeddings request. Raises `Rejection`."""
    fields = read_object(body)
    typed = read_typed(_DECODER, body, fields)
    media = NO_MEDIA
    if typed.messages is None:
        if typed.input is _NONE:
            raise rejection("the field 'input' is required; set it to a string or a list", "input")
        check_shape(typed.input, "input", "str", "array")
        media = in_input(typed.input)
    for message in typed.messages or ():
        media += in_content(message.content)
    state = touched_by_chat(fields) if typed.messages is not None else None
    reject_variants(fields, ACTED_ON)
    fields.pop("fallbacks", None)
    return Call(
        operation="embedding",
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(typed.model, parsed.snapshot),
        fields=fields,
        size=len(body),
        fallbacks=tuple([own_name(name, parsed.snapshot) for name in typed.fallbacks or ()]),
        media=media,
        state=state,
    )


PATHS = (ApiPath("/embeddings", frozenset({"POST"}), "embedding", parse=parse),)
