"""The fields and checks that the text-generating paths of OpenAI's dialect have in common."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.operations import Operation
from pointsman.wire.dialects.openai import UNLIMITED
from pointsman.wire.json_object import read_object, reject_variants, rejection
from pointsman.wire.paths import ParsedHead
from pointsman.wire.public_names import own_name

MAX_FALLBACKS = 16
MAX_TOKENS = 10_000_000  # of an answer; its cost must fit into a number of a database


class _StreamOptions(Struct):
    include_usage: bool | None = None


_STREAM_OPTIONS = frozenset({"include_usage"})


class Generation(Struct, kw_only=True, gc=False):
    """Fields of both generating paths. Unknown fields are allowed and passed on."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    fallbacks: Annotated[list[str], Meta(max_length=MAX_FALLBACKS)] | None = None
    max_tokens: Annotated[int, Meta(ge=UNLIMITED, le=MAX_TOKENS)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    logit_bias: dict[str, float] | None = None


# Names that must not come in another spelling.
ACTED_ON = frozenset(
    {"model", "stream", "stream_options", "fallbacks", "max_tokens", "max_completion_tokens", "n", "messages"}
    | {"max_output_tokens", "prompt", "input", "tools", "response_format"}
    | {"temperature", "top_p", "seed", "stop", "user"}
)


def check_names(model: str, fallbacks: Sequence[str] | None) -> None:
    """Raise `Rejection` for names of models that hold control characters: not every store accepts them."""
    if not model.isprintable():
        raise rejection("the field 'model' holds control characters; send printable characters only", "model")
    if fallbacks and not all(map(str.isprintable, fallbacks)):
        raise rejection("the field 'fallbacks' holds control characters; send printable characters only", "fallbacks")


def most_tokens(*bounds: int | None) -> int | None:
    """Return the bound that a request sets on its answer, or `None`. If it sets several, the highest counts: nobody
    knows which field a provider reads."""
    most = 0
    for bound in bounds:
        if bound == UNLIMITED:
            return None
        if bound is not None and bound > most:
            most = bound
    return most or None


def generation_call(
    parsed: ParsedHead,
    operation: Operation,
    fields: dict[str, Raw],
    typed: Generation,
    size: int,
    max_completion_tokens: int | None = None,
    media: Media = NO_MEDIA,
) -> Call:
    """Build the call. Raises `Rejection` for faults that only the combination of fields shows."""
    reject_variants(fields, ACTED_ON)
    check_names(typed.model, typed.fallbacks)
    options = typed.stream_options
    if options is not None:
        if not typed.stream:
            raise rejection(
                "the field 'stream_options' requires a stream; set 'stream' to true or remove it", "stream_options"
            )
        reject_variants(read_object(bytes(fields["stream_options"]), "stream_options."), _STREAM_OPTIONS)
    fallbacks: tuple[str, ...] = ()
    if "fallbacks" in fields:
        del fields["fallbacks"]
        fallbacks = tuple([own_name(name, parsed.snapshot) for name in typed.fallbacks or ()])
    max_tokens = None  # in nearly every request
    if max_completion_tokens is not None or typed.max_tokens is not None:
        max_tokens = most_tokens(max_completion_tokens, typed.max_tokens)
    return Call(
        operation=operation,
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(typed.model, parsed.snapshot),
        fields=fields,
        size=size,
        stream=typed.stream or False,
        wants_usage=options is not None and options.include_usage is True,
        fallbacks=fallbacks,
        max_tokens=max_tokens,
        stated_tokens=max_tokens,
        choices=typed.n or 1,
        answers=typed.n or 1,
        media=media,
    )
