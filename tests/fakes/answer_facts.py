"""The facts in an answer of any dialect, read without the gateway's own code.

Answers are put together by the official SDKs, which also check their types. The facts of two dialects can be compared.
"""

import json
from collections.abc import Iterator
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from msgspec import Struct
from openai import BaseModel
from openai._models import construct_type
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

CHAT, RESPONSES, MESSAGES = "openai", "openai-responses", "anthropic"
_WHOLE: dict[str, Any] = {CHAT: ChatCompletion, RESPONSES: Response, MESSAGES: Message}
_EVENTS: dict[str, Any] = {CHAT: ChatCompletionChunk, RESPONSES: ResponseStreamEvent, MESSAGES: RawMessageStreamEvent}
_ADAPTERS = {**{name: TypeAdapter(one) for name, one in _WHOLE.items()}}
_EVENT_ADAPTERS = {name: TypeAdapter(one) for name, one in _EVENTS.items()}
_LENGTH = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_FILTER = frozenset({"content_filter", "refusal"})
_TOOLS = frozenset({"tool_calls", "tool_use"})


class Facts(Struct, frozen=True):
    """An answer without its form. `calls` are names and arguments, which are decoded if they are JSON. `sources` are
    the cited addresses. `usage` has the tokens of input and output, and among them those read from a cache, written to
    a cache, and of reasoning; a missing usage counts as zeros. The spaces of reasoning are left out, since summaries of
    several parts are joined."""

    text: str
    refusal: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    stop: str
    usage: tuple[int, int, int, int, int]


def whole(dialect: str, body: bytes, *, is_checked: bool) -> dict[str, Any]:
    """Return a whole answer. If `is_checked`, it must have the SDK's types."""
    found: dict[str, Any] = json.loads(body)
    if is_checked:
        _ADAPTERS[dialect].validate_python(found)
        _check_end(dialect, found)
    return found


def streamed(dialect: str, stream: bytes, *, is_checked: bool) -> dict[str, Any]:
    """Return the answer in a stream as the official SDK puts it together. If `is_checked`, its events must have the
    SDK's types, and it must end properly."""
    events = list(_events(stream, dialect))
    if is_checked:
        for event in events:
            _EVENT_ADAPTERS[dialect].validate_python(event)
    found = _together(dialect, stream, events, is_checked=is_checked)
    if is_checked:
        _check_end(dialect, found)
    return found


def _check_end(dialect: str, answer: dict[str, Any]) -> None:
    """Check that an answer names the reason of its end, and that the reason is the call of a tool if it calls one."""
    if dialect == CHAT:
        choice = answer["choices"][0]
        reason, calls = choice["finish_reason"], choice["message"].get("tool_calls")
        assert reason in (("tool_calls",) if calls else ("stop", "length", "content_filter")), f"it ends with {reason}"
    elif dialect == MESSAGES:
        reason, calls = answer["stop_reason"], any(block["type"] == "tool_use" for block in answer["content"])
        assert reason == "tool_use" if calls else reason not in (None, "tool_use"), f"it ends with {reason}"
    else:
        assert answer["status"] in ("completed", "incomplete"), f"its status is {answer['status']}"


def _together(dialect: str, stream: bytes, events: list[dict[str, Any]], *, is_checked: bool) -> dict[str, Any]:
    match dialect:
        case "openai":
            assert not is_checked or stream.rstrip().endswith(b"data: [DONE]"), "the stream has no [DONE]"
            state = ChatCompletionStreamState()
            for event in events:
                state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=event))  # type: ignore[arg-type]
            return _plain(state.current_completion_snapshot)
        case "anthropic":
            assert events[-1]["type"] == "message_stop", "the stream has no message_stop"
            message: Any = None
            parts: dict[int, bytes] = {}
            for event in events:
                if event["type"] != "ping":
                    message = accumulate_event(event=event, current_snapshot=message, json_bufs=parts)  # type: ignore[arg-type]
            return _plain(message)
        case _:
            last = events[-1]
            assert last["type"] in ("response.completed", "response.incomplete"), f"the last event is {last['type']}"
            found: dict[str, Any] = last["response"]
            _check_deltas(events, found)
            return found


def facts(dialect: str, answer: dict[str, Any]) -> Facts:
    """Return the facts in an answer."""
    match dialect:
        case "openai":
            return _of_chat(answer)
        case "anthropic":
            return _of_message(answer)
        case _:
            return _of_response(answer)


def _plain(model: BaseModel | Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", warnings=False)
    return found


def _events(stream: bytes, dialect: str) -> Iterator[dict[str, Any]]:
    """Yield the data of all events. Those of typed dialects must be named like their types."""
    for block in stream.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        data = "\n".join(line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))
        if not data or data == "[DONE]":
            continue
        event = json.loads(data)
        names = [line.removeprefix("event:").strip() for line in lines if line.startswith("event:")]
        assert dialect == CHAT or names == [event["type"]], f"an event of type {event['type']} is named {names}"
        yield event


def _check_deltas(events: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    """Check that the parts of a streamed response are those of the whole one, and that its events are numbered."""
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the events are not numbered in order"
    ends = {
        "response.output_text.delta": "".join(_parts(answer, "output_text", "text")),
        "response.function_call_arguments.delta": "".join(
            item["arguments"] for item in answer["output"] if item["type"] == "function_call"
        ),
    }
    for kind, expected in ends.items():
        deltas: dict[object, str] = {}
        for event in events:
            if event["type"] == kind:
                place = event["output_index"], event.get("content_index")
                deltas[place] = deltas.get(place, "") + event["delta"]
        assert "".join(deltas[place] for place in sorted(deltas)) == expected, f"the parts of {kind} are not the whole"  # type: ignore[type-var]


def _parts(answer: dict[str, Any], kind: str, field: str) -> Iterator[Any]:
    for item in answer["output"]:
        if item["type"] == "message":
            yield from (part[field] for part in item["content"] if part["type"] == kind)


def _of_chat(answer: dict[str, Any]) -> Facts:
    choice = answer["choices"][0]
    message, usage = choice["message"], answer.get("usage") or {}
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    calls = []
    for call in message.get("tool_calls") or ():
        inner = call.get("function") or call["custom"]
        calls.append((inner["name"], inner["arguments"] if "arguments" in inner else inner["input"]))
    thoughts = "".join(one.get("text") or "" for one in message.get("reasoning_details") or ())
    cited = [one["url_citation"]["url"] for one in message.get("annotations") or () if one["type"] == "url_citation"]
    inputs, outputs = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return made(
        text=content,
        refusal=message.get("refusal") or "",
        reasoning=message.get("reasoning_content") or message.get("reasoning") or thoughts,
        calls=calls,
        sources=cited,
        stop=choice.get("finish_reason"),
        counts=[usage.get("prompt_tokens"), usage.get("completion_tokens"), inputs.get("cached_tokens"),
                inputs.get("cache_write_tokens"), outputs.get("reasoning_tokens")],
    )  # fmt: skip


def _of_response(answer: dict[str, Any]) -> Facts:
    calls, thoughts = [], []
    for item in answer["output"]:
        if item["type"] in ("function_call", "custom_tool_call"):
            calls.append((item["name"], item["arguments"] if "arguments" in item else item["input"]))
        elif item["type"] == "reasoning":
            thoughts += [part["text"] for part in item.get("summary") or item.get("content") or ()]
    cited = [one["url"] for found in _parts(answer, "output_text", "annotations") for one in found or ()
             if one["type"] == "url_citation"]  # fmt: skip
    usage, reason = answer.get("usage") or {}, (answer.get("incomplete_details") or {}).get("reason")
    inputs, outputs = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return made(
        text="".join(_parts(answer, "output_text", "text")),
        refusal="".join(_parts(answer, "refusal", "refusal")),
        reasoning="".join(thoughts),
        calls=calls,
        sources=cited,
        stop=reason or answer["status"],
        counts=[usage.get("input_tokens"), usage.get("output_tokens"), inputs.get("cached_tokens"),
                inputs.get("cache_write_tokens"), outputs.get("reasoning_tokens")],
    )  # fmt: skip


def _of_message(answer: dict[str, Any]) -> Facts:
    blocks, usage = answer["content"], answer["usage"]
    texts = [block for block in blocks if block["type"] == "text"]
    cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    cited = [one["url"] for block in texts for one in block.get("citations") or ()
             if one["type"] == "web_search_result_location"]  # fmt: skip
    text = "".join(block["text"] for block in texts)
    is_refusal = answer["stop_reason"] == "refusal"
    return made(
        text="" if is_refusal else text,
        refusal=text if is_refusal else "",
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=[(block["name"], json.dumps(block["input"])) for block in blocks if block["type"] == "tool_use"],
        sources=cited,
        stop=answer["stop_reason"],
        counts=[usage["input_tokens"] + cached + written, usage["output_tokens"], cached, written,
                details.get("thinking_tokens")],
    )  # fmt: skip


def made(
    *,
    text: str,
    refusal: str,
    reasoning: str,
    calls: list[tuple[str, str]],
    sources: list[str],
    stop: str | None,
    counts: list[int | None],
) -> Facts:
    """Return the facts of the parts of an answer."""
    if stop in _LENGTH:
        end = "length"
    elif stop in _FILTER or refusal:
        end = "refusal"
    else:
        end = "tools" if calls or stop in _TOOLS else "end"
    tokens_in, tokens_out, cached, written, reasoned = (count or 0 for count in counts)
    usage = (tokens_in, tokens_out, cached, written, reasoned)
    return Facts(
        text,
        refusal,
        "".join(reasoning.split()),
        tuple((name, _decoded(text)) for name, text in calls),
        tuple(sources),
        end,
        usage,
    )


def _decoded(arguments: str) -> str:
    """Return arguments in one spelling."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments
