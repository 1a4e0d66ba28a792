"""Answers of an obedient provider, whole and as the events of a stream, in each dialect of a conversation."""

import json
from dataclasses import dataclass, field
from typing import Any

CREATED = 1_800_000_000
TOKENS_IN, TOKENS_OUT = 100, 20
SIGNATURE = "c2lnbmVk"


@dataclass
class Reply:
    """An answer in no dialect. `calls` are the id, the name and the arguments of each call of a tool."""

    reasoning: str = ""
    text: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)


Written = tuple[dict[str, Any], list[bytes]]


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def anthropic(reply: Reply, model: str, number: int) -> Written:
    """Return a message. https://platform.claude.com/docs/en/build-with-claude/streaming"""
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    blocks: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = []  # whole, start, deltas
    if reply.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": part} for part in _halves(reply.reasoning)]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        start: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append(({**start, "thinking": reply.reasoning, "signature": SIGNATURE}, start, deltas))
    if reply.text:
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": part} for part in _halves(reply.text)]
        blocks.append(({"type": "text", "text": reply.text}, start, deltas))
    for call_id, name, arguments in reply.calls:
        start = {"type": "tool_use", "id": f"toolu_{call_id}", "name": name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in _halves(arguments)]
        blocks.append(({**start, "input": json.loads(arguments)}, start, deltas))
    base: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_sequence": None,
    }
    stop = "tool_use" if reply.calls else "end_turn"
    first: dict[str, Any] = {**base, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": first}, {"type": "ping"}]
    for index, (_, start, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": TOKENS_OUT}})
    events.append({"type": "message_stop"})
    content = [whole for whole, _, _ in blocks]
    return {**base, "content": content, "stop_reason": stop, "usage": usage}, [_event(event) for event in events]


def chat(reply: Reply, model: str, number: int) -> Written:
    """Return a chat completion. https://platform.openai.com/docs/api-reference/chat-streaming"""
    base = {"id": f"chatcmpl-{number}", "created": CREATED, "model": model}
    usage = {
        "prompt_tokens": TOKENS_IN,
        "completion_tokens": TOKENS_OUT,
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in reply.calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if reply.reasoning:  # https://api-docs.deepseek.com/guides/reasoning_model
        message["reasoning_content"] = reply.reasoning
        deltas += [{"reasoning_content": part} for part in _halves(reply.reasoning)]
    deltas += [{"content": part} for part in _halves(reply.text) if part]
    if calls:
        message["tool_calls"] = calls
    for index, (call_id, name, arguments) in enumerate(reply.calls):
        start: dict[str, Any] = {
            "index": index,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        deltas.append({"tool_calls": [start]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in _halves(arguments)]
    finish = "tool_calls" if calls else "stop"
    whole = {
        **base,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks: list[dict[str, Any]] = [{**base, "object": "chat.completion.chunk", "choices": [one]} for one in choices]
    chunks.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return whole, [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def responses(reply: Reply, model: str, number: int) -> Written:
    """Return a response. https://platform.openai.com/docs/api-reference/responses-streaming"""
    base: dict[str, Any] = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "model": model,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
    }
    output, events = [], list[dict[str, Any]]()
    for index, (item, inner) in enumerate(_items(reply, number)):
        output.append(item)
        start = {**item, "status": "in_progress", **_EMPTIED[item["type"]]}
        events.append({"type": "response.output_item.added", "output_index": index, "item": start})
        events += [{**event, "output_index": index, "item_id": item["id"]} for event in inner]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    usage = {
        "input_tokens": TOKENS_IN,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": TOKENS_OUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    begun = {**base, "status": "in_progress", "output": [], "usage": None}
    whole = {**base, "status": "completed", "output": output, "usage": usage}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *events,
        {"type": "response.completed", "response": whole},
    ]
    return whole, [_event({**event, "sequence_number": at}) for at, event in enumerate(events)]


_EMPTIED: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
}


def _items(reply: Reply, number: int) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return the items of the output, each with the events between its first and its last."""
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if reply.reasoning:
        part: dict[str, Any] = {"type": "summary_text", "text": reply.reasoning}
        item: dict[str, Any] = {
            "id": f"rs_{number}",
            "type": "reasoning",
            "summary": [part],
            "encrypted_content": SIGNATURE,
        }
        events: list[dict[str, Any]] = [
            {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}},
            *({"type": "response.reasoning_summary_text.delta", "delta": half} for half in _halves(reply.reasoning)),
            {"type": "response.reasoning_summary_text.done", "text": reply.reasoning},
            {"type": "response.reasoning_summary_part.done", "part": part},
        ]
        found.append((item, [{**event, "summary_index": 0} for event in events]))
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        item = {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
        events = [
            {"type": "response.content_part.added", "part": {**part, "text": ""}},
            *({"type": "response.output_text.delta", "delta": half, "logprobs": []} for half in _halves(reply.text)),
            {"type": "response.output_text.done", "text": reply.text, "logprobs": []},
            {"type": "response.content_part.done", "part": part},
        ]
        found.append((item, [{**event, "content_index": 0} for event in events]))
    for at, (call_id, name, arguments) in enumerate(reply.calls):
        namespace, _, plain = name.rpartition("__")
        item = {
            **({"namespace": namespace} if namespace else {}),
            "id": f"fc_{number}_{at}",
            "type": "function_call",
            "status": "completed",
            "call_id": call_id,
            "name": plain,
            "arguments": arguments,
        }
        events = [
            *({"type": "response.function_call_arguments.delta", "delta": half} for half in _halves(arguments)),
            {"type": "response.function_call_arguments.done", "name": plain, "arguments": arguments},
        ]
        found.append((item, events))
    return found


def gemini(reply: Reply, model: str, number: int) -> Written:
    """Return an answer of Gemini's. https://ai.google.dev/api/generate-content#GenerateContentResponse"""
    base = {"modelVersion": model, "responseId": f"gemini-{number}"}
    usage = {
        "promptTokenCount": TOKENS_IN,
        "candidatesTokenCount": TOKENS_OUT,
        "totalTokenCount": TOKENS_IN + TOKENS_OUT,
    }
    parts: list[dict[str, Any]] = []
    if reply.reasoning:
        parts += [{"text": part, "thought": True} for part in _halves(reply.reasoning)]
    parts += [{"text": part} for part in _halves(reply.text) if part]
    for call_id, name, arguments in reply.calls:
        made: dict[str, Any] = {"functionCall": {"id": call_id, "name": name, "args": json.loads(arguments)}}
        parts.append(made if any("functionCall" in part for part in parts) else {**made, "thoughtSignature": SIGNATURE})

    def answer(content: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": content}, "index": 0, **fields}
        return {"candidates": [candidate], "usageMetadata": usage, **base}

    events = [answer([part]) for part in parts] + [answer([{"text": ""}], finishReason="STOP")]
    whole = answer(parts, finishReason="STOP")
    return whole, [f"data: {json.dumps(event)}\r\n\r\n".encode() for event in events]
