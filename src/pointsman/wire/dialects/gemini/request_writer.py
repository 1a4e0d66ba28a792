"""Write a conversation as a request for Gemini.

https://ai.google.dev/api/generate-content#method:-models.generatecontent

- Schemas are written as JSON schemas, which Gemini reads beside its own subset of OpenAPI's:
  https://ai.google.dev/gemini-api/docs/structured-output#json-schema-support. Their names are labels, and left out.
- A strict tool asks for calls that match their schemas (`VALIDATED`); a forced call always does:
  https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
- Reasoning is written as the client asked for it. `models.fitted` writes it as a model takes it.
- No field limits an answer to one call of a tool. `ProviderHalves.calls_freely` has the gateway leave out the others.
- Marks of prefixes to be cached are left out, since Gemini caches repeated prefixes by itself.
"""

import msgspec
from msgspec import Raw

from pointsman.domain.conversations import AnswerFormat, Conversation, Sampling, Thinking, Tool, Written
from pointsman.wire.dialects.gemini._contents import ContentWriter, Fields
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.translation import labels_of

MAX_STOPS = 5  # https://ai.google.dev/api/generate-content#generationconfig (`stopSequences`)
MAX_TOP_LOGPROBS = 20
_SEEDS = range(-(2**31), 2**31)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def write_request(conversation: Conversation, is_streamed: bool) -> Written:  # noqa: ARG001 -- the path says it
    """Return the body of a request. The model and the request for a stream are in its path."""
    contents = ContentWriter()
    contents.write(conversation)
    cannot, dropped = contents.cannot, contents.dropped
    fields: Fields = {"contents": contents.contents}
    if contents.system:
        fields["systemInstruction"] = {"parts": contents.system}
    cannot |= {f"the tool {tool.name!r} of type custom": None for tool in conversation.tools if tool.is_custom}
    tools = [tool for tool in conversation.tools if not tool.is_custom]
    if tools:
        fields["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
        _choice(conversation, tools, fields)
    config = _sampling(conversation.sampling, cannot, dropped)
    if conversation.max_tokens is not None:
        config["maxOutputTokens"] = conversation.max_tokens
    if conversation.format is not None:
        config |= _format(conversation.format)
    if thinking := _thinking(conversation.thinking):
        config["thinkingConfig"] = thinking
    if config:
        fields["generationConfig"] = config
    dropped |= dict.fromkeys(labels_of(conversation))
    cannot |= dict.fromkeys(conversation.rest)
    written = {name: Raw(encode_object(value)) for name, value in fields.items()}
    return Written(fields=written, cannot=tuple(cannot), dropped=tuple(dropped))


def _declaration(tool: Tool) -> Fields:
    written: Fields = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema is not None:
        written["parametersJsonSchema"] = tool.schema
    return written


def _choice(conversation: Conversation, tools: list[Tool], fields: Fields) -> None:
    choice = conversation.tool_choice
    mode = _MODES.get(choice.mode or "", "")
    if mode in ("", "AUTO") and any(tool.strict for tool in tools):
        mode = "VALIDATED"
    if not mode:
        return
    names = {"allowedFunctionNames": [choice.name]} if choice.mode == "named" else {}
    fields["toolConfig"] = {"functionCallingConfig": {"mode": mode, **names}}


def _sampling(sampling: Sampling, cannot: dict[str, None], dropped: dict[str, None]) -> Fields:
    values: Fields = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "stopSequences": list(sampling.stop) or None,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
    }
    if sampling.seed is not None and sampling.seed in _SEEDS:
        values["seed"] = sampling.seed
    elif sampling.seed is not None:
        dropped["seed"] = None
    if len(sampling.stop) > MAX_STOPS:
        cannot[f"more than {MAX_STOPS} texts in stop"] = None
    if any(not text for text in sampling.stop):
        cannot["stop with an empty text"] = None
    if sampling.choices != 1:
        cannot["n above 1"] = None
    if sampling.logprobs or sampling.top_logprobs:
        values["responseLogprobs"] = True
        if sampling.top_logprobs:
            values["logprobs"] = min(sampling.top_logprobs, MAX_TOP_LOGPROBS)
    return {name: value for name, value in values.items() if value is not None}


def _thinking(thinking: Thinking) -> Fields:
    """Return the request for reasoning: either a level or a budget. A budget of 0 stands for none."""
    effort, budget = thinking.effort, thinking.budget_tokens
    if thinking.is_on is False or effort == "none":
        return {"thinkingBudget": 0}
    if thinking.is_on is None and effort is None and budget is None:
        return {"includeThoughts": True} if thinking.summary not in ("", "omitted") else {}
    written: Fields = {"includeThoughts": thinking.summary != "omitted"}
    if budget is not None:
        written["thinkingBudget"] = budget
    elif effort is not None:
        written["thinkingLevel"] = effort
    return written


def _format(form: AnswerFormat) -> Fields:
    written: Fields = {"responseMimeType": "application/json"}
    if form.schema is None:
        return written
    schema = form.schema
    if form.description:
        found = read_or(_OBJECT, schema, {})
        if found and "description" not in found:
            schema = Raw(encode_object({**found, "description": Raw(encode_object(form.description))}))
    return written | {"responseJsonSchema": schema}
