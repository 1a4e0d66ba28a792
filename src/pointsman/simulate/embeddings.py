"""`/v1/embeddings` and `/v1/moderations`."""

import base64
import struct
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from pointsman.simulate.answers import Answer, RequestContext, json_answer
from pointsman.simulate.completions import Prompt, input_token_counts

_EMBEDDING_FIELDS = frozenset({"dimensions", "encoding_format", "input", "model", "user"})
_MODERATION_FIELDS = frozenset({"input", "model"})
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_FLAGGED_WORD = "violence"


class EmbeddingRequest(Struct):
    model: str
    input: Prompt
    dimensions: Annotated[int, Meta(ge=1, le=3072)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


class ModerationRequest(Struct):
    input: str | list[Any]
    model: str | None = None


def embeddings(context: RequestContext) -> Answer:
    """Return unit vectors that depend on the seed and the index of the request, but not on the input."""
    request = context.decode(EmbeddingRequest, _EMBEDDING_FIELDS)
    counts = input_token_counts(request.input)
    data = []
    for index in range(len(counts)):
        vector: list[float] | str = unit_vector(context, request.dimensions or 16)
        if request.encoding_format == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens_in = sum(counts)
    return json_answer(
        {
            "object": "list",
            "data": data,
            "model": request.model,
            "usage": {"prompt_tokens": tokens_in, "total_tokens": tokens_in},
        },
        tokens_in=tokens_in,
    )


def unit_vector(context: RequestContext, dimensions: int) -> list[float]:
    """Return a vector of length 1."""
    values = [context.rng.gauss(0.0, 1.0) for _ in range(dimensions)]
    norm = sum(value * value for value in values) ** 0.5
    return [value / norm for value in values]


def moderations(context: RequestContext) -> Answer:
    """Flag every input that contains the word `violence`."""
    request = context.decode(ModerationRequest, _MODERATION_FIELDS)
    inputs = [request.input] if isinstance(request.input, str) else request.input
    results = []
    for item in inputs:
        is_flagged = _FLAGGED_WORD in str(item).lower()
        results.append(
            {
                "flagged": is_flagged,
                "categories": {name: is_flagged and name == "violence" for name in _CATEGORIES},
                "category_scores": {name: 0.9 if is_flagged and name == "violence" else 0.01 for name in _CATEGORIES},
                "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
            }
        )
    model = request.model or "omni-moderation-latest"
    return json_answer({"id": context.new_id("modr-"), "model": model, "results": results})
