"""POST /v1/completions, OpenAI's older text completion. https://platform.openai.com/docs/api-reference/completions"""

import msgspec
from msgspec import Raw

from pointsman.domain.calls import Call, Operation
from pointsman.wire.generation import Generation, generation_call
from pointsman.wire.json_object import read_object, read_typed
from pointsman.wire.paths import ApiPath, Asked


class _Completion(Generation):
    prompt: str | list[Raw]
    suffix: str | None = None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: int | None = None


_DECODER = msgspec.json.Decoder(_Completion)


def parse(asked: Asked, body: bytes) -> Call:
    """Raises `Refusal`."""
    fields = read_object(body)
    return generation_call(asked, Operation.COMPLETION, fields, read_typed(_DECODER, body), len(body))


PATHS = (ApiPath("/completions", frozenset({"POST"}), Operation.COMPLETION, parse=parse),)
