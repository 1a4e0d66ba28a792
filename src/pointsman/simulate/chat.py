"""`/v1/chat/completions`, streamed and not streamed."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pointsman.simulate.answers import DONE, SSE, Answer, Ask, Event, Rejected, error, json_answer, names, sse, usage
from pointsman.simulate.settings import sample
from pointsman.simulate.text import content_tokens, count_tokens, json_tokens, minimal, words
from pointsman.simulate.tools import added

_KNOWN = names(
    """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
    messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format
    safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
    top_logprobs top_p user verbosity web_search_options
    """
)
_REPLY_OVERHEAD = 3  # tokens that begin every reply
_CALL_OVERHEAD = 4  # tokens of a tool call besides its arguments

Positive = Annotated[int, Meta(ge=1)]


class StreamOptions(Struct):
    include_usage: bool | None = None


class Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Function(Struct):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    type: str
    function: Function | None = None


class ChatRequest(Struct, kw_only=True):
    """The fields that affect the answer."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class Choice(Struct):
    """One choice: its tokens, and the tool whose arguments they are, if any."""

    index: int
    tokens: list[str]
    finish_reason: str
    tool: str | None = None
    call_id: str = ""

    @property
    def token_count(self) -> int:
        return len(self.tokens) + (_CALL_OVERHEAD if self.tool else 0)


def chat(ask: Ask) -> Answer:
    """Answer a chat request."""
    request = ask.decode(ChatRequest, _KNOWN.union(ask.settings.more_fields))
    if request.stream_options is not None and not request.stream:
        raise Rejected(
            error(
                400,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        )
    extra = added(ask)
    tokens_in = prompt_tokens(request) + extra.tokens
    cached = int(tokens_in * ask.settings.cached_share)
    choices = [_choice(ask, request, index) for index in range(request.n or 1)]
    tokens_out = sum(choice.token_count for choice in choices)
    counts = usage(tokens_in, cached, tokens_out)
    if "live_search" in extra.calls:
        counts["num_sources_used"] = extra.calls["live_search"]
    if request.stream:
        answer = Answer(content_type=SSE, events=_events(ask, request, choices, counts))
    else:
        whole = [_whole(choice, request) for choice in choices]
        answer = json_answer(_base(ask, request, "chat.completion", choices=whole, usage=counts))
    answer.tokens_in, answer.tokens_cached, answer.tokens_out = tokens_in, cached, tokens_out
    answer.fees_nano = extra.fees_nano
    return answer


def prompt_tokens(request: ChatRequest) -> int:
    """Count the billed prompt: messages, and tools with their schemas."""
    count = _REPLY_OVERHEAD
    for message in request.messages:
        count += content_tokens(message.content)
        if message.tool_calls:
            count += count_tokens(msgspec.json.encode(message.tool_calls).decode())
    if request.tools:
        count += count_tokens(msgspec.json.encode(request.tools).decode())
    return count


def _choice(ask: Ask, request: ChatRequest, index: int) -> Choice:
    limit = request.max_completion_tokens or request.max_tokens
    tool = _tool(request)
    if tool is not None:
        arguments = json_tokens(minimal(tool.parameters or {"type": "object"}))
        return Choice(index, arguments, "tool_calls", tool.name, ask.new_id(f"call_{index}"))
    schema = _schema(request)
    if schema is not None:
        tokens = json_tokens(minimal(schema))
        wanted = len(tokens)
    else:
        wanted = answer_length(ask, limit)
        tokens = words(min(wanted, limit or wanted), ask.settings.text, ask.rng)
    if limit is not None and (wanted > limit or ask.settings.output_tokens == "max_tokens"):
        return Choice(index, tokens[:limit], "length")
    return Choice(index, tokens, "stop")


def answer_length(ask: Ask, limit: int | None) -> int:
    """Return the number of tokens of an answer without a limit."""
    if ask.settings.output_tokens == "max_tokens":
        return limit or 16
    return max(1, round(sample(ask.settings.output_tokens, ask.rng)))


def _tool(request: ChatRequest) -> Function | None:
    """Choose the function to call. By default the model calls the first tool, unless it was just given a result."""
    functions = [tool.function for tool in request.tools or () if tool.function is not None]
    choice = request.tool_choice
    if not functions or choice == "none":
        return None
    if isinstance(choice, dict):
        named = choice.get("function", {}).get("name")
        for function in functions:
            if function.name == named:
                return function
        raise Rejected(error(400, f"Tool choice {named!r} not found in 'tools'.", param="tool_choice"))
    if choice != "required" and request.messages[-1].role in {"tool", "function"}:
        return None
    return functions[0]


def _schema(request: ChatRequest) -> Any:
    response_format = request.response_format or {}
    if response_format.get("type") == "json_schema":
        return response_format.get("json_schema", {}).get("schema", {"type": "object"})
    if response_format.get("type") == "json_object":
        return {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return None


def _base(ask: Ask, request: ChatRequest, kind: str, **fields: object) -> dict[str, Any]:
    return {
        "id": ask.new_id("chatcmpl-"),
        "object": kind,
        "created": ask.created,
        "model": request.model,
        **fields,
        "service_tier": "default",
        "system_fingerprint": f"fp_{ask.settings.name}",
    }


def _whole(choice: Choice, request: ChatRequest) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    text = "".join(choice.tokens)
    if choice.tool is None:
        message["content"] = text
    else:
        message["tool_calls"] = [_call(choice, text)]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": _logprobs(choice.tokens, request) if choice.tool is None else None,
        "finish_reason": choice.finish_reason,
    }


def _logprobs(tokens: list[str], request: ChatRequest) -> dict[str, Any] | None:
    if not request.logprobs:
        return None
    content = []
    for token in tokens:
        entry = {"token": token, "logprob": -0.1, "bytes": list(token.encode())}
        content.append({**entry, "top_logprobs": [entry] * min(1, request.top_logprobs or 0)})
    return {"content": content, "refusal": None}


def _events(ask: Ask, request: ChatRequest, choices: list[Choice], counts: dict[str, Any]) -> list[Event]:
    """Build all events: the role of every choice, their tokens in turn, their ends, usage if requested, `[DONE]`."""
    wants_usage = request.stream_options is not None and bool(request.stream_options.include_usage)
    base = _base(ask, request, "chat.completion.chunk")
    # All chunks share their head and tail, so that a token costs little more than its own bytes.
    head = b"data: " + msgspec.json.encode(base)[:-1] + b',"choices":[{"index":%d,"delta":'
    tail = b',"logprobs":%b,"finish_reason":%b}]' + (b',"usage":null' if wants_usage else b"") + b"}\n\n"
    encode = msgspec.json.encode

    def chunk(choice: Choice, delta: bytes, token: str | None = None, *, ends: bool = False) -> bytes:
        logprobs = encode(_logprobs([token], request)) if token is not None and request.logprobs else b"null"
        finish = encode(choice.finish_reason) if ends else b"null"
        return head % choice.index + delta + tail % (logprobs, finish)

    events = [Event(chunk(choice, _first_delta(choice))) for choice in choices]
    for choice in choices:
        if choice.tool is not None:
            delta = {"tool_calls": [{"index": 0, **_call(choice, "")}]}
            events.append(Event(chunk(choice, encode(delta)), _CALL_OVERHEAD, is_content=True))
    for position in range(max(len(choice.tokens) for choice in choices)):
        for choice in choices:
            if position >= len(choice.tokens):
                continue
            token = choice.tokens[position]
            if choice.tool is None:
                data = chunk(choice, b'{"content":%b}' % encode(token), token)
            else:
                data = chunk(
                    choice,
                    b'{"tool_calls":[{"index":0,"function":{"arguments":%b}}]}' % encode(token),
                )
            events.append(Event(data, 1, is_content=True))
    events.extend(Event(chunk(choice, b"{}", ends=True)) for choice in choices)
    if wants_usage:
        events.append(sse({**base, "choices": [], "usage": counts}))
    events.append(DONE)
    return events


def _first_delta(choice: Choice) -> bytes:
    if choice.tool is None:
        return b'{"role":"assistant","content":"","refusal":null}'
    return b'{"role":"assistant","content":null,"refusal":null}'


def _call(choice: Choice, arguments: str) -> dict[str, Any]:
    return {"id": choice.call_id, "type": "function", "function": {"name": choice.tool, "arguments": arguments}}
