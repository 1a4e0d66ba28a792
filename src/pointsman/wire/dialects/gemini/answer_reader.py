"""Read Gemini's answers, streamed and whole. An event of a stream has the shape of a whole answer.

https://ai.google.dev/api/generate-content#GenerateContentResponse

Parts without a common form are skipped: code that Google runs, and images, for which no client of another dialect can
ask. There is no closing event, so the reason for the end of an answer ends it. An answer with calls of tools ends with
`STOP`, as any other. A blocked prompt has no candidate; its answer has no content, and a filter ended it.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.pieces import (
    Done,
    Failed,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.gemini._signatures import CALL, NAME, TEXT, THOUGHT, placed
from pointsman.wire.dialects.gemini.errors import error_body, read_error
from pointsman.wire.dialects.gemini.usage import read_usage
from pointsman.wire.json_object import encode_object, is_empty, read_leniently, read_or
from pointsman.wire.tool_calls import compact

# https://ai.google.dev/api/generate-content#FinishReason
REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
        "content_filter",
    ),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}
# The model failed: its answer is of no use.
FAULTS = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}
    | {"MISSING_THOUGHT_SIGNATURE", "OTHER", "IMAGE_OTHER", "NO_IMAGE"}
)
_UNSPECIFIED = ("", "FINISH_REASON_UNSPECIFIED")
_NO_VALUE = Raw(b"")
_NOT_ID = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS = 16  # of a hash in an id
_LEAST_LOGPROB = -9999.0  # of OpenAI's, for a token that was not among the likely ones


class _FunctionCall(Struct, gc=False):
    id: str | None = None
    name: str = ""
    args: Raw = _NO_VALUE


class _Part(Struct, rename="camel", gc=False):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel", gc=False):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: Raw = _NO_VALUE


class _Feedback(Struct, rename="camel", gc=False):
    block_reason: str | None = None


class GeminiAnswer(Struct, rename="camel", gc=False):
    """A whole answer, or an event of a stream."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = _NO_VALUE
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = _NO_VALUE

    @property
    def block_reason(self) -> str:
        """The reason for which the prompt was blocked; empty if it was not."""
        return (self.prompt_feedback.block_reason or "") if self.prompt_feedback is not None else ""

    @property
    def first(self) -> _Candidate | None:
        """The only candidate that is ever requested."""
        return next((one for one in self.candidates or () if one.index == 0), None)


class _Logprob(Struct, rename="camel", gc=False):
    token: str = ""
    log_probability: float = 0.0


class _TopLogprobs(Struct, gc=False):
    candidates: list[_Logprob] = []


class _LogprobsResult(Struct, rename="camel", gc=False):
    chosen_candidates: list[_Logprob] = []
    top_candidates: list[_TopLogprobs] = []


_ANSWER = msgspec.json.Decoder(GeminiAnswer)
_LOGPROBS = msgspec.json.Decoder(_LogprobsResult)


def decode_answer(body: bytes) -> GeminiAnswer:
    """Return an answer or an event. Raises one of `json_object.UNREADABLE`."""
    return read_leniently(_ANSWER, body)


class GeminiReader:
    """Reads one streamed answer."""

    def __init__(self) -> None:
        self._id = ""
        self._has_begun = self._has_finished = False
        self._calls = 0

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:  # noqa: ARG002 -- events have no names
        """Return the pieces in one event. Raises one of `json_object.UNREADABLE`."""
        found = decode_answer(data)
        if not is_empty(found.error):
            error = read_error(data)
            return [Failed(data if error is None else error.body)]
        return self.pieces(found)

    def pieces(self, found: GeminiAnswer) -> Sequence[Piece]:
        """Return the pieces of an event or a whole answer."""
        pieces: list[Piece] = []
        self._id = self._id or found.response_id or ""
        if not self._has_begun:
            self._has_begun = True
            pieces.append(Start(self._id, found.model_version or ""))
        candidate, end = found.first, found.block_reason and "PROHIBITED_CONTENT"
        if candidate is not None:
            pieces += self._content(candidate)
            end = candidate.finish_reason or ""
        usage = read_usage(found.usage_metadata)
        is_end = end not in _UNSPECIFIED
        spent = [] if usage is None else [UsagePiece(usage, not (is_end or self._has_finished))]
        if end in FAULTS and not self._has_finished:
            return [*pieces, *spent, Failed(error_body("the model's answer has no valid end", end))]
        if is_end and not self._has_finished:
            self._has_finished = True
            reason = REASONS.get(end, "stop")
            pieces.append(Finish("tool_calls" if reason == "stop" and self._calls else reason))
        return [*pieces, *spent]

    def _content(self, candidate: _Candidate) -> Iterator[Piece]:
        parts = (candidate.content.parts if candidate.content is not None else None) or []
        logprobs = _logprobs(candidate.logprobs_result)
        for part in parts:
            signature = part.thought_signature or ""
            if part.function_call is not None:
                yield from self._call(part.function_call, signature)
                continue
            if part.text and part.thought:
                yield ReasoningPiece(part.text)
            elif part.text:
                yield TextPiece(part.text, logprobs=logprobs)
                logprobs = None
            if signature:
                yield SignaturePiece(placed(THOUGHT if part.thought else TEXT, signature), NAME)

    def _call(self, call: _FunctionCall, signature: str) -> Iterator[Piece]:
        index, self._calls = self._calls, self._calls + 1
        given = bytes(call.args)
        call_id = call.id or self._new_id(call.name, given, index)
        if signature:
            yield SignaturePiece(placed(CALL, signature, call_id), NAME)
        yield ToolBegin(index, call_id, call.name)
        yield ToolArguments(index, compact(call.args))

    def _new_id(self, name: str, given: bytes, index: int) -> str:
        """Return an id for a call without one. The id of the answer makes it unique in its conversation."""
        unique = _NOT_ID.sub("_", self._id) or hashlib.sha256(name.encode() + given).hexdigest()[:_DIGITS]
        return f"call_{unique}_{index}"


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    return [*GeminiReader().read(body, b""), Done()]


def _logprobs(raw: Raw) -> Raw | None:
    """Return the log probabilities in OpenAI's shape; `None` if there are none."""
    found = _LogprobsResult() if is_empty(raw) else read_or(_LOGPROBS, raw, _LogprobsResult())
    if not found.chosen_candidates:
        return None
    pairs = zip_longest(found.chosen_candidates, found.top_candidates[: len(found.chosen_candidates)])
    tokens = [
        {**_token(one), "top_logprobs": [_token(other) for other in top.candidates] if top is not None else []}
        for one, top in pairs
    ]
    return Raw(encode_object(tokens))


def _token(one: _Logprob) -> dict[str, object]:
    value = one.log_probability if math.isfinite(one.log_probability) else _LEAST_LOGPROB
    return {"token": one.token, "logprob": value, "bytes": list(one.token.encode("utf-8", "replace"))}
