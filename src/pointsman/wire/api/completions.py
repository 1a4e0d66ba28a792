"""POST /v1/completions, OpenAI's older text completion. https://platform.openai.com/docs/api-reference/completions"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.wire.bounds import count_prompts
from pointsman.wire.generation import Generation, generation_call
from pointsman.wire.json_object import check_shape, read_object, read_typed, rejection
from pointsman.wire.paths import ApiPath, ParsedHead

MAX_ANSWERS = 10_000  # to one request; their cost must fit into a number of a database


class _Completion(Generation):
    prompt: Raw
    suffix: Raw = Raw(b"")
    best_of: Annotated[int, Meta(ge=0, le=MAX_ANSWERS)] | None = None
    echo: bool | None = None
    logprobs: int | None = None


_DECODER = msgspec.json.Decoder(_Completion)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a text completion. Raises `Rejection`."""
    fields = read_object(body)
    typed = read_typed(_DECODER, body, fields)
    check_shape(typed.prompt, "prompt", "str", "array")
    check_shape(typed.suffix, "suffix", "str", "null")
    count = max(typed.n or 1, typed.best_of or 1) * count_prompts(typed.prompt)
    if count > MAX_ANSWERS:
        raise rejection(
            f"the fields 'prompt', 'n' and 'best_of' request {count} answers; request at most {MAX_ANSWERS}", "prompt"
        )
    call = generation_call(parsed, "completion", fields, typed, len(body))
    return call if count == call.answers else replace(call, answers=count)


PATHS = (ApiPath("/completions", frozenset({"POST"}), "completion", parse=parse),)
