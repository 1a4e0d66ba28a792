"""Gemini's `generateContent`, `streamGenerateContent`, `countTokens`, `embedContent` and `batchEmbedContents`.

https://ai.google.dev/api/generate-content, https://ai.google.dev/api/tokens, https://ai.google.dev/api/embeddings. The
path names the model. A stream has no closing event: the one with the reason for the end is the last. Every event has
the counts so far.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from pointsman.simulate.answers import SSE, Answer, Event, Rejected, Request, RequestContext, json_answer, sse
from pointsman.simulate.embeddings import unit_vector
from pointsman.simulate.gemini_contents import Content, FunctionCall, check_contents, sealed_name
from pointsman.simulate.gemini_errors import google_error, invalid
from pointsman.simulate.model import Function, Turn, Wish, respond, seal
from pointsman.simulate.text import count_tokens

_PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<method>[A-Za-z]+)")
MODELS = "/v1beta/models"
_MOST_STOPS = 5
_UNKNOWN = 'Invalid JSON payload received. Unknown name "{}": Cannot find field.'
_BOTH = "You can only set only one of thinking budget and thinking level."

T = TypeVar("T", bound=Struct)


class ThinkingConfig(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    include_thoughts: bool = False
    thinking_budget: Annotated[int, Meta(ge=-1, le=32_768)] | None = None
    thinking_level: Literal["minimal", "low", "medium", "high", "MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class GenerationConfig(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    candidate_count: int | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: float | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=_MOST_STOPS)] = []
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_logprobs: bool = False
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_mime_type: str = "text/plain"
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] = []
    thinking_config: ThinkingConfig | None = None


class Declaration(Struct, rename="camel"):
    name: str
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class GeminiTool(Struct, rename="camel"):
    function_declarations: list[Declaration] = []


class CallingConfig(Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = []


class ToolConfig(Struct, rename="camel", frozen=True):
    function_calling_config: CallingConfig = CallingConfig()


class GenerateRequest(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A request for an answer."""

    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[GeminiTool] = []
    tool_config: ToolConfig = ToolConfig()
    generation_config: GenerationConfig = GenerationConfig()
    safety_settings: list[dict[str, Any]] = []
    labels: dict[str, str] = {}
    service_tier: str | None = None
    model: str | None = None

    @property
    def declared(self) -> list[Declaration]:
        return [one for tool in self.tools for one in tool.function_declarations]

    @property
    def thinks(self) -> bool:
        asked = self.generation_config.thinking_config
        return asked is not None and asked.thinking_budget != 0 and asked != ThinkingConfig()


class CountRequest(Struct, rename="camel", forbid_unknown_fields=True):
    contents: list[Content] | None = None
    generate_content_request: GenerateRequest | None = None


class EmbedRequest(Struct, rename="camel", forbid_unknown_fields=True):
    content: Content
    model: str | None = None
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: Annotated[int, Meta(ge=1, le=3072)] | None = None


class BatchRequest(Struct, forbid_unknown_fields=True):
    requests: Annotated[list[EmbedRequest], Meta(min_length=1, max_length=100)]


class Spent(Struct):
    """The tokens of an answer so far. `prompt` includes the cached ones; `answer` excludes the thoughts."""

    prompt: int
    cached: int
    answer: int = 0
    thoughts: int = 0

    def shown(self) -> dict[str, Any]:
        """Return the object `usageMetadata`. Google leaves out counts of 0."""
        counts = {
            "promptTokenCount": self.prompt,
            "candidatesTokenCount": self.answer,
            "thoughtsTokenCount": self.thoughts,
            "cachedContentTokenCount": self.cached,
            "totalTokenCount": self.prompt + self.answer + self.thoughts,
        }
        return {name: count for name, count in counts.items() if count}


def is_path(path: str) -> bool:
    """Return whether a path is one of this API."""
    return _PATH.fullmatch(path) is not None or path == MODELS


def model_of(path: str) -> str:
    """Return the model that a path names, or an empty string."""
    found = _PATH.fullmatch(path)
    return found["model"] if found is not None else ""


def without_streaming(request: Request) -> Request:
    """Return the request as a server that does not support streaming reads it."""
    target = request.target.replace(":streamGenerateContent", ":generateContent")
    return msgspec.structs.replace(request, target=target)


def gemini(context: RequestContext) -> Answer:
    """Answer a request of this API."""
    if context.request.path == MODELS:
        return _answer({"models": [_listed(name) for name in context.settings.models]})
    found = _PATH.fullmatch(context.request.path)
    assert found is not None
    if found["model"] not in context.settings.models:
        message = f"models/{found['model']} is not found for API version v1beta, or is not supported."
        raise Rejected(google_error(404, message))
    match found["method"]:
        case "generateContent":
            return _generate(context, found["model"], stream=False)
        case "streamGenerateContent":
            if "alt=sse" not in context.request.target.partition("?")[2].split("&"):
                raise invalid("A stream is simulated with alt=sse only.")
            return _generate(context, found["model"], stream=True)
        case "countTokens":
            return _count(context)
        case "embedContent":
            return _embed(context, [_decode(context, EmbedRequest)], "embedding")
        case "batchEmbedContents":
            return _embed(context, _decode(context, BatchRequest).requests, "embeddings")
    raise Rejected(google_error(404))


def _answer(value: object, **tokens: int) -> Answer:
    answer = json_answer(value, **tokens)
    answer.dialect = "gemini"
    return answer


def _listed(name: str) -> dict[str, Any]:
    methods = ["embedContent"] if "embedding" in name else ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "supportedGenerationMethods": methods}


def _decode(context: RequestContext, into: type[T]) -> T:
    """Decode the body. Raise `Rejected` for an unknown field or a wrong type."""
    try:
        return msgspec.json.decode(context.request.body, type=into)
    except msgspec.ValidationError as failure:
        unknown = re.search(r"unknown field `(.+?)`", str(failure))
        raise invalid(_UNKNOWN.format(unknown[1]) if unknown else f"Invalid value: {failure}") from None


def prompt_tokens(request: GenerateRequest) -> int:
    """Count the billed tokens of the prompt: instructions, contents, and functions with their schemas."""
    count = sum(content.tokens for content in request.contents)
    if request.system_instruction is not None:
        count += request.system_instruction.tokens
    if request.declared:
        count += count_tokens(msgspec.json.encode(request.declared).decode())
    return count


def _generate(context: RequestContext, model: str, *, stream: bool) -> Answer:
    request = _decode(context, GenerateRequest)
    _check(context, request)
    turn = respond(context, _wish(request))
    prompt = prompt_tokens(request)
    spent = Spent(prompt, int(prompt * context.settings.cached_share))
    names = {"modelVersion": model, "responseId": context.new_id("r")}
    parts = list(_parts(context, request, turn))
    reason = "SAFETY" if turn.refusal or turn.is_filtered else "MAX_TOKENS" if turn.is_cut else "STOP"
    if stream:
        answer = Answer(content_type=SSE, events=list(_events(parts, spent, reason, names)))
    else:
        for _, answered, thoughts in parts:
            spent.answer, spent.thoughts = spent.answer + answered, spent.thoughts + thoughts
        candidate = _candidate(_joined([part for part, _, _ in parts]), finishReason=reason)
        answer = json_answer({"candidates": [candidate], "usageMetadata": spent.shown(), **names})
    answer.dialect = "gemini"
    answer.tokens_in, answer.tokens_cached = spent.prompt, spent.cached
    answer.tokens_out = sum(answered + thoughts for _, answered, thoughts in parts)
    return answer


def _check(context: RequestContext, request: GenerateRequest) -> None:
    """Raise `Rejected` if fields do not fit together."""
    config, allowed = request.generation_config, request.tool_config.function_calling_config
    thinking, names = config.thinking_config, [one.name for one in request.declared]
    if (config.candidate_count or 1) != 1:
        raise invalid("Multiple candidates is not enabled for this model")
    if thinking is not None and thinking.thinking_budget is not None and thinking.thinking_level is not None:
        raise invalid(_BOTH)
    if len(set(names)) < len(names):
        raise invalid("Duplicate function declaration found")
    if allowed.allowed_function_names and allowed.mode not in ("ANY", "VALIDATED"):
        raise invalid("allowed_function_names should only be set when the function calling mode is ANY or VALIDATED.")
    if not set(allowed.allowed_function_names) <= set(names):
        raise invalid("allowed_function_names must be a subset of the declared functions.")
    check_contents(context, request.contents)


def _wish(request: GenerateRequest) -> Wish:
    config, allowed = request.generation_config, request.tool_config.function_calling_config
    chosen = allowed.allowed_function_names or [one.name for one in request.declared]
    functions = [
        Function(one.name, one.parameters_json_schema or one.parameters)
        for one in request.declared
        if one.name in chosen and allowed.mode != "NONE"
    ]
    schema = config.response_json_schema or config.response_schema
    if schema is None and config.response_mime_type == "application/json":
        schema = {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return Wish(
        limit=config.max_output_tokens,
        thinks=request.thinks,
        functions=functions,
        must_call=allowed.mode == "ANY",
        has_result=request.contents[-1].results > 0,
        schema=schema,
    )


def _parts(context: RequestContext, request: GenerateRequest, turn: Turn) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Return the parts of an answer, one for each token of a text, each with its tokens of the answer and of thoughts.
    The first part behind hidden thoughts has their tokens."""
    asked = request.generation_config.thinking_config
    hidden = 0
    for token in turn.reasoning:
        if asked is not None and asked.include_thoughts:
            yield {"text": token, "thought": True}, 0, 1
        else:
            hidden += 1
    for token in turn.text:
        yield {"text": token}, 1, hidden
        hidden = 0
    for number, call in enumerate(turn.calls):
        made = FunctionCall(call.name, context.new_id(f"call{number}"), msgspec.json.decode(call.arguments))
        part: dict[str, Any] = {"functionCall": made}
        if turn.reasoning and not number:
            part["thoughtSignature"] = seal(context, "functionCall", sealed_name(made))
        yield part, call.token_count, hidden
        hidden = 0
    if hidden:
        yield {"text": ""}, 0, hidden


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of a whole answer: neighbouring texts are one, and so are neighbouring thoughts."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if found and "text" in part and "text" in found[-1] and part.get("thought") == found[-1].get("thought"):
            found[-1] = {**part, "text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
    return found


def _candidate(parts: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    content = {"content": {"role": "model", "parts": parts}} if parts else {}
    return {**content, **fields, "index": 0}


def _events(
    parts: list[tuple[dict[str, Any], int, int]], spent: Spent, reason: str, names: dict[str, Any]
) -> Iterator[Event]:
    for part, answered, thoughts in parts:
        spent.answer, spent.thoughts = spent.answer + answered, spent.thoughts + thoughts
        event = {"candidates": [_candidate([part])], "usageMetadata": spent.shown(), **names}
        yield sse(event, tokens=answered + thoughts)
    last = _candidate([{"text": ""}] if parts else [], finishReason=reason)
    yield sse({"candidates": [last], "usageMetadata": spent.shown(), **names}, is_end=True)


def _count(context: RequestContext) -> Answer:
    """Count the tokens of a request, which costs nothing."""
    request = _decode(context, CountRequest)
    inner = request.generate_content_request or GenerateRequest(contents=request.contents or [])
    check_contents(context, inner.contents)
    return _answer({"totalTokens": prompt_tokens(inner)})


def _embed(context: RequestContext, requests: list[EmbedRequest], field: str) -> Answer:
    vectors = [{"values": unit_vector(context, one.output_dimensionality or 16)} for one in requests]
    tokens = sum(count_tokens(part.text or "") for one in requests for part in one.content.parts)
    usage = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    found: object = vectors if field == "embeddings" else vectors[0]
    return _answer({field: found, "usageMetadata": usage}, tokens_in=tokens)
