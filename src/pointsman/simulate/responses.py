"""`/v1/responses`, reduced to text answers, streamed or not, and retrieval of stored responses."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from pointsman.simulate.answers import SSE, Answer, Ask, Event, Rejected, Shelf, error, json_answer, names, page, sse
from pointsman.simulate.chat import answer_length
from pointsman.simulate.text import content_tokens, count_tokens, words
from pointsman.simulate.tools import added

_KNOWN = names(
    """
    background context_management conversation include input instructions max_output_tokens max_tool_calls
    metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
    stream_options temperature text tool_choice tools top_logprobs top_p truncation user
    """
)


_MADE = re.compile(r"resp_.*\d{8}")  # by a simulated provider


class ResponsesRequest(Struct, kw_only=True):
    """The fields that affect the answer."""

    model: str
    input: str | list[dict[str, Any]] = ""
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    tools: list[dict[str, Any]] = []
    previous_response_id: str | None = None


class ResponseStore(Shelf):
    """The responses of one provider, and the endpoints that create and find them."""

    def create(self, ask: Ask) -> Answer:
        request = ask.decode(ResponsesRequest, _KNOWN)
        previous = request.previous_response_id
        is_made = previous is not None and _MADE.fullmatch(previous)  # another id stands for an existing response
        if previous is not None and is_made:
            kept = self._kept.get(previous)
            if kept is None or kept.key != ask.key:
                said = f"Previous response with id '{previous}' not found."
                raise Rejected(error(400, said, code="previous_response_not_found", param="previous_response_id"))
        limit = request.max_output_tokens
        length = answer_length(ask, limit)
        tokens = words(min(length, limit or length), ask.settings.text, ask.rng)
        extra = added(ask)
        tokens_in = _tokens_in(request) + extra.tokens
        cached = int(tokens_in * ask.settings.cached_share)
        response = _response(ask, request, tokens, is_cut=limit is not None and length > limit)
        response["output"] = _tool_calls(ask, extra.calls) + response["output"]
        response["usage"] = {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": len(tokens),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens_in + len(tokens),
        }
        if ask.settings.usage_first:
            response = {"id": response.pop("id"), "usage": response.pop("usage"), **response, "tools": request.tools}
        if request.store is not False:
            self.keep(ask, "response", response)
        streamed = Answer(content_type=SSE, events=_events(response, tokens))
        answer = streamed if request.stream else json_answer(response)
        answer.tokens_in, answer.tokens_cached, answer.tokens_out = tokens_in, cached, len(tokens)
        answer.fees_nano = extra.fees_nano
        return answer

    def endpoint(self, method: str, tail: str) -> Callable[[Ask], Answer] | None:
        """Return the endpoint for `method` on `/v1/responses/` + `tail`."""
        name, _, rest = tail.partition("/")
        match method, rest:
            case "GET", "" | "input_items":
                return lambda ask: self._items(ask, name) if rest else self.found(ask, name)
            case "POST", "cancel":
                return lambda ask: self.found(ask, name)
            case "POST", "" if name == "input_tokens":
                return lambda ask: json_answer({"object": "response.input_tokens", "input_tokens": len(ask.fields)})
            case "DELETE", "":
                return lambda ask: self.delete(ask, "response", name, "response")
            case _:
                return None

    def found(self, ask: Ask, name: str) -> Answer:
        return json_answer(self.find(ask, "response", name).record)

    def _items(self, ask: Ask, name: str) -> Answer:
        self.find(ask, "response", name)
        return page(ask, [])


def _tokens_in(request: ResponsesRequest) -> int:
    count = 3 + count_tokens(request.instructions or "")
    if isinstance(request.input, str):
        return count + content_tokens(request.input)
    for item in request.input:
        content = item.get("content")
        count += content_tokens(content if isinstance(content, (str, list)) else None)
    return count


def _tool_calls(ask: Ask, calls: dict[str, int]) -> list[dict[str, Any]]:
    """Return the calls of tools that the provider ran, as items of a response's output. Every kind of search request is
    reported in the same way."""
    names = [name.partition("_preview")[0] for name, count in calls.items() for _ in range(count)]
    return [
        {"id": ask.new_id(f"call_{number}"), "type": f"{name}_call", "status": "completed"}
        for number, name in enumerate(names)
    ]


def _response(ask: Ask, request: ResponsesRequest, tokens: list[str], *, is_cut: bool) -> dict[str, Any]:
    status = "incomplete" if is_cut else "completed"
    part = {"type": "output_text", "text": "".join(tokens), "annotations": [], "logprobs": []}
    return {
        "id": ask.new_id("resp_"),
        "object": "response",
        "created_at": ask.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": {},
        "model": request.model,
        "output": [
            {
                "id": ask.new_id("msg_"),
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [part],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": request.store is not False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def _events(response: dict[str, Any], tokens: list[str]) -> list[Event]:
    *calls, item = response["output"]
    part = item["content"][0]
    open_item = {**item, "status": "in_progress", "content": []}
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    place = {"item_id": item["id"], "output_index": len(calls), "content_index": 0}
    end = "response.incomplete" if response["status"] == "incomplete" else "response.completed"
    steps: list[tuple[str, dict[str, Any], int]] = [
        ("response.created", {"response": begun}, 0),
        ("response.in_progress", {"response": begun}, 0),
        *(("response.output_item.done", {"output_index": at, "item": call}, 0) for at, call in enumerate(calls)),
        ("response.output_item.added", {"output_index": len(calls), "item": open_item}, 0),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}, 0),
        *(("response.output_text.delta", {**place, "delta": token, "logprobs": []}, 1) for token in tokens),
        ("response.output_text.done", {**place, "text": part["text"], "logprobs": []}, 0),
        ("response.content_part.done", {**place, "part": part}, 0),
        ("response.output_item.done", {"output_index": len(calls), "item": item}, 0),
        (end, {"response": response}, 0),
    ]
    return [
        sse({"type": name, "sequence_number": number, **value}, name, count)
        for number, (name, value, count) in enumerate(steps)
    ]
