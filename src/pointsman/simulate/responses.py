"""`/v1/responses`, streamed or not, with reasoning and calls of functions, and retrieval of stored responses."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from pointsman.simulate.answers import (
    SSE,
    Answer,
    ObjectStore,
    Rejected,
    RequestContext,
    error,
    json_answer,
    names,
    page,
)
from pointsman.simulate.model import CALL_OVERHEAD, Function, Turn, Wish, respond
from pointsman.simulate.response_events import response_events
from pointsman.simulate.response_items import SEALED, check_items, sealed_content
from pointsman.simulate.text import content_tokens, count_tokens
from pointsman.simulate.tools import additions

_KNOWN = names(
    """
    background context_management conversation include input instructions max_output_tokens max_tool_calls
    metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
    stream_options temperature text tool_choice tools top_logprobs top_p truncation user
    """
)


_SIMULATED_ID = re.compile(r"resp_.*\d{8}")  # an id that a simulated provider creates


class ResponsesRequest(Struct, kw_only=True):
    """The fields that affect the answer."""

    model: str
    input: str | list[dict[str, Any]] = ""
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    text: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None

    @property
    def items(self) -> list[dict[str, Any]]:
        return [] if isinstance(self.input, str) else self.input


class ResponseStore(ObjectStore):
    """The responses of one provider, and the endpoints that create and find them."""

    def create(self, context: RequestContext) -> Answer:
        request = context.decode(ResponsesRequest, _KNOWN)
        self._check_previous(context, request)
        check_items(context, request.items, is_continued=bool(request.previous_response_id or request.conversation))
        turn = respond(context, wish_of(request))
        extra = additions(context)
        tokens_in = _tokens_in(request) + extra.tokens
        cached = int(tokens_in * context.settings.cached_share)
        written = int((tokens_in - cached) * context.settings.cache_write_share)
        response = _response(context, request, turn)
        response["output"] = _tool_calls(context, extra.calls) + response["output"]
        response["usage"] = {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "output_tokens": turn.token_count,
            "output_tokens_details": {"reasoning_tokens": len(turn.reasoning)},
            "total_tokens": tokens_in + turn.token_count,
        }
        if context.settings.usage_first:
            response = {"id": response.pop("id"), "usage": response.pop("usage"), **response, "tools": request.tools}
        if request.store is not False:
            self.store(context, "response", response)
        streamed = Answer(content_type=SSE, events=response_events(response, turn))
        answer = streamed if request.stream else json_answer(response)
        answer.tokens_in, answer.tokens_cached, answer.tokens_cache_write = tokens_in, cached, written
        answer.tokens_out, answer.fees_nano, answer.dialect = turn.token_count, extra.fees_nano, "responses"
        return answer

    def _check_previous(self, context: RequestContext, request: ResponsesRequest) -> None:
        previous = request.previous_response_id
        # Any other id counts as that of an existing response.
        if previous is not None and _SIMULATED_ID.fullmatch(previous):
            stored = self._objects.get(previous)
            if stored is None or stored.key != context.key:
                message = f"Previous response with id '{previous}' not found."
                raise Rejected(error(400, message, code="previous_response_not_found", param="previous_response_id"))

    def endpoint(self, method: str, tail: str) -> Callable[[RequestContext], Answer] | None:
        """Return the endpoint for `method` on `/v1/responses/` + `tail`."""
        name, _, rest = tail.partition("/")
        match method, rest:
            case "GET", "" | "input_items":
                return lambda context: self._items(context, name) if rest else self.found(context, name)
            case "POST", "cancel":
                return lambda context: self.found(context, name)
            case "POST", "" if name == "input_tokens":
                return lambda context: json_answer(
                    {"object": "response.input_tokens", "input_tokens": len(context.fields)}
                )
            case "DELETE", "":
                return lambda context: self.delete(context, "response", name, "response")
            case _:
                return None

    def found(self, context: RequestContext, name: str) -> Answer:
        return json_answer(self.find(context, "response", name).record)

    def _items(self, context: RequestContext, name: str) -> Answer:
        self.find(context, "response", name)
        return page(context, [])


def wish_of(request: ResponsesRequest) -> Wish:
    """Return the parts of a request on which the answer depends."""
    choice, reasoning = request.tool_choice, request.reasoning or {}
    functions = [
        Function(tool["name"], tool.get("parameters")) for tool in request.tools if tool.get("type") == "function"
    ]
    if isinstance(choice, dict) and choice.get("type") == "function":
        functions = [function for function in functions if function.name == choice.get("name")]
        if not functions:
            message = f"Tool choice '{choice.get('name')}' not found in 'tools' parameter."
            raise Rejected(error(400, message, param="tool_choice"))
    form = (request.text or {}).get("format") or {}
    return Wish(
        limit=request.max_output_tokens,
        thinks=bool(reasoning) and reasoning.get("effort") != "none",
        functions=[] if choice == "none" else functions,
        must_call=choice == "required" or isinstance(choice, dict),
        has_result=bool(request.items) and request.items[-1].get("type") == "function_call_output",
        is_parallel=request.parallel_tool_calls is not False,
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
    )


def _tokens_in(request: ResponsesRequest) -> int:
    count = 3 + count_tokens(request.instructions or "")
    functions = [tool for tool in request.tools if tool.get("type") == "function"]
    if functions:
        count += count_tokens(msgspec.json.encode(functions).decode())
    if isinstance(request.input, str):
        return count + content_tokens(request.input)
    for item in request.input:
        match item.get("type"):
            case "function_call":
                count += count_tokens(str(item.get("arguments"))) + CALL_OVERHEAD
            case "function_call_output":
                output = item.get("output")
                count += content_tokens(output if isinstance(output, (str, list)) else None)
            case "reasoning":
                count += sum(count_tokens(part.get("text", "")) for part in item.get("summary") or ())
            case _:
                content = item.get("content")
                count += content_tokens(content if isinstance(content, (str, list)) else None)
    return count


def _tool_calls(context: RequestContext, calls: dict[str, int]) -> list[dict[str, Any]]:
    """Return the provider's own tool calls as items of a response's output. The versions of a tool, such as
    `web_search_preview`, share one type of item."""
    tools = [name.partition("_preview")[0] for name, count in calls.items() for _ in range(count)]
    return [
        {"id": context.new_id(f"call_{number}"), "type": f"{name}_call", "status": "completed"}
        for number, name in enumerate(tools)
    ]


def _response(context: RequestContext, request: ResponsesRequest, turn: Turn) -> dict[str, Any]:
    status = "incomplete" if turn.is_cut or turn.is_filtered else "completed"
    reasoning = request.reasoning or {}
    return {
        "id": context.new_id("resp_"),
        "object": "response",
        "created_at": context.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": _incomplete(turn),
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": {},
        "model": request.model,
        "output": _output(context, request, turn, status),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
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


def _incomplete(turn: Turn) -> dict[str, str] | None:
    if turn.is_filtered:
        return {"reason": "content_filter"}
    return {"reason": "max_output_tokens"} if turn.is_cut else None


def _output(context: RequestContext, request: ResponsesRequest, turn: Turn, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if turn.reasoning:
        # A summary is shown only on request. https://platform.openai.com/docs/guides/reasoning#reasoning-summaries
        is_shown = bool((request.reasoning or {}).get("summary"))
        text = "".join(turn.reasoning)
        item: dict[str, Any] = {"id": context.new_id("rs_"), "type": "reasoning", "summary": []}
        if is_shown:
            item["summary"] = [{"type": "summary_text", "text": text}]
        if SEALED in (request.include or ()):
            item["encrypted_content"] = sealed_content(context, text)
        items.append(item)
    part: dict[str, Any] | None = None
    if turn.refusal:
        part = {"type": "refusal", "refusal": "".join(turn.refusal)}
    elif turn.text:
        part = {"type": "output_text", "text": "".join(turn.text), "annotations": [], "logprobs": []}
    if part is not None:
        message = {"id": context.new_id("msg_"), "type": "message", "status": status, "role": "assistant"}
        items.append({**message, "content": [part]})
    items += [
        {
            "id": context.new_id(f"fc_{call.number}"),
            "type": "function_call",
            "status": "completed",
            "call_id": context.new_id(f"call_{call.number}"),
            "name": call.name,
            "arguments": call.arguments,
        }
        for call in turn.calls
    ]
    return items
