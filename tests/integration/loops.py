"""Conversations of clients of each dialect with tools and reasoning, as raw bodies: the next request holds the answer
exactly as the client received it."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from fakes.anthropic import blocks_of
from integration.client import Answer
from integration.dialects import SCHEMA, Dialect
from pointsman.wire.sse import event_data, split_events

NAMES = ("get_weather", "get_time")


class Reply(Struct):
    """An answer: its text, its calls as id and name, the reported tokens, and the items that the client keeps."""

    text: str
    calls: list[tuple[str, str]]
    tokens_in: int
    tokens_out: int
    kept: list[Any]


def begin(dialect: Dialect, *, stream: bool, tools: bool = True, **fields: Any) -> dict[str, Any]:
    """Return the first request of a conversation."""
    question = {"role": "user", "content": "Weather and time in Oslo?"}
    body: dict[str, Any] = {"model": "chat", "stream": stream, **fields}
    if dialect == "responses":
        body |= {"input": [question], "store": False, "include": ["reasoning.encrypted_content"]}
    else:
        body["messages"] = [question]
    if tools:
        body["tools"] = [_tool(dialect, name) for name in NAMES]
    if dialect == "chat" and stream:
        body["stream_options"] = {"include_usage": True}
    return body


def _tool(dialect: Dialect, name: str) -> dict[str, Any]:
    if dialect == "messages":
        return {"name": name, "input_schema": SCHEMA}
    function = {"name": name, "parameters": SCHEMA}
    return {"type": "function", "function": function} if dialect == "chat" else {"type": "function", **function}


def resume(dialect: Dialect, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """Return the next request, with the results of all calls."""
    if dialect == "messages":
        results: list[Any] = [
            {"type": "tool_result", "tool_use_id": name, "content": f"result of {tool}"} for name, tool in reply.calls
        ]
        more = [{"role": "assistant", "content": reply.kept}, {"role": "user", "content": results}]
    elif dialect == "chat":
        results = [{"role": "tool", "tool_call_id": name, "content": f"result of {tool}"} for name, tool in reply.calls]
        more = [*reply.kept, *results]
    else:
        results = [
            {"type": "function_call_output", "call_id": name, "output": f"result of {tool}"}
            for name, tool in reply.calls
        ]
        return {**body, "input": [*body["input"], *reply.kept, *results]}
    return {**body, "messages": [*body["messages"], *more]}


def read(dialect: Dialect, answer: Answer) -> Reply:
    """Read an answer, streamed or not."""
    assert (answer.status, answer.ended) == (200, "complete"), answer
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return _READ[dialect](answer.json)
    data = [found for event in split_events(answer.body) if (found := event_data(event)) not in (None, b"[DONE]")]
    return _READ[dialect](_MERGE[dialect](answer.body, [json.loads(one or b"") for one in data]))


def _read_message(message: Any) -> Reply:
    usage, content = message["usage"], message["content"]
    tokens_in = usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
    return Reply(
        "".join(block["text"] for block in content if block["type"] == "text"),
        [(block["id"], block["name"]) for block in content if block["type"] == "tool_use"],
        tokens_in,
        usage["output_tokens"],
        content,
    )


def _read_chat(chat: Any) -> Reply:
    message, usage = chat["choices"][0]["message"], chat["usage"]
    calls = [(call["id"], call["function"]["name"]) for call in message.get("tool_calls") or ()]
    return Reply(message["content"] or "", calls, usage["prompt_tokens"], usage["completion_tokens"], [message])


def _read_response(response: Any) -> Reply:
    usage, output = response["usage"], response["output"]
    texts = [part["text"] for item in output if item["type"] == "message" for part in item["content"]]
    calls = [(item["call_id"], item["name"]) for item in output if item["type"] == "function_call"]
    return Reply("".join(texts), calls, usage["input_tokens"], usage["output_tokens"], output)


def _merge_message(body: bytes, events: list[Any]) -> Any:
    assert events[-1]["type"] == "message_stop"
    deltas = [event for event in events if event["type"] == "message_delta"]
    usage = events[0]["message"]["usage"] | deltas[-1]["usage"]
    assert all(f"event: {event['type']}\n".encode() in body for event in events)
    return {"content": blocks_of([event for event in events if event["type"] != "ping"]), "usage": usage}


def _merge_chat(body: bytes, events: list[Any]) -> Any:
    assert body.endswith(b"data: [DONE]\n\n")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, Any] = {}
    usage = None
    for event in events:
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            for name, value in choice["delta"].items():
                if name == "tool_calls":
                    for part in value:
                        _merge_call(calls.setdefault(part["index"], {}), part)
                elif name == "role" or value is None:
                    continue
                elif isinstance(value, str):
                    message[name] = (message.get(name) or "") + value
                else:
                    message[name] = [*message.get(name, []), *value]
    if calls:
        message["tool_calls"] = list(calls.values())
    return {"choices": [{"message": message}], "usage": usage}


def _merge_call(call: dict[str, Any], part: dict[str, Any]) -> None:
    if "id" in part:
        call |= {"id": part["id"], "type": "function", "function": {"name": part["function"]["name"], "arguments": ""}}
    call["function"]["arguments"] += part["function"].get("arguments", "")


def _merge_response(body: bytes, events: list[Any]) -> Any:
    assert events[-1]["type"] in ("response.completed", "response.incomplete"), events[-1]
    return events[-1]["response"]


_READ: dict[Dialect, Callable[[Any], Reply]] = {
    "messages": _read_message,
    "chat": _read_chat,
    "responses": _read_response,
}
_MERGE: dict[Dialect, Callable[[bytes, list[Any]], Any]] = {
    "messages": _merge_message,
    "chat": _merge_chat,
    "responses": _merge_response,
}
