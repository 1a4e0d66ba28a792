"""Write a conversation as a request for Cohere. https://docs.cohere.com/reference/chat

- Cohere's `p` is between 0.01 and 0.99, and 0.75 without the field. So a `top_p` of 1 becomes 0.99. `k` is at most 500.
- `tool_choice` names no tool. The model gets only the named one then, and must call a tool.
- `strict_tools` holds for all tools of a request, so one strict tool sets it.
- No field limits an answer to one call of a tool. `ProviderHalves.calls_freely` has the gateway leave out the others.
- An answer cannot have a form and calls of tools at once.
- Reasoning has a budget in tokens. An effort becomes one. `providers.cohere` leaves it out for other models.
- Marks of prefixes to be cached are left out, since Cohere caches repeated prefixes by itself.
"""

from msgspec import Raw

from pointsman.domain.conversations import AnswerFormat, Conversation, Sampling, Thinking, Tool, Written
from pointsman.wire.json_object import encode_object
from pointsman.wire.thinking import budget_of
from pointsman.wire.translation import labels_of
from pointsman.wire.upstreams.cohere._messages import CohereMessages, Fields

MAX_STOPS = 5
MIN_P, MAX_P, MAX_K = 0.01, 0.99, 500
# Fields of Cohere's own, which a client may add to a request in its dialect.
OWN = frozenset({"documents", "citation_options", "safety_mode"})
_NO_SCHEMA = Raw(b'{"type":"object","properties":{}}')
_MODES = {"none": "NONE", "required": "REQUIRED", "named": "REQUIRED"}


def write_request(conversation: Conversation, is_streamed: bool) -> Written:
    """Return the body of a request, without the model."""
    messages = CohereMessages()
    messages.write(conversation)
    cannot, dropped = messages.cannot, dict[str, None]()
    fields: Fields = {"messages": messages.messages, "stream": is_streamed}
    cannot |= {f"the tool {tool.name!r} of type custom": None for tool in conversation.tools if tool.is_custom}
    tools = _tools(conversation, cannot)
    if tools:
        fields["tools"] = [_tool(tool) for tool in tools]
        if any(tool.strict for tool in tools):
            fields["strict_tools"] = True
        mode = _MODES.get(conversation.tool_choice.mode or "")
        if mode:
            fields["tool_choice"] = mode
    fields |= _sampling(conversation.sampling, cannot, dropped)
    if conversation.max_tokens is not None:
        fields["max_tokens"] = conversation.max_tokens
    if conversation.format is not None:
        fields["response_format"] = _format(conversation.format)
        if tools:
            cannot["the form of an answer (response_format) together with tools"] = None
    if thinking := _thinking(conversation.thinking):
        fields["thinking"] = thinking
    dropped |= dict.fromkeys(labels_of(conversation))
    for name, raw in conversation.rest.items():
        if name in OWN:
            fields[name] = raw
        else:
            cannot[name] = None
    written = {name: Raw(encode_object(value)) for name, value in fields.items()}
    return Written(fields=written, cannot=tuple(cannot), dropped=tuple(dropped))


def _tools(conversation: Conversation, cannot: dict[str, None]) -> list[Tool]:
    """Return the tools that the model gets: all of them, or the one that it must call."""
    tools, choice = [tool for tool in conversation.tools if not tool.is_custom], conversation.tool_choice
    if choice.mode != "named":
        return tools
    named = [tool for tool in tools if tool.name == choice.name]
    if not named:
        cannot[f"a choice of the tool {choice.name!r}, which is not in tools"] = None
    return named


def _tool(tool: Tool) -> Fields:
    function: Fields = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = _NO_SCHEMA if tool.schema is None else tool.schema
    return {"type": "function", "function": function}


def _sampling(sampling: Sampling, cannot: dict[str, None], dropped: dict[str, None]) -> Fields:
    values: Fields = {
        "temperature": sampling.temperature,
        "p": None if sampling.top_p is None else min(max(sampling.top_p, MIN_P), MAX_P),
        "k": None if sampling.top_k is None else min(max(sampling.top_k, 0), MAX_K),
        "stop_sequences": list(sampling.stop) or None,
        "presence_penalty": _penalty("presence_penalty", sampling.presence_penalty, cannot),
        "frequency_penalty": _penalty("frequency_penalty", sampling.frequency_penalty, cannot),
        "logprobs": True if sampling.logprobs or sampling.top_logprobs else None,
    }
    if sampling.seed is not None and sampling.seed >= 0:
        values["seed"] = sampling.seed
    elif sampling.seed is not None:
        dropped["seed"] = None
    if len(sampling.stop) > MAX_STOPS:
        cannot[f"more than {MAX_STOPS} texts in stop"] = None
    if sampling.choices != 1:
        cannot["n above 1"] = None
    if sampling.top_logprobs:
        dropped["top_logprobs"] = None
    return {name: value for name, value in values.items() if value is not None}


def _penalty(name: str, value: float | None, cannot: dict[str, None]) -> float | None:
    if value is not None and not 0 <= value <= 1:
        cannot[f"{name} outside 0 to 1"] = None
    return value


def _thinking(thinking: Thinking) -> Fields:
    """Return the request for reasoning. The models that reason do so unless they are told not to."""
    budget = budget_of(thinking)
    if thinking.is_on is False or budget == 0:
        return {"type": "disabled"}
    if budget is not None:
        return {"type": "enabled", "token_budget": budget}
    return {"type": "enabled"} if thinking.is_on else {}


def _format(form: AnswerFormat) -> Fields:
    """Return the form of an answer. A name and a description only label its schema."""
    return {"type": "json_object"} | ({} if form.schema is None else {"json_schema": form.schema})
