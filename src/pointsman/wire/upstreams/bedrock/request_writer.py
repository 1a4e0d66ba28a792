"""Write a conversation as a request for Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

- Settings that Converse does not have go to the model as they are (`additionalModelRequestFields`), under names that
  differ between models. They are written under common names here; `models.fitted` renames them.
- No field limits an answer to one call of a tool. `ProviderHalves.calls_freely` has the gateway leave out the others.
- Earlier calls require tools. If the client sends none, they are written by the names in the calls. A choice of no tool
  is written by leaving out the tools, which is not possible then.
- Amazon reads no file at an address of the web.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from pointsman.domain.conversations import AnswerFormat, Conversation, Thinking, Tool, Written
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.translation import labels_of
from pointsman.wire.upstreams.bedrock._contents import Block, BlockWriter, cache_point, takes_name

TOP_K, REASONING = "top_k", "reasoning"  # the common names of settings that differ between models
_TIERS = {"priority": "priority", "flex": "flex", "default": "default"}
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANY_OBJECT = Raw(b'{"type":"object","properties":{}}')


def write_request(conversation: Conversation, is_streamed: bool) -> Written:  # noqa: ARG001 -- the path says it
    """Return the body of a request. The model and the request for a stream are in its path."""
    blocks = BlockWriter()
    blocks.write(conversation)
    cannot, dropped = blocks.cannot, blocks.dropped
    fields: Block = {"messages": blocks.messages}
    if blocks.system:
        fields["system"] = blocks.system
    tools = _tools(conversation, blocks.called, cannot)
    if tools:
        fields["toolConfig"] = tools
    config = _sampling(conversation, cannot, dropped)
    if config:
        fields["inferenceConfig"] = config
    more = _more(conversation)
    if more:
        fields["additionalModelRequestFields"] = more
    if conversation.format is not None:
        fields["outputConfig"] = _format(conversation.format, cannot)
    if conversation.service_tier in _TIERS:
        fields["serviceTier"] = {"type": _TIERS[conversation.service_tier]}
    dropped |= dict.fromkeys(labels_of(conversation, _TIERS))
    cannot |= dict.fromkeys(conversation.rest)
    written = {name: Raw(encode_object(value)) for name, value in fields.items()}
    return Written(fields=written, cannot=tuple(cannot), dropped=tuple(dropped))


def _tools(conversation: Conversation, called: Iterable[str], cannot: dict[str, None]) -> Block:
    """Return the tools and the choice between them. `called` are the names in earlier calls."""
    tools = [tool for tool in conversation.tools if not tool.is_custom]
    cannot |= {f"the tool {tool.name!r} of type custom": None for tool in conversation.tools if tool.is_custom}
    cannot |= {f"the name {tool.name!r} of a tool": None for tool in tools if not takes_name(tool.name)}
    choice = conversation.tool_choice
    if choice.mode == "none" and called:
        cannot["a choice of no tool after calls of tools"] = None
    if choice.mode == "none" or not (tools or called):
        return {}
    if not tools:
        return {"tools": [_spec(Tool(name)) for name in called]}
    specs = [block for tool in tools for block in (_spec(tool), *cache_point(tool.cache))]
    written: Block = {"tools": specs}
    if choice.mode == "named":
        written["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice.mode is not None:
        written["toolChoice"] = {"any" if choice.mode == "required" else "auto": {}}
    return written


def _spec(tool: Tool) -> Block:
    written: Block = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["inputSchema"] = {"json": _schema(tool.schema)}
    if tool.strict:
        written["strict"] = True
    return {"toolSpec": written}


def _schema(schema: Raw | None) -> Raw:
    """Return the schema of a tool's input. Its type must be named."""
    if schema is None:
        return _ANY_OBJECT
    found = read_or(_OBJECT, schema, {"type": Raw(b"")})  # the provider says what is wrong with it
    return schema if "type" in found else Raw(encode_object({"type": Raw(b'"object"'), **found}))


def _sampling(conversation: Conversation, cannot: dict[str, None], dropped: dict[str, None]) -> Block:
    sampling = conversation.sampling
    if sampling.temperature is not None and sampling.temperature > 1:
        cannot["temperature above 1"] = None
    if any(not text for text in sampling.stop):
        cannot["stop with an empty text"] = None
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(sampling, name):
            cannot[name] = None
    if sampling.choices != 1:
        cannot["n above 1"] = None
    for name in ("seed", "logprobs", "top_logprobs"):
        if getattr(sampling, name) not in (None, False):
            dropped[name] = None
    values: Block = {
        "maxTokens": conversation.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": list(sampling.stop) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _more(conversation: Conversation) -> Block:
    """Return the settings that go to the model as they are, under their common names."""
    more: Block = {}
    if conversation.sampling.top_k is not None:
        more[TOP_K] = conversation.sampling.top_k
    thinking = conversation.thinking
    if thinking != Thinking(summary=thinking.summary):
        more[REASONING] = thinking
    return more


def _format(form: AnswerFormat, cannot: dict[str, None]) -> Block:
    if form.schema is None:
        cannot["a JSON object without a schema as the format of the answer"] = None
        return {}
    schema: Block = {"schema": bytes(form.schema).decode()}
    if form.name:
        schema["name"] = form.name
    if form.description:
        schema["description"] = form.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
