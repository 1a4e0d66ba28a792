"""The facts in answers of the dialects that no official SDK reads here: Gemini's, Bedrock's Converse and Cohere's.

The readers are strict: a field that they don't know is an error, so that nothing in a recorded answer is overlooked.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from fakes import bedrock, cohere
from fakes.answer_facts import Facts, made

T = TypeVar("T")
_STOPS = {
    "STOP": None, "MAX_TOKENS": "length", "SAFETY": "content_filter",
    "end_turn": None, "tool_use": "tool_use", "max_tokens": "max_tokens",
    "COMPLETE": None, "TOOL_CALL": "tool_calls",
}  # fmt: skip


class _Strict(Struct, forbid_unknown_fields=True):
    pass


class _Web(_Strict):
    uri: str
    title: str = ""


class _Chunk(_Strict, rename="camel"):
    web: _Web | None = None
    retrieved_context: dict[str, str] | None = None


class _Grounding(_Strict, rename="camel"):
    grounding_chunks: list[_Chunk] = []
    grounding_supports: list[Any] = []
    search_entry_point: Any = None
    web_search_queries: list[str] = []
    retrieval_metadata: Any = None


class _FunctionCall(_Strict):
    name: str
    args: dict[str, Any] = {}
    id: str = ""


class _Part(_Strict, rename="camel"):
    """A part of Gemini's. `tool_call` and `tool_response` are those of Google's own tools."""

    text: str = ""
    thought: bool = False
    thought_signature: str = ""
    function_call: _FunctionCall | None = None
    tool_call: Any = None
    tool_response: Any = None


class _Content(_Strict):
    parts: list[_Part] = []
    role: str = "model"


class _Candidate(_Strict, rename="camel"):
    content: _Content = field(default_factory=_Content)
    finish_reason: str | None = None
    index: int = 0
    avg_logprobs: float = 0.0
    finish_message: str = ""
    safety_ratings: list[Any] = []
    grounding_metadata: _Grounding = field(default_factory=_Grounding)


class _Spent(_Strict, rename="camel"):
    prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    cached_content_token_count: int = 0
    total_token_count: int = 0
    prompt_tokens_details: list[Any] = []
    candidates_tokens_details: list[Any] = []
    tool_use_prompt_tokens_details: list[Any] = []
    cache_tokens_details: list[Any] = []
    service_tier: str = ""
    traffic_type: str = ""


class _Generated(_Strict, rename="camel"):
    candidates: list[_Candidate]
    usage_metadata: _Spent = field(default_factory=_Spent)
    model_version: str = ""
    response_id: str = ""
    create_time: str = ""


class _ToolUse(_Strict, rename="camel"):
    tool_use_id: str
    name: str
    input: dict[str, Any]
    type: Literal["tool_use"] = "tool_use"


class _ReasoningText(_Strict):
    text: str
    signature: str = ""


class _Reasoning(_Strict, rename="camel"):
    reasoning_text: _ReasoningText


class _Block(_Strict, rename="camel"):
    text: str = ""
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Said(_Strict):
    content: list[_Block]
    role: str


class _Output(_Strict):
    message: _Said


class _TokenUsage(_Strict, rename="camel"):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    cache_read_input_token_count: int = 0
    cache_write_input_token_count: int = 0
    server_tool_usage: dict[str, Any] = {}


class _Conversed(_Strict, rename="camel"):
    output: _Output
    stop_reason: str
    usage: _TokenUsage
    metrics: dict[str, int]


class _CohereFunction(_Strict):
    name: str
    arguments: str


class _CohereCall(_Strict):
    id: str
    type: str
    function: _CohereFunction


class _CohereBlock(_Strict):
    type: str
    text: str


class _CohereMessage(_Strict):
    role: str
    content: list[_CohereBlock] = []
    tool_plan: str = ""
    tool_calls: list[_CohereCall] = []


class _Units(_Strict):
    input_tokens: int
    output_tokens: int


class _CohereUsage(_Strict):
    billed_units: _Units
    tokens: _Units
    cached_tokens: int = 0


class _Chatted(_Strict):
    id: str
    finish_reason: str
    message: _CohereMessage
    usage: _CohereUsage


def facts(dialect: str, body: bytes, *, is_stream: bool) -> Facts:
    """Return the facts in an answer of one of these dialects. Only Gemini's streams are read."""
    match dialect:
        case "gemini":
            return _of_gemini([_read(_Generated, one) for one in (events(body) if is_stream else [body])])
        case "bedrock":
            assert not is_stream
            return _of_converse(_read(_Conversed, body))
        case _:
            assert not is_stream
            return _of_cohere(_read(_Chatted, body))


def events(stream: bytes) -> Iterator[bytes]:
    """Yield the data of the events of a stream."""
    for line in stream.splitlines():
        if line.startswith(b"data:"):
            yield line.removeprefix(b"data:").strip()


def as_a_stream(dialect: str, body: bytes) -> bytes:
    """Return the stream of a whole answer of Converse or of Cohere."""
    found: Mapping[str, Any] = json.loads(body)
    message, usage = found.get("message") or found["output"]["message"], found["usage"]
    if dialect == "bedrock":
        return bedrock.stream_of(*message["content"], stop=found["stopReason"], usage=usage)
    plan = [cohere.event("tool-plan-delta", tool_plan=one) for one in _halved(message.get("tool_plan", ""))]
    blocks = [
        event
        for index, one in enumerate(message.get("content", ()))
        for event in cohere.block(index, "text", *_halved(one["text"]))
    ]
    calls = [
        event
        for index, one in enumerate(message.get("tool_calls", ()))
        for event in cohere.called(index, one["id"], one["function"]["name"], *_halved(one["function"]["arguments"]))
    ]
    ending = cohere.end(found["finish_reason"], usage=usage)
    return cohere.stream_of(cohere.begin(), *plan, *blocks, *calls, ending)


def _halved(text: str) -> list[str]:
    return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]


def _read(kind: type[T], body: bytes) -> T:
    return msgspec.json.decode(body, type=kind)


def _of_gemini(answers: list[_Generated]) -> Facts:
    candidates = [one for answer in answers for one in answer.candidates]
    parts = [part for one in candidates for part in one.content.parts]
    calls = [part.function_call for part in parts if part.function_call is not None]
    cited = [
        chunk.web.uri
        for one in candidates
        for chunk in one.grounding_metadata.grounding_chunks
        if chunk.web is not None
    ]
    usage, stops = answers[-1].usage_metadata, [one.finish_reason for one in candidates if one.finish_reason]
    return made(
        text="".join(part.text for part in parts if not part.thought),
        refusal="",
        reasoning="".join(part.text for part in parts if part.thought),
        calls=[(one.name, json.dumps(one.args)) for one in calls],
        sources=cited,
        stop=_STOPS[stops[-1]] if stops else None,
        counts=[usage.prompt_token_count + usage.tool_use_prompt_token_count,
                usage.candidates_token_count + usage.thoughts_token_count,
                usage.cached_content_token_count, 0, usage.thoughts_token_count],
    )  # fmt: skip


def _of_converse(answer: _Conversed) -> Facts:
    blocks, usage = answer.output.message.content, answer.usage
    cached, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    calls = [one.tool_use for one in blocks if one.tool_use is not None]
    return made(
        text="".join(one.text for one in blocks),
        refusal="",
        reasoning="".join(
            one.reasoning_content.reasoning_text.text for one in blocks if one.reasoning_content is not None
        ),
        calls=[(one.name, json.dumps(one.input)) for one in calls],
        sources=[],
        stop=_STOPS[answer.stop_reason],
        counts=[usage.input_tokens + cached + written, usage.output_tokens, cached, written, 0],
    )


def _of_cohere(answer: _Chatted) -> Facts:
    message, billed = answer.message, answer.usage.billed_units
    # Cohere does not bill the tokens that it adds to a prompt, but counts them among those read from a cache.
    cached = min(answer.usage.cached_tokens, billed.input_tokens)
    return made(
        text=message.tool_plan + "".join(one.text for one in message.content),
        refusal="",
        reasoning="",
        calls=[(one.function.name, one.function.arguments) for one in message.tool_calls],
        sources=[],
        stop=_STOPS[answer.finish_reason],
        counts=[billed.input_tokens, billed.output_tokens, cached, 0, 0],
    )
