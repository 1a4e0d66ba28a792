"""Write a conversation as a chat completion. https://platform.openai.com/docs/api-reference/chat/create

Four things are written in other words, since the dialect has none for them:

- Several texts of one turn become one string, because some servers take no list of texts.
- The failure of a tool is told in the text of its result.
- Images and files in the result of a tool follow in a message of the user, since a tool message holds only text.
- A text document becomes a text.

Marks of prefixes to be cached are left out, unless the server is known to accept them: OpenAI caches without them, and
rejects unknown fields. Reasoning is left out unless its author spoke this dialect.
"""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Raw

from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from pointsman.wire.json_object import encode_object
from pointsman.wire.openai_chat._reasoning import NAME, ReasoningDetail, for_author
from pointsman.wire.thinking import effort_of
from pointsman.wire.translation import deferred, dropped_top_k

Fields = dict[str, object]

MAX_ID = 40  # characters of a call's id, which OpenAI checks
MAX_STOPS = 4  # https://platform.openai.com/docs/api-reference/chat/create#chat_create-stop
# Files are documents alone: https://developers.openai.com/api/docs/guides/file-inputs
NO_DOCUMENTS = ("video/", "audio/")
_OPENAI_TIERS = {"standard_only": "default"}  # https://docs.claude.com/en/api/service-tiers
_SEPARATOR = "\n\n"


def write_request(conversation: Conversation, streamed: bool, *, marks: bool = False) -> Written:
    """Return the fields of a chat completion. With `marks`, it has the marks of prefixes to be cached."""
    return _ChatRequestWriter(conversation, marks).write(streamed=streamed)


def call_id(given: str) -> str:
    """Return the id of a call as OpenAI accepts it."""
    if given and len(given) <= MAX_ID:
        return given
    return f"call_{hashlib.sha256(given.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


class _ChatRequestWriter:
    def __init__(self, conversation: Conversation, marks: bool) -> None:
        self._given = conversation
        self._marks = marks
        self._cannot: list[str] = []
        self._dropped = deferred(conversation.tools)

    def write(self, *, streamed: bool) -> Written:
        given = self._given
        fields: Fields = {"messages": self._messages()}
        if given.max_tokens is not None:
            fields["max_completion_tokens"] = given.max_tokens
        self._sample(fields)
        self._put_tools(fields)
        if given.format is not None:
            fields["response_format"] = _format(given.format)
        effort = effort_of(given.thinking)
        if effort is not None:
            fields["reasoning_effort"] = effort
        tier = _OPENAI_TIERS.get(given.service_tier, given.service_tier)
        labels = {
            "verbosity": given.verbosity,
            "user": given.user,
            "service_tier": tier,
            "prompt_cache_key": given.prompt_cache_key,
        }
        fields.update({name: value for name, value in labels.items() if value})
        if given.metadata is not None:
            # OpenAI accepts them for completions that it stores, and nothing is stored for another dialect.
            if given.origin == NAME:
                fields["metadata"] = given.metadata
            else:
                self._dropped.append("metadata")
        for name, raw in given.rest.items():
            if given.origin == NAME and name.isidentifier():
                fields[name] = raw
            else:
                self._cannot.append(name)
        if streamed:
            fields["stream"] = True
            fields["stream_options"] = {"include_usage": True}
        encoded = {name: Raw(encode_object(value)) for name, value in fields.items()}
        return Written(fields=encoded, cannot=tuple(self._cannot), dropped=tuple(self._dropped))

    def _sample(self, fields: Fields) -> None:
        sampling = self._given.sampling
        values = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            "logprobs": sampling.logprobs or None,
            "top_logprobs": sampling.top_logprobs,
        }
        fields.update({name: value for name, value in values.items() if value is not None})
        if len(sampling.stop) > MAX_STOPS:
            self._cannot.append(f"more than {MAX_STOPS} texts in stop")
        dropped = dropped_top_k(self._given)
        self._dropped += dropped
        if sampling.top_k is not None and not dropped:
            self._cannot.append("top_k")
        if sampling.choices != 1:
            self._cannot.append("n above 1")

    def _put_tools(self, fields: Fields) -> None:
        tools, choice = self._given.tools, self._given.tool_choice
        if not tools:  # the other fields are invalid without it
            return
        fields["tools"] = [self._tool(tool) for tool in tools]
        if choice.mode == "named":
            is_custom = any(tool.name == choice.name and tool.is_custom for tool in tools)
            kind = "custom" if is_custom else "function"
            fields["tool_choice"] = {"type": kind, kind: {"name": choice.name}}
        elif choice.mode is not None:
            fields["tool_choice"] = choice.mode
        if choice.parallel is not None:
            fields["parallel_tool_calls"] = choice.parallel

    def _tool(self, tool: Tool) -> Fields:
        inner: Fields = {"name": tool.name}
        if tool.description:
            inner["description"] = tool.description
        if tool.is_custom:
            if tool.grammar:
                grammar = {"definition": tool.grammar, "syntax": tool.syntax}
                inner["format"] = {"type": "grammar", "grammar": grammar}
            return self._marked({"type": "custom", "custom": inner}, tool.cache)
        if tool.schema is not None:
            inner["parameters"] = tool.schema
        if tool.strict is not None:
            inner["strict"] = tool.strict
        return self._marked({"type": "function", "function": inner}, tool.cache)

    def _marked(self, fields: Fields, mark: CacheMark | None) -> Fields:
        if self._marks and mark is not None:
            control = {"type": "ephemeral"}
            if mark.ttl:
                control["ttl"] = mark.ttl
            fields["cache_control"] = control
        return fields

    def _messages(self) -> list[Fields]:
        messages: list[Fields] = []
        if self._given.system:
            messages.append({"role": "system", "content": self._content(self._given.system)})
        for turn in self._given.turns:
            if turn.role == "assistant":
                messages += self._assistant(turn)
            else:
                messages += self._others(turn)
        return messages

    def _others(self, turn: Turn) -> list[Fields]:
        """Return the messages of a turn of the user or the system. Results of tools come first."""
        messages: list[Fields] = []
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                message, media = self._result(part)
                messages.append(message)
                parts += media
        parts += [part for part in turn.parts if not isinstance(part, ToolResult)]
        if parts:
            messages.append(_named({"role": turn.role, "content": self._content(parts)}, turn.name))
        return messages

    def _result(self, result: ToolResult) -> tuple[Fields, list[Part]]:
        """Return the message of a result, and the parts that it cannot hold, after a text that names the call."""
        texts = [part for part in map(_as_text, result.parts) if isinstance(part, Text)]
        media: list[Part] = [part for part in map(_as_text, result.parts) if not isinstance(part, Text)]
        own_id = call_id(result.call_id)
        if result.is_error and "error" not in "".join(part.text for part in texts)[:64].lower():
            texts.insert(0, Text("Error:"))
        if media:
            if not texts:
                texts = [Text("The result is in the next message of the user.")]
            media.insert(0, Text(f"Files in the result of the tool call {own_id}:"))
        content = self._content(texts) if texts else ""
        message: Fields = {"role": "tool", "tool_call_id": own_id, "content": content}
        return self._marked(message, result.cache), media

    def _content(self, parts: Sequence[Part]) -> object:
        """Return a string if all parts are texts, else a list."""
        found = [_as_text(part) for part in parts]
        texts = [part for part in found if isinstance(part, Text)]
        if len(texts) == len(found) and not (self._marks and any(part.cache for part in texts)):
            return _SEPARATOR.join(part.text for part in texts)
        return [written for written in map(self._part, found) if written is not None]

    def _part(self, part: Part) -> Fields | None:
        if isinstance(part, Text):
            return self._marked({"type": "text", "text": part.text}, part.cache)
        if isinstance(part, Image):
            image: Fields = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            if part.detail:
                image["detail"] = part.detail
            return self._marked({"type": "image_url", "image_url": image}, part.cache)
        if isinstance(part, Audio):
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        if isinstance(part, DocumentPart) and part.media_type.startswith(NO_DOCUMENTS):
            self._cannot.append(f"a document of type {part.media_type}")
            return None
        if isinstance(part, DocumentPart) and part.data:
            name = part.name or ("document.pdf" if part.media_type.endswith("pdf") else "document")
            file = {"filename": name, "file_data": f"data:{part.media_type};base64,{part.data}"}
            return self._marked({"type": "file", "file": file}, part.cache)
        self._cannot.append("a document by its URL" if isinstance(part, DocumentPart) else _name(part))
        return None

    def _assistant(self, turn: Turn) -> list[Fields]:
        texts: list[Text] = []
        message: Fields = {"role": "assistant", "content": None}
        calls: list[Fields] = []
        for part in turn.parts:
            if isinstance(part, Text):
                texts.append(part)
            elif isinstance(part, ToolCall):
                calls.append(_call(part))
            elif not isinstance(part, Reasoning | Refusal):
                self._cannot.append(f"{_name(part)} in a turn of the assistant")
        if texts:
            # Blocks of one answer follow each other without a gap.
            has_marks = self._marks and any(part.cache for part in texts)
            message["content"] = self._content(texts) if has_marks else "".join(part.text for part in texts)
        refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
        if refusal:
            message["refusal"] = refusal
        message.update(_reasoning(part for part in turn.parts if isinstance(part, Reasoning)))
        if calls:
            message["tool_calls"] = calls
        if len(message) == 2 and not texts:  # it held only another author's reasoning
            return []
        return [_named(message, turn.name)]


def _reasoning(parts: Iterable[Reasoning]) -> Fields:
    """Return the fields of a message that give reasoning back to its author."""
    plain: dict[str, str] = {}
    details: list[ReasoningDetail] = []
    for part in parts:
        if part.origin != NAME:
            continue
        field, detail = for_author(part)
        if field:
            plain[field] = plain.get(field, "") + part.text
        elif detail is not None:
            detail.index = len(details)
            details.append(detail)
    found: Fields = dict(plain)
    if details:
        found["reasoning_details"] = details
    return found


def _call(part: ToolCall) -> Fields:
    if part.is_custom:
        custom = {"name": part.name, "input": part.arguments}
        return {"id": call_id(part.id), "type": "custom", "custom": custom}
    function = {"name": part.name, "arguments": part.arguments if part.arguments.strip() else "{}"}
    return {"id": call_id(part.id), "type": "function", "function": function}


def _as_text(part: Part) -> Part:
    """Return a text document as a text below its name, and any other part as it is."""
    if isinstance(part, DocumentPart) and part.text:
        return Text(f"{part.name}{_SEPARATOR}{part.text}" if part.name else part.text, part.cache)
    return part


def _format(given: AnswerFormat) -> Fields:
    if given.schema is None:
        return {"type": "json_object"}
    inner: Fields = {"name": given.name or "answer", "schema": given.schema}
    if given.description:
        inner["description"] = given.description
    if given.strict is not None:
        inner["strict"] = given.strict
    return {"type": "json_schema", "json_schema": inner}


def _named(message: Fields, name: str) -> Fields:
    if name:
        message["name"] = name
    return message


def _name(part: Part) -> str:
    return f"a part of type {type(part).__name__.lower()}"
