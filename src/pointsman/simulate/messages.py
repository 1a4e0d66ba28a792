"""Anthropic's `/v1/messages`, streamed and not streamed, and `/v1/messages/count_tokens`.

https://platform.claude.com/docs/en/api/messages, https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from pointsman.simulate.answers import SSE, Answer, Event, Rejected, RequestContext, json_answer, names, sse
from pointsman.simulate.anthropic_errors import anthropic_error, invalid
from pointsman.simulate.message_checks import Message, check_messages
from pointsman.simulate.model import CALL_OVERHEAD, Function, Turn, Wish, respond, seal
from pointsman.simulate.prefill import message_prefill
from pointsman.simulate.text import content_tokens, count_tokens
from pointsman.simulate.tools import Additions, additions

PATH = "/v1/messages"
_COUNTED = names("cache_control messages model output_config speed system thinking tool_choice tools")
_KNOWN = _COUNTED | names(
    """
    container context_management diagnostics inference_geo max_tokens mcp_servers metadata service_tier stop_sequences
    stream temperature top_k top_p user_profile_id workspace_id
    """
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_MIN_BUDGET = 1_024
_REPLY_OVERHEAD = 3  # tokens that begin every reply
_MODEL_MISSING = "model: {}"
_CLEARING = "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive"
_FORCED = "Thinking may not be enabled when tool_choice forces tool use."

T = TypeVar("T", bound="CountRequest")


class Thinking(Struct):
    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputConfig(Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: dict[str, Any] | None = None


class AnthropicTool(Struct):
    name: str
    type: str = "custom"
    input_schema: dict[str, Any] | None = None


class AnthropicChoice(Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class CountRequest(Struct, kw_only=True):
    """The fields of a request whose tokens are counted."""

    model: str
    messages: list[Message]
    system: str | list[dict[str, Any]] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    @property
    def is_thinking(self) -> bool:
        return self.thinking is not None and self.thinking.type != "disabled"


class MessageRequest(CountRequest, kw_only=True):
    """The fields that affect the answer."""

    max_tokens: Annotated[int, Meta(ge=1)]
    stream: bool | None = None
    context_management: dict[str, Any] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None


class Counts(Struct, kw_only=True):
    """The tokens of an answer. `prompt` includes the other two."""

    prompt: int
    cached: int
    written: int
    answer: int
    thinking: int

    def shown(self, calls: dict[str, int], answer: int | None = None) -> dict[str, Any]:
        """Return the object `usage`. `answer` is the number of tokens so far, if the answer is not complete."""
        usage: dict[str, Any] = {
            "input_tokens": self.prompt - self.cached - self.written,
            "cache_creation_input_tokens": self.written,
            "cache_read_input_tokens": self.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": self.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": self.answer if answer is None else answer,
            "service_tier": "standard",
        }
        if self.thinking and answer is None:
            usage["output_tokens_details"] = {"thinking_tokens": self.thinking}
        if calls:
            usage["server_tool_use"] = {f"{name}_requests": count for name, count in calls.items()}
        return usage


def messages(context: RequestContext) -> Answer:
    """Answer a request for a message."""
    request = _decode(context, MessageRequest, _KNOWN)
    _check(context, request)
    extra = additions(context)
    turn = respond(context, _wish(context, request))
    counts = _counts(context, request, turn, extra)
    calls: dict[str, int] = {}
    for name, count in extra.calls.items():  # the versions of a tool share one count
        family = re.sub(r"_\d{8}\Z", "", name)
        calls[family] = calls.get(family, 0) + count
    message = {
        "id": context.new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": _content(context, request, turn),
        "stop_reason": _stop_reason(turn),
        "stop_sequence": None,
        "usage": counts.shown(calls),
    }
    if request.stream:
        answer = Answer(content_type=SSE, events=_events(message, turn, counts.shown(calls, answer=1)))
    else:
        answer = json_answer(message)
    answer.dialect = "anthropic"
    answer.tokens_in, answer.tokens_cached, answer.tokens_out = counts.prompt, counts.cached, counts.answer
    answer.tokens_cache_write, answer.fees_nano = counts.written, extra.fees_nano
    return answer


def _stop_reason(turn: Turn) -> str:
    if turn.refusal or turn.is_filtered:
        return "refusal"  # https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    return "max_tokens" if turn.is_cut else "tool_use" if turn.calls else "end_turn"


def count_message_tokens(context: RequestContext) -> Answer:
    """Count the tokens of a request, which costs nothing.
    https://platform.claude.com/docs/en/api/messages-count-tokens"""
    request = _decode(context, CountRequest, _COUNTED)
    check_messages(context, request.messages, must_think=False)
    answer = json_answer({"input_tokens": prompt_tokens(request)})
    answer.dialect = "anthropic"
    return answer


def prompt_tokens(request: CountRequest) -> int:
    """Count the billed tokens of the prompt: instructions, messages, and tools with their schemas."""
    count = _REPLY_OVERHEAD
    if request.system:
        count += content_tokens(request.system)
    for message in request.messages:
        count += sum(_block_tokens(block) for block in message.blocks)
    if request.tools:
        count += count_tokens(msgspec.json.encode(request.tools).decode())
    return count


def _block_tokens(block: dict[str, Any]) -> int:
    match block["type"]:
        case "tool_use":
            return count_tokens(msgspec.json.encode(block["input"]).decode()) + CALL_OVERHEAD
        case "tool_result":
            return content_tokens(block.get("content"))
        case "thinking":
            return count_tokens(block["thinking"])
        case _:
            return content_tokens([block])


def _decode(context: RequestContext, into: type[T], known: frozenset[str]) -> T:
    """Decode the body. Raise `Rejected` for a missing version, for an unknown field or model, or a wrong type."""
    if "anthropic-version" not in context.request.headers:
        raise invalid("anthropic-version: header is required")
    unknown = sorted(context.fields.keys() - known)
    if unknown:
        raise invalid(f"{unknown[0]}: Extra inputs are not permitted")
    try:
        request = msgspec.json.decode(context.request.body, type=into)
    except msgspec.ValidationError as failure:
        raise invalid(_readable(str(failure))) from None
    if request.model not in context.settings.models:
        raise Rejected(anthropic_error(404, _MODEL_MISSING.format(request.model)))
    return request


def _readable(message: str) -> str:
    """Translate a decoder's error message into one of the API: the field, a colon and the error."""
    missing = re.search(r"missing required field `(.+?)`", message)
    path = re.search(r" - at `\$\.?(.*?)`", message)
    place = re.sub(r"\[(.*?)\]", r".\1", path[1]) if path else ""
    if missing:
        return f"{place}.{missing[1]}: Field required".lstrip(".")
    return f"{place}: {message.partition(' - at ')[0]}"


def _check(context: RequestContext, request: MessageRequest) -> None:
    """Raise `Rejected` if fields do not fit together."""
    thinking, choice = request.thinking, request.tool_choice
    for number, tool in enumerate(request.tools or ()):
        place = f"tools.{number}.custom"
        if not _TOOL_NAME.match(tool.name):
            raise invalid(f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.type == "custom" and tool.input_schema is None:
            raise invalid(f"{place}.input_schema: Field required")
        if tool.type == "custom" and (tool.input_schema or {}).get("type") != "object":
            raise invalid(f"{place}.input_schema.type: Input should be 'object'")
    if choice is not None and not request.tools:
        raise invalid("tool_choice: tool_choice may only be specified while providing tools")
    if choice is not None and choice.type == "tool" and choice.name not in {tool.name for tool in request.tools or ()}:
        raise invalid(f"Tool '{choice.name}' not found in provided tools")
    if thinking is not None and thinking.type == "enabled":
        budget = thinking.budget_tokens
        if budget is None:
            raise invalid("thinking.enabled.budget_tokens: Field required")
        if budget < _MIN_BUDGET:
            raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_MIN_BUDGET}")
        if budget >= request.max_tokens:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if request.is_thinking and choice is not None and choice.type in ("any", "tool"):
        raise invalid(_FORCED)
    if request.is_thinking and request.temperature not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    edits = (request.context_management or {}).get("edits") or ()
    if not request.is_thinking and any(edit.get("type") == "clear_thinking_20251015" for edit in edits):
        raise invalid(_CLEARING)
    must_think = thinking is not None and thinking.type == "enabled"
    check_messages(context, request.messages, must_think=must_think)


def _wish(context: RequestContext, request: MessageRequest) -> Wish:
    choice = request.tool_choice or AnthropicChoice("auto")
    functions = [Function(tool.name, tool.input_schema) for tool in request.tools or () if tool.type == "custom"]
    if choice.type == "tool":
        functions = [function for function in functions if function.name == choice.name]
    form = request.output_config.format if request.output_config is not None else None
    return Wish(
        limit=request.max_tokens,
        thinks=request.is_thinking,
        functions=[] if choice.type == "none" else functions,
        must_call=choice.type in ("any", "tool"),
        has_result=bool(request.messages[-1].ids("tool_result", "tool_use_id")),
        is_parallel=not choice.disable_parallel_tool_use,
        schema=form.get("schema") if form is not None else None,
        prefill=message_prefill(context, request.messages[-1].prefill),
    )


def _counts(context: RequestContext, request: MessageRequest, turn: Turn, extra: Additions) -> Counts:
    prompt = prompt_tokens(request) + extra.tokens
    # Only a request that marks a part of its prompt uses the cache.
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    is_marked = b'"cache_control"' in context.request.body
    cached = int(prompt * context.settings.cached_share) if is_marked else 0
    written = int((prompt - cached) * context.settings.cache_write_share) if is_marked else 0
    return Counts(prompt=prompt, cached=cached, written=written, answer=turn.token_count, thinking=len(turn.reasoning))


def _content(context: RequestContext, request: MessageRequest, turn: Turn) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if turn.reasoning:
        is_shown = request.thinking is None or request.thinking.display != "omitted"
        text = "".join(turn.reasoning) if is_shown else ""
        blocks.append({"type": "thinking", "thinking": text, "signature": seal(context, "thinking", text)})
    if turn.text:
        blocks.append({"type": "text", "text": "".join(turn.text)})
    for call in turn.calls:
        use: dict[str, Any] = {"type": "tool_use", "id": context.new_id(f"toolu_{call.number}"), "name": call.name}
        blocks.append({**use, "input": msgspec.json.decode(call.arguments)})
    return blocks


def _events(message: dict[str, Any], turn: Turn, first_usage: dict[str, Any]) -> list[Event]:
    begun = {**message, "content": [], "stop_reason": None, "usage": first_usage}
    events = [_event("message_start", message=begun)]
    calls = iter(turn.calls)
    for index, block in enumerate(message["content"]):
        match block["type"]:
            case "thinking":
                begin = {**block, "thinking": "", "signature": ""}
                # Reasoning that is not shown takes its time too.
                shown = turn.reasoning if block["thinking"] else [""] * len(turn.reasoning)
                deltas = [
                    *(_delta(index, 1, "thinking_delta", thinking=token) for token in shown),
                    _delta(index, 0, "signature_delta", signature=block["signature"]),
                ]
            case "text":
                begin = {**block, "text": ""}
                deltas = [_delta(index, 1, "text_delta", text=token) for token in turn.text]
            case _:
                call = next(calls)
                begin = {**block, "input": {}}
                deltas = [_delta(index, CALL_OVERHEAD, "input_json_delta", partial_json="")]
                deltas += [_delta(index, 1, "input_json_delta", partial_json=token) for token in call.tokens]
        events.append(_event("content_block_start", index=index, content_block=begin))
        if index == 0:
            events.append(_event("ping"))
        events += [*deltas, _event("content_block_stop", index=index)]
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    last_usage = {name: value for name, value in message["usage"].items() if name in _DELTA_USAGE}
    events.append(_event("message_delta", delta=delta, usage=last_usage))
    events.append(_event("message_stop", is_end=True))
    return events


_DELTA_USAGE = names(
    """
    cache_creation_input_tokens cache_read_input_tokens input_tokens output_tokens output_tokens_details server_tool_use
    """
)


def _event(kind: str, *, is_end: bool = False, **fields: Any) -> Event:
    return sse({"type": kind, **fields}, kind, is_end=is_end)


def _delta(index: int, tokens: int, kind: str, **fields: Any) -> Event:
    event = {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}
    return sse(event, "content_block_delta", tokens)
