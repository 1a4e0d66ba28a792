"""`/v1/chat/completions`, streamed and not streamed."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pointsman.simulate.answers import (
    DONE,
    SSE,
    Answer,
    Event,
    Rejected,
    RequestContext,
    error,
    json_answer,
    names,
    sse,
    usage,
)
from pointsman.simulate.model import CALL_OVERHEAD, Called, Function, Turn, Wish, respond
from pointsman.simulate.prefill import chat_prefill
from pointsman.simulate.text import content_tokens, count_tokens
from pointsman.simulate.tools import additions

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

Positive = Annotated[int, Meta(ge=1)]


class StreamOptions(Struct):
    include_usage: bool | None = None


class Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class FunctionTool(Struct):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    type: str
    function: FunctionTool | None = None


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
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None


class Choice(Struct):
    """One choice: its number, the turn of the model, and the ids of its calls."""

    index: int
    turn: Turn
    finish_reason: str
    call_ids: list[str]


def chat(context: RequestContext) -> Answer:
    """Answer a chat request."""
    request = context.decode(ChatRequest, _KNOWN.union(context.settings.more_fields))
    if request.stream_options is not None and not request.stream:
        raise Rejected(
            error(
                400,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        )
    _check_calls(request.messages)
    extra = additions(context)
    tokens_in = prompt_tokens(request) + extra.tokens
    cached = int(tokens_in * context.settings.cached_share)
    written = int((tokens_in - cached) * context.settings.cache_write_share)
    choices = [_choice(context, request, index) for index in range(request.n or 1)]
    tokens_out = sum(choice.turn.token_count for choice in choices)
    counts = usage(tokens_in, cached, tokens_out, written)
    counts["completion_tokens_details"]["reasoning_tokens"] = sum(len(choice.turn.reasoning) for choice in choices)
    if "live_search" in extra.calls:
        counts["num_sources_used"] = extra.calls["live_search"]
    if request.stream:
        answer = Answer(content_type=SSE, events=_events(context, request, choices, counts))
    else:
        shows = context.settings.shows_reasoning
        whole = [_whole(choice, request, shows_reasoning=shows) for choice in choices]
        answer = json_answer(_base(context, request, "chat.completion", choices=whole, usage=counts))
    answer.tokens_in, answer.tokens_cached, answer.tokens_out = tokens_in, cached, tokens_out
    answer.tokens_cache_write, answer.fees_nano = written, extra.fees_nano
    return answer


def _check_calls(messages: list[Message]) -> None:
    """Raise `Rejected` unless the results of all calls follow them, and every result its call."""
    missing: list[str] = []
    called: set[str] = set()
    for number, message in enumerate([*messages, Message("user")]):
        if message.role == "tool":
            if message.tool_call_id not in called:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise Rejected(error(400, f"Invalid parameter: {text}", param=f"messages.[{number}].role"))
            missing = [name for name in missing if name != message.tool_call_id]
            continue
        if missing:
            text = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
                f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(missing)}"
            )
            raise Rejected(error(400, text, param="messages"))
        missing = [str(call.get("id")) for call in message.tool_calls or ()]
        called = set(missing)


def prompt_tokens(request: ChatRequest) -> int:
    """Count the billed tokens of the prompt: messages, and tools with their schemas."""
    count = _REPLY_OVERHEAD
    for message in request.messages:
        count += content_tokens(message.content)
        if message.tool_calls:
            count += count_tokens(msgspec.json.encode(message.tool_calls).decode())
    if request.tools:
        count += count_tokens(msgspec.json.encode(request.tools).decode())
    return count


def _choice(context: RequestContext, request: ChatRequest, index: int) -> Choice:
    limit = request.max_completion_tokens or request.max_tokens
    turn = respond(context, _wish(request, limit, chat_prefill(context)))
    ids = [context.new_id(f"call_{index}_{call.number}") for call in turn.calls]
    is_full = context.settings.output_tokens == "max_tokens" and limit is not None and bool(turn.text)
    if turn.is_filtered:
        return Choice(index, turn, "content_filter", ids)
    reason = "length" if turn.is_cut or is_full else "tool_calls" if turn.calls else "stop"
    return Choice(index, turn, reason, ids)


def _wish(request: ChatRequest, limit: int | None, prefill: str | None) -> Wish:
    choice = request.tool_choice
    functions = [tool.function for tool in request.tools or () if tool.function is not None]
    if isinstance(choice, dict):
        named = choice.get("function", {}).get("name")
        functions = [function for function in functions if function.name == named]
        if not functions and request.tools:
            raise Rejected(error(400, f"Tool choice {named!r} not found in 'tools'.", param="tool_choice"))
    return Wish(
        limit=limit,
        thinks=request.reasoning_effort not in (None, "none"),
        functions=[] if choice == "none" else [Function(one.name, one.parameters) for one in functions],
        must_call=choice == "required" or isinstance(choice, dict),
        has_result=request.messages[-1].role in {"tool", "function"},
        is_parallel=request.parallel_tool_calls is not False,
        schema=_schema(request),
        prefill=prefill,
    )


def _schema(request: ChatRequest) -> Any:
    response_format = request.response_format or {}
    if response_format.get("type") == "json_schema":
        return response_format.get("json_schema", {}).get("schema", {"type": "object"})
    if response_format.get("type") == "json_object":
        return {"properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return None


def _base(context: RequestContext, request: ChatRequest, kind: str, **fields: object) -> dict[str, Any]:
    return {
        "id": context.new_id("chatcmpl-"),
        "object": kind,
        "created": context.created,
        "model": request.model,
        **fields,
        "service_tier": "default",
        "system_fingerprint": f"fp_{context.settings.name}",
    }


def _whole(choice: Choice, request: ChatRequest, *, shows_reasoning: bool) -> dict[str, Any]:
    turn = choice.turn
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if shows_reasoning and turn.reasoning:
        message["reasoning_content"] = "".join(turn.reasoning)
    if turn.refusal:
        message["refusal"] = "".join(turn.refusal)
    elif turn.calls:
        message["tool_calls"] = [
            _call(name, call, call.arguments) for name, call in zip(choice.call_ids, turn.calls, strict=True)
        ]
    else:
        message["content"] = "".join(turn.text)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None if turn.calls else _logprobs(turn.text, request),
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


def _events(
    context: RequestContext, request: ChatRequest, choices: list[Choice], counts: dict[str, Any]
) -> list[Event]:
    """Build all events: the role of every choice, the tokens of all choices in turn, the finish reasons, the usage if
    requested, and `[DONE]`."""
    wants_usage = request.stream_options is not None and bool(request.stream_options.include_usage)
    base = _base(context, request, "chat.completion.chunk")
    # All chunks share their head and tail, so that a token costs little more than its own bytes.
    head = b"data: " + msgspec.json.encode(base)[:-1] + b',"choices":[{"index":%d,"delta":'
    tail = b',"logprobs":%b,"finish_reason":%b}]' + (b',"usage":null' if wants_usage else b"") + b"}\n\n"
    encode = msgspec.json.encode

    def chunk(choice: Choice, delta: bytes, token: str | None = None, *, ends: bool = False) -> bytes:
        logprobs = encode(_logprobs([token], request)) if token is not None and request.logprobs else b"null"
        finish = encode(choice.finish_reason) if ends else b"null"
        return head % choice.index + delta + tail % (logprobs, finish)

    events = [Event(chunk(choice, _first_delta(choice))) for choice in choices]
    shows = context.settings.shows_reasoning
    parts = [list(_deltas(choice, shows_reasoning=shows)) for choice in choices]
    for position in range(max(map(len, parts))):
        for choice, own in zip(choices, parts, strict=True):
            if position < len(own):
                delta, token, count = own[position]
                events.append(Event(chunk(choice, delta, token), count, is_content=True))
    events.extend(Event(chunk(choice, b"{}", ends=True)) for choice in choices)
    if wants_usage:
        events.append(sse({**base, "choices": [], "usage": counts}))
    events.append(DONE)
    return events


def _deltas(choice: Choice, *, shows_reasoning: bool) -> Iterator[tuple[bytes, str | None, int]]:
    """Return the deltas of a choice, each with its token of text, if any, and the number of tokens it carries. The
    first delta after hidden reasoning carries the tokens of the reasoning."""
    turn, encode = choice.turn, msgspec.json.encode
    hidden = 0 if shows_reasoning else len(turn.reasoning)
    if shows_reasoning:
        for token in turn.reasoning:
            yield b'{"reasoning_content":%b}' % encode(token), None, 1
    for token in turn.text:
        yield b'{"content":%b}' % encode(token), token, 1 + hidden
        hidden = 0
    for token in turn.refusal:
        yield b'{"refusal":%b}' % encode(token), None, 1 + hidden
        hidden = 0
    for index, (name, call) in enumerate(zip(choice.call_ids, turn.calls, strict=True)):
        yield encode({"tool_calls": [{"index": index, **_call(name, call, "")}]}), None, CALL_OVERHEAD + hidden
        hidden = 0
        for token in call.tokens:
            delta = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
            yield delta % (index, encode(token)), None, 1


def _first_delta(choice: Choice) -> bytes:
    if choice.turn.calls:
        return b'{"role":"assistant","content":null,"refusal":null}'
    return b'{"role":"assistant","content":"","refusal":null}'


def _call(name: str, call: Called, arguments: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": arguments}}
