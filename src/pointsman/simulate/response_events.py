"""The events of a streamed response. https://platform.openai.com/docs/api-reference/responses-streaming"""

from collections.abc import Iterator
from typing import Any

from pointsman.simulate.answers import Event, sse
from pointsman.simulate.model import CALL_OVERHEAD, Turn

Step = tuple[str, dict[str, Any], int]
"""The type of an event, its fields, and the number of tokens it carries."""


def response_events(response: dict[str, Any], turn: Turn) -> list[Event]:
    """Return all events of a response."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    steps: list[Step] = [
        ("response.created", {"response": begun}, 0),
        ("response.in_progress", {"response": begun}, 0),
    ]
    calls = iter(turn.calls)
    for index, item in enumerate(response["output"]):
        done = ("response.output_item.done", {"output_index": index, "item": item}, 0)
        match item["type"]:
            case "reasoning" if item["summary"]:
                steps += [_added(index, item, summary=[]), *_summary(index, item, turn.reasoning), done]
            case "reasoning":
                steps += [_added(index, item), (done[0], done[1], len(turn.reasoning))]
            case "message":
                steps += [_added(index, item, content=[]), *_content(index, item, turn), done]
            case "function_call":
                tokens = next(calls).tokens
                steps += [_added(index, item, arguments=""), *_arguments(index, item, tokens), done]
            case _:
                steps.append(done)
    end = "response.incomplete" if response["status"] == "incomplete" else "response.completed"
    steps.append((end, {"response": response}, 0))
    last = len(steps) - 1
    return [
        sse({"type": name, "sequence_number": number, **fields}, name, count, is_end=number == last)
        for number, (name, fields, count) in enumerate(steps)
    ]


def _added(index: int, item: dict[str, Any], **empty: Any) -> Step:
    opened = {**item, **empty}
    if "status" in item:
        opened["status"] = "in_progress"
    return "response.output_item.added", {"output_index": index, "item": opened}, 0


def _summary(index: int, item: dict[str, Any], tokens: list[str]) -> Iterator[Step]:
    place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    part = item["summary"][0]
    name = "response.reasoning_summary"
    yield f"{name}_part.added", {**place, "part": {**part, "text": ""}}, 0
    for token in tokens:
        yield f"{name}_text.delta", {**place, "delta": token}, 1
    yield f"{name}_text.done", {**place, "text": part["text"]}, 0
    yield f"{name}_part.done", {**place, "part": part}, 0


def _content(index: int, item: dict[str, Any], turn: Turn) -> Iterator[Step]:
    return _refusal(index, item, turn.refusal) if turn.refusal else _text(index, item, turn.text)


def _refusal(index: int, item: dict[str, Any], tokens: list[str]) -> Iterator[Step]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    yield "response.content_part.added", {**place, "part": {**part, "refusal": ""}}, 0
    for token in tokens:
        yield "response.refusal.delta", {**place, "delta": token}, 1
    yield "response.refusal.done", {**place, "refusal": part["refusal"]}, 0
    yield "response.content_part.done", {**place, "part": part}, 0


def _text(index: int, item: dict[str, Any], tokens: list[str]) -> Iterator[Step]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    yield "response.content_part.added", {**place, "part": {**part, "text": ""}}, 0
    for token in tokens:
        yield "response.output_text.delta", {**place, "delta": token, "logprobs": []}, 1
    yield "response.output_text.done", {**place, "text": part["text"], "logprobs": []}, 0
    yield "response.content_part.done", {**place, "part": part}, 0


def _arguments(index: int, item: dict[str, Any], tokens: list[str]) -> Iterator[Step]:
    place = {"item_id": item["id"], "output_index": index}
    name = "response.function_call_arguments"
    for number, token in enumerate(tokens):
        yield f"{name}.delta", {**place, "delta": token}, 1 if number else 1 + CALL_OVERHEAD
    yield f"{name}.done", {**place, "arguments": item["arguments"], "name": item["name"]}, 0
