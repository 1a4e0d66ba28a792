"""Requests to create a response: read from a client, and written for a provider.

https://platform.openai.com/docs/api-reference/responses/create

These fields of a client's request need no place in the common form. `include` only adds to the answer; reasoning is
always shown with its encrypted content. `max_tool_calls` counts only tools that the provider runs. `store` is false
here whatever its default, and only an explicit `true` asks for more. `client_metadata` is a label by which Codex finds
its own requests.
"""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import AnswerFormat, Conversation, Effort, Sampling, Text, Thinking, Turn, Written
from pointsman.wire.dialects.openai_responses._input_reader import InputReader
from pointsman.wire.dialects.openai_responses._input_writer import InputWriter
from pointsman.wire.dialects.openai_responses._shapes import (
    ENCRYPTED,
    FIELDS,
    LOGPROBS,
    NAME,
    NOTHING,
)
from pointsman.wire.dialects.openai_responses._tools import read_choice, read_tools, write_choice, write_tools
from pointsman.wire.json_object import encode_object, is_empty, read_typed, read_value, rejection
from pointsman.wire.thinking import effort_of
from pointsman.wire.translation import deferred, dropped_top_k

# Fields that the gateway handles, and fields that are read below.
_HANDLED = frozenset(
    {"model", "stream", "stream_options", "fallbacks", "max_output_tokens", "max_tool_calls"} | {"client_metadata"}
)
_SMALL = frozenset(
    {"instructions", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user", "safety_identifier"}
    | {"service_tier", "prompt_cache_key", "include", "text", "reasoning"}
)
_READ = _HANDLED | _SMALL | {"input", "tools", "tool_choice", "metadata"}
_DEFAULTS = {
    "background": Raw(b"false"),
    "store": Raw(b"false"),
    "truncation": Raw(b'"disabled"'),
    "prompt_cache_retention": Raw(b'"in_memory"'),
}
_SOURCES = ("previous_response_id", "prompt", "conversation")  # of a prompt that is stored

# Values of `include` that concern only tools which the provider runs, or objects which it stores.
_INCLUDED = frozenset(
    {ENCRYPTED, LOGPROBS, "web_search_call.action.sources", "web_search_call.results", "file_search_call.results"}
    | {"code_interpreter_call.outputs", "computer_call_output.output.image_url", "message.input_image.image_url"}
)


class _TextFormat(Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    name: str = ""
    description: str | None = None
    schema: Raw = NOTHING
    strict: bool | None = None


class _TextSettings(Struct, gc=False):
    format: _TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class _ReasoningSettings(Struct, gc=False):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class _ResponseSettings(Struct, kw_only=True, gc=False):
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    include: list[str] | None = None
    text: _TextSettings | None = None
    reasoning: _ReasoningSettings | None = None


_SETTINGS = msgspec.json.Decoder(_ResponseSettings)
_WITHIN: tuple[tuple[str, frozenset[str], frozenset[bytes]], ...] = (
    ("text", frozenset({"format", "verbosity"}), frozenset({b"null"})),
    (
        "reasoning",
        frozenset({"effort", "summary", "generate_summary"}),
        frozenset({b"null", b'"auto"', b'"standard"'}),  # defaults of `context` and `mode`
    ),
)


def read_request(call: Call) -> Conversation:
    """Return the conversation of a call. Raises `Rejection` for a body with a wrong shape."""
    fields = call.fields
    small = {name: fields[name] for name in _SMALL if name in fields}
    given = read_typed(_SETTINGS, encode_object(small), small)
    rest = {
        name: raw
        for name, raw in fields.items()
        if name not in _READ and bytes(raw) != b"null" and raw != _DEFAULTS.get(name)
    }
    rest |= _unread(small, given)
    reader = InputReader()
    if not is_empty(fields.get("input", NOTHING)) or fields.get("input") == b'""':
        reader.read(fields["input"])
    elif not any(name in rest for name in _SOURCES):
        raise rejection("the field 'input' is required, and must not be empty", "input")
    rest |= reader.rest
    tools = read_tools(fields.get("tools", NOTHING), rest)
    choice, tools = read_choice(fields.get("tool_choice", NOTHING), given.parallel_tool_calls, tools, rest)
    instructions = (Text(given.instructions),) if given.instructions else ()
    metadata = fields.get("metadata", NOTHING)
    return Conversation(
        origin=NAME,
        system=(*instructions, *reader.system),
        turns=tuple(reader.turns),
        tools=tools,
        tool_choice=choice,
        sampling=_sampling(given),
        max_tokens=call.max_tokens,
        format=_format(given),
        thinking=_thinking(given.reasoning),
        verbosity=_verbosity(given.text),
        user=given.user or given.safety_identifier or "",
        metadata=None if is_empty(metadata) else metadata,
        service_tier="" if given.service_tier in (None, "auto") else given.service_tier,
        prompt_cache_key=given.prompt_cache_key or "",
        rest=rest,
    )


def _unread(small: dict[str, Raw], given: _ResponseSettings) -> dict[str, Raw]:
    """Return the settings inside `text`, `reasoning` and `include` that have no place in the common form."""
    found = {}
    for name, known, defaults in _WITHIN:
        if not is_empty(small.get(name, NOTHING)):
            for inner, value in read_value(FIELDS, small[name], name).items():
                if inner not in known and bytes(value) not in defaults:
                    found[f"{name}.{inner}"] = value
    for wanted in given.include or ():
        if wanted not in _INCLUDED:
            found[f"{wanted!r} in include"] = small["include"]
    return found


def _sampling(given: _ResponseSettings) -> Sampling:
    logprobs = LOGPROBS in (given.include or ())
    return Sampling(
        temperature=given.temperature,
        top_p=given.top_p,
        logprobs=logprobs,
        top_logprobs=given.top_logprobs if logprobs else None,
    )


def _format(given: _ResponseSettings) -> AnswerFormat | None:
    found = given.text.format if given.text is not None else None
    if found is None or found.type == "text":
        return None
    if found.type == "json_object":
        return AnswerFormat()
    if bytes(found.schema) in (b"", b"null"):
        raise rejection("the field 'text.format.schema' is required", "text.format.schema")
    return AnswerFormat(schema=found.schema, name=found.name, description=found.description or "", strict=found.strict)


def _verbosity(text: _TextSettings | None) -> str:
    """Return the verbosity. The default is as good as none."""
    return "" if text is None or text.verbosity in (None, "medium") else text.verbosity


def _thinking(given: _ReasoningSettings | None) -> Thinking:
    if given is None:
        return Thinking()
    is_on = None if given.effort is None else given.effort != "none"
    return Thinking(is_on=is_on, effort=given.effort, summary=given.summary or given.generate_summary or "")


def write_request(conversation: Conversation, is_streamed: bool) -> Written:
    """Return the body for a provider. Nothing is stored there, since the client could not name it again."""
    fields: dict[str, object] = {}
    cannot = _cannot(conversation)
    writer = InputWriter()
    instructions = conversation.system[:1]
    if instructions:
        fields["instructions"] = instructions[0].text
    writer.write([Turn("system", (text,)) for text in conversation.system[1:]])
    writer.write(conversation.turns)
    fields["input"] = writer.items
    for write in (_write_tools, _write_settings, _write_text, _write_reasoning):
        write(conversation, fields)
    if conversation.origin == NAME:
        fields |= {name: raw for name, raw in conversation.rest.items() if name.isidentifier()}
    fields["store"] = False
    if is_streamed:
        fields["stream"] = True
    return Written(
        fields={name: Raw(encode_object(value)) for name, value in fields.items()},
        cannot=(*cannot, *dict.fromkeys(writer.cannot)),
        dropped=(
            *(("seed",) if conversation.sampling.seed is not None else ()),
            *dropped_top_k(conversation),
            *deferred(conversation.tools),
        ),
    )


def _cannot(conversation: Conversation) -> list[str]:
    sampling, is_own = conversation.sampling, conversation.origin == NAME
    found = [name for name in conversation.rest if not (is_own and name.isidentifier())]
    if sampling.stop:
        found.append("stop_sequences" if conversation.origin.startswith("anthropic") else "stop")
    if sampling.choices > 1:
        found.append("n above 1")
    settings = {name: getattr(sampling, name) for name in ("top_k", "presence_penalty", "frequency_penalty")}
    dropped = dropped_top_k(conversation)
    return found + [name for name, value in settings.items() if value and name not in dropped]


def _write_tools(conversation: Conversation, fields: dict[str, object]) -> None:
    choice = conversation.tool_choice
    if conversation.tools:
        fields["tools"] = write_tools(conversation)
    if choice.mode is not None:
        fields["tool_choice"] = write_choice(choice, conversation.tools)
    if choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel


def _write_settings(conversation: Conversation, fields: dict[str, object]) -> None:
    sampling = conversation.sampling
    settings = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs,
        "max_output_tokens": conversation.max_tokens,
        "metadata": conversation.metadata,
        "user": conversation.user or None,
        "service_tier": _TIERS.get(conversation.service_tier, conversation.service_tier) or None,
        "prompt_cache_key": conversation.prompt_cache_key or None,
    }
    fields.update({name: value for name, value in settings.items() if value is not None})
    included = [LOGPROBS] if sampling.logprobs else []
    # A model without reasoning rejects this, so it is only sent for a request that deals with reasoning.
    if _reasons(conversation):
        included.append(ENCRYPTED)
    if included:
        fields["include"] = included


_TIERS = {"standard_only": "default"}  # Anthropic's name: https://docs.claude.com/en/api/service-tiers


def _reasons(conversation: Conversation) -> bool:
    return effort_of(conversation.thinking) not in (None, "none") or bool(conversation.thinking.is_on)


def _write_text(conversation: Conversation, fields: dict[str, object]) -> None:
    text: dict[str, object] = {}
    wanted = conversation.format
    if wanted is not None and wanted.schema is None:
        text["format"] = {"type": "json_object"}
    elif wanted is not None:
        named: dict[str, object] = {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema}
        if wanted.description:
            named["description"] = wanted.description
        if wanted.strict is not None:
            named["strict"] = wanted.strict
        text["format"] = named
    if conversation.verbosity:
        text["verbosity"] = conversation.verbosity
    if text:
        fields["text"] = text


def _write_reasoning(conversation: Conversation, fields: dict[str, object]) -> None:
    thinking = conversation.thinking
    reasoning: dict[str, object] = {}
    effort = effort_of(thinking)
    if effort is not None:
        reasoning["effort"] = effort
    if thinking.summary not in ("", "omitted"):
        reasoning["summary"] = "auto" if thinking.summary == "summarized" else thinking.summary
    if reasoning:
        fields["reasoning"] = reasoning
