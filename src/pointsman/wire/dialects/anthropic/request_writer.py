"""Write a conversation as a request in Anthropic's dialect.

https://platform.claude.com/docs/en/api/messages

Four differences from OpenAI's dialects need a decision:

- Instructions inside a conversation move to its beginning, as they do in Anthropic's own layer for OpenAI's clients:
  https://platform.claude.com/docs/en/api/openai-sdk (`System and developer messages`). Only some models take them
  anywhere else. Instructions of a client with Anthropic's dialect stay in their place.
- `max_tokens` is required. A conversation without a bound gets `DEFAULT_MAX_TOKENS`.
- An effort is written as an effort with adaptive thinking, which all current models take. `with_budget` turns it into
  a budget for older models. A tool cannot be forced while a model thinks; then the effort alone is written.
- Names of JSON schemas are labels only, and are left out.
"""

import msgspec
from msgspec import Raw

from pointsman.domain.conversations import AnswerFormat, Conversation, Effort, Thinking, Tool, ToolChoice, Written
from pointsman.wire.dialects.anthropic._blocks import NAME
from pointsman.wire.dialects.anthropic._messages import MessageWriter, cache_control
from pointsman.wire.dialects.anthropic._schemas import with_fitting_schemas
from pointsman.wire.json_object import UNREADABLE, encode_object, read_or
from pointsman.wire.thinking import budget_of

DEFAULT_MAX_TOKENS = (
    32_000  # every current model can write as many: https://platform.claude.com/docs/en/about-claude/models
)
MIN_BUDGET = 1_024  # tokens of thinking; https://platform.claude.com/docs/en/build-with-claude/extended-thinking
MAX_USER = 256  # characters of `metadata.user_id`

_MODES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_TIERS = {"auto": "auto", "default": "standard_only"}  # from OpenAI's names
_EFFORTS = {"minimal": "low", "none": None}  # Anthropic has no lower one
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANY_OBJECT = Raw(b'{"type":"object","properties":{}}')
_EFFORT: msgspec.json.Decoder[Effort | None] = msgspec.json.Decoder(Effort | None)
_COUNT = msgspec.json.Decoder(int)


def write_request(conversation: Conversation, is_streamed: bool) -> Written:
    """Return the body of a request, without the model."""
    messages = MessageWriter(hoists=conversation.origin != NAME)
    messages.write(conversation)
    cannot, dropped = messages.cannot, messages.dropped
    if conversation.origin != NAME:
        conversation, reasons, left_out = with_fitting_schemas(conversation)
        cannot, dropped = cannot | reasons, dropped | left_out
    max_tokens = DEFAULT_MAX_TOKENS if conversation.max_tokens is None else conversation.max_tokens
    fields: dict[str, object] = {"max_tokens": max_tokens, "messages": messages.messages}
    if messages.system:
        fields["system"] = messages.system
    tools = [_tool(tool) for tool in conversation.tools if not tool.is_custom]
    cannot |= {f"the tool {tool.name!r} of type custom": None for tool in conversation.tools if tool.is_custom}
    if tools:
        fields["tools"] = tools
    _choice(conversation.tool_choice, bool(tools), fields)
    _sampling(conversation, fields, cannot, dropped)
    _thinking(conversation.thinking, max_tokens, fields, cannot)
    if conversation.format is not None:
        _format(conversation.format, fields, cannot)
    _labels(conversation, fields, dropped)
    if is_streamed:
        fields["stream"] = True
    for name, raw in conversation.rest.items():
        if conversation.origin == NAME and name.isidentifier():
            fields[name] = raw
        else:
            cannot[name] = None
    written = {name: value if isinstance(value, Raw) else Raw(encode_object(value)) for name, value in fields.items()}
    return Written(fields=written, cannot=tuple(cannot), dropped=tuple(dropped))


def with_budget(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields of a request for a model without effort and adaptive thinking: it gets a budget instead, if
    the bound on the answer leaves room for one."""
    config = _object(fields, "output_config")
    thinking = _object(fields, "thinking")
    effort = read_or(_EFFORT, config.pop("effort", b"null"), None)
    out = {name: raw for name, raw in fields.items() if name != "output_config"}
    if config:
        out["output_config"] = Raw(encode_object(config))
    if bytes(thinking.get("type", b"")) != b'"adaptive"':
        return out
    del out["thinking"]
    budget = budget_of(Thinking(effort=effort))
    most = read_or(_COUNT, fields["max_tokens"], 0) - 1
    if most >= MIN_BUDGET:
        chosen = min(budget if budget is not None else most // 2, most)
        written = {"type": "enabled", "budget_tokens": max(chosen, MIN_BUDGET)}
        out["thinking"] = Raw(encode_object(thinking | written))
    return out


def _object(fields: dict[str, Raw], name: str) -> dict[str, Raw]:
    nothing: dict[str, Raw] = {}
    return read_or(_OBJECT, fields.get(name, b"{}"), nothing)


def _tool(tool: Tool) -> dict[str, object]:
    written: dict[str, object] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = _schema(tool.schema)
    if tool.strict is not None:
        written["strict"] = tool.strict
    return written | cache_control(tool.cache)


def _schema(schema: Raw | None) -> Raw:
    """Return the schema of a tool's input. Its type must be named."""
    if schema is None:
        return _ANY_OBJECT
    try:
        fields = _OBJECT.decode(schema)
    except UNREADABLE:
        return schema  # the provider says what is wrong with it
    return schema if "type" in fields else Raw(encode_object({"type": Raw(b'"object"'), **fields}))


def _choice(choice: ToolChoice, has_tools: bool, fields: dict[str, object]) -> None:
    mode = choice.mode
    if not has_tools and mode in (None, "auto", "none"):
        return  # Anthropic rejects a choice without tools
    if mode is None and choice.parallel is not False:
        return
    written: dict[str, object] = {"type": _MODES[mode or "auto"]}
    if mode == "named":
        written["name"] = choice.name
    if choice.parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not choice.parallel
    fields["tool_choice"] = written


def _sampling(
    conversation: Conversation, fields: dict[str, object], cannot: dict[str, None], dropped: dict[str, None]
) -> None:
    sampling = conversation.sampling
    if sampling.temperature is not None:
        fields["temperature"] = sampling.temperature
        if sampling.temperature > 1:
            cannot["temperature above 1"] = None
    if sampling.top_p is not None:
        fields["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        fields["top_k"] = sampling.top_k
    if sampling.stop:
        fields["stop_sequences"] = sampling.stop
        if any(not text.strip() for text in sampling.stop):
            cannot["stop with nothing but white space"] = None
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(sampling, name):
            cannot[name] = None
    if sampling.choices != 1:
        cannot["n above 1"] = None
    if conversation.verbosity not in ("", "medium"):
        dropped["verbosity"] = None
    for name in ("seed", "logprobs", "top_logprobs"):
        if getattr(sampling, name) not in (None, False):
            dropped[name] = None


def _thinking(thinking: Thinking, max_tokens: int, fields: dict[str, object], cannot: dict[str, None]) -> None:
    effort, budget = thinking.effort, thinking.budget_tokens
    if effort is not None and (named := _EFFORTS.get(effort, effort)) is not None:
        fields["output_config"] = {"effort": named}
    if thinking.is_on is False or effort == "none":
        fields["thinking"] = {"type": "disabled"}
        return
    if thinking.is_on is None and effort is None and budget is None:
        return
    choice = fields.get("tool_choice")
    is_forced = isinstance(choice, dict) and choice["type"] in ("any", "tool")
    if is_forced and budget is None and effort is not None:
        return
    if is_forced:
        cannot["tool_choice that forces a call, together with thinking"] = None
    written: dict[str, object] = {"type": "adaptive"}
    if budget is not None:
        written = {"type": "enabled", "budget_tokens": min(budget, max_tokens - 1)}
        if max_tokens <= MIN_BUDGET:
            cannot[f"thinking with max_tokens of {MIN_BUDGET} or less"] = None
    summary = _summary(thinking.summary)
    if summary:
        written["display"] = summary
    fields["thinking"] = written


def _summary(asked: str) -> str:
    """Return how thinking is to be shown. OpenAI's words ask for a summary of some length, which Anthropic chooses."""
    return "summarized" if asked in ("auto", "concise", "detailed") else asked


def _format(form: AnswerFormat, fields: dict[str, object], cannot: dict[str, None]) -> None:
    if form.schema is None:
        cannot["a JSON object without a schema as the format of the answer"] = None
        return
    schema = form.schema
    if form.description:
        found = read_or(_OBJECT, schema, {})
        if found and "description" not in found:
            schema = Raw(encode_object({**found, "description": Raw(encode_object(form.description))}))
    config = fields.get("output_config")
    effort = config if isinstance(config, dict) else {}
    fields["output_config"] = {**effort, "format": {"type": "json_schema", "schema": schema}}


def _labels(conversation: Conversation, fields: dict[str, object], dropped: dict[str, None]) -> None:
    """Write the fields that only label a request."""
    user, others = conversation.user, conversation.metadata
    if user and len(user) <= MAX_USER:
        fields["metadata"] = {"user_id": user}
    elif user:
        dropped["user"] = None
    if others is not None and conversation.origin == NAME:
        fields["metadata"] = read_or(_OBJECT, others, {}) | ({"user_id": Raw(encode_object(user))} if user else {})
    elif others is not None:
        dropped["metadata"] = None
    if conversation.service_tier:
        if conversation.service_tier in _TIERS:
            fields["service_tier"] = _TIERS[conversation.service_tier]
        else:
            dropped["service_tier"] = None
    if conversation.prompt_cache_key:
        dropped["prompt_cache_key"] = None
