"""The `input` of a client's request: a text, or items in the order of the conversation.

https://platform.openai.com/docs/api-reference/responses/create (`input`). Ids, statuses, phases and annotations of
items describe earlier answers. They are no part of the prompt, so they are not read. Successive items of the assistant
are one turn, and so are successive results of calls.
"""

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import (
    Audio,
    CacheMark,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from pointsman.wire.dialects.openai_responses._shapes import (
    LIST,
    NAME,
    PARAGRAPH,
    REDACTED,
    STRING,
    split_data_url,
)
from pointsman.wire.dialects.openai_responses.namespaces import flat_name
from pointsman.wire.json_object import read_value, rejection
from pointsman.wire.translation import read_signature

_PDF = "JVBERi0"  # the beginning of a PDF file in base64


class _ItemKind(Struct, gc=False):
    type: str | None = None
    role: str | None = None


class _MessageItem(Struct, gc=False):
    role: str
    content: Raw


class _FunctionCallItem(Struct, gc=False):
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None


class _CustomCallItem(Struct, gc=False):
    call_id: str
    name: str
    input: str
    namespace: str | None = None


class _CallOutputItem(Struct, gc=False):
    call_id: str
    output: Raw


class _ReasoningText(Struct, gc=False):
    text: str = ""


class _ReasoningItem(Struct, gc=False):
    id: str | None = None
    summary: list[_ReasoningText] | None = None
    content: list[_ReasoningText] | None = None
    encrypted_content: str | None = None


class _Breakpoint(Struct, gc=False):
    ttl: str | None = None


class _InputAudio(Struct, gc=False):
    data: str
    format: str


class _ContentPart(Struct, gc=False):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _InputAudio | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


_KIND = msgspec.json.Decoder(_ItemKind)
_MESSAGE = msgspec.json.Decoder(_MessageItem)
_FUNCTION_CALL = msgspec.json.Decoder(_FunctionCallItem)
_CUSTOM_CALL = msgspec.json.Decoder(_CustomCallItem)
_OUTPUT = msgspec.json.Decoder(_CallOutputItem)
_REASONING = msgspec.json.Decoder(_ReasoningItem)
_PART = msgspec.json.Decoder(_ContentPart)


class InputReader:
    """Reads an input. `system` are the texts before the first turn. `rest` are the values without a place in the common
    form, by their places in the body. Raises `Rejection` for a wrong shape."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self.rest: dict[str, Raw] = {}
        self._open: list[Part] = []  # parts of the turn that the next item may continue
        self._has_results = False  # in the open turn, which is else the assistant's
        self._by_type: dict[str, Callable[[Raw, str], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._function_output,
            "custom_tool_call_output": self._custom_output,
            "reasoning": self._reasoning,
        }

    def read(self, raw: Raw) -> None:
        if bytes(memoryview(raw)[:1]) == b'"':
            self._add_turn("user", [Text(read_value(STRING, raw, "input"))])
            return
        items = read_value(LIST, raw, "input")
        for number, item in enumerate(items):
            place = f"input[{number}]"
            kind = read_value(_KIND, item, place)
            name = kind.type or ("item_reference" if kind.role is None else "message")
            read = self._by_type.get(name)
            if read is None:
                self.rest[f"{place} of type {name}"] = item
            else:
                read(item, place)
        self._close()

    def _message(self, item: Raw, place: str) -> None:
        message = read_value(_MESSAGE, item, place)
        parts = self._content(message.content, f"{place}.content")
        match message.role:
            case "assistant":
                self._extend(parts, has_results=False)
            case "user":
                self._add_turn("user", parts)
            case "system" | "developer":
                self._add_system(parts)
            case _:
                roles = "assistant, developer, system, user"
                raise rejection(f"the field '{place}.role' must be one of: {roles}", f"{place}.role")

    def _function_call(self, item: Raw, place: str) -> None:
        call = read_value(_FUNCTION_CALL, item, place)
        self._extend([ToolCall(call.call_id, _name_of(call), call.arguments)], has_results=False)

    def _custom_call(self, item: Raw, place: str) -> None:
        call = read_value(_CUSTOM_CALL, item, place)
        self._extend([ToolCall(call.call_id, _name_of(call), call.input, is_custom=True)], has_results=False)

    def _function_output(self, item: Raw, place: str) -> None:
        self._result(item, place, is_custom=False)

    def _custom_output(self, item: Raw, place: str) -> None:
        self._result(item, place, is_custom=True)

    def _result(self, item: Raw, place: str, *, is_custom: bool) -> None:
        result = read_value(_OUTPUT, item, place)
        parts: list[Text | Image | DocumentPart] = []
        for number, part in enumerate(self._content(result.output, f"{place}.output")):
            if isinstance(part, Text | Image | DocumentPart):
                parts.append(part)
            else:
                self.rest[f"{place}.output[{number}]"] = result.output
        self._extend([ToolResult(result.call_id, tuple(parts), is_custom=is_custom)], has_results=True)

    def _reasoning(self, item: Raw, place: str) -> None:
        found = read_value(_REASONING, item, place)
        signature, origin = read_signature(found.encrypted_content or "", NAME)
        given = "" if origin != NAME else found.id or ""  # any other id is this gateway's
        if origin != NAME and signature.startswith(REDACTED):
            self._extend([Reasoning(redacted=signature.removeprefix(REDACTED), origin=origin)], has_results=False)
            return
        texts = [part.text for part in (*(found.summary or ()), *(found.content or ()))]
        reasoning = Reasoning(text=PARAGRAPH.join(texts), signature=signature, origin=origin, id=given)
        self._extend([reasoning], has_results=False)

    def _content(self, content: Raw, place: str) -> list[Part]:
        """Return the parts of a message or a result."""
        if bytes(memoryview(content)[:1]) == b'"':
            text = read_value(STRING, content, place)
            return [Text(text)] if text else []
        parts = []
        items = read_value(LIST, content, place)
        for number, raw in enumerate(items):
            within = f"{place}[{number}]"
            part = self._part(read_value(_PART, raw, within), raw, within)
            if part is not None:
                parts.append(part)
        return parts

    def _part(self, part: _ContentPart, raw: Raw, place: str) -> Part | None:
        mark = part.prompt_cache_breakpoint
        cache = CacheMark(mark.ttl or "") if mark is not None else None
        match part.type:
            case "input_text" | "output_text" | "text":
                return Text(_required(part.text, f"{place}.text"), cache)
            case "refusal":
                return Refusal(_required(part.refusal, f"{place}.refusal"))
            case "input_image" if not part.file_id:
                return _image(part, cache, place)
            case "input_file" if not part.file_id and part.detail in (None, "auto"):
                return _document(part, cache, place)
            case "input_audio" if part.input_audio is not None:
                return Audio(part.input_audio.data, part.input_audio.format)
        name = "file_id" if part.file_id else "detail" if part.type == "input_file" else ""
        self.rest[f"{place}.{name}" if name else f"{place} of type {part.type}"] = raw
        return None

    def _extend(self, parts: Sequence[Part], *, has_results: bool) -> None:
        if has_results is not self._has_results:
            self._close()
        self._has_results = has_results
        self._open += parts

    def _close(self) -> None:
        if self._open:
            self.turns.append(Turn("user" if self._has_results else "assistant", tuple(self._open)))
        self._open = []

    def _add_turn(self, role: Literal["user", "system"], parts: Sequence[Part]) -> None:
        self._close()
        if parts:
            self.turns.append(Turn(role, tuple(parts)))

    def _add_system(self, parts: Sequence[Part]) -> None:
        texts = [part for part in parts if isinstance(part, Text)]
        if self.turns or self._open or len(texts) < len(parts):
            self._add_turn("system", parts)
        else:
            self.system += texts


def _required(value: str | None, place: str) -> str:
    if value is None:
        raise rejection(f"the field {place!r} is required", place)
    return value


def _image(part: _ContentPart, cache: CacheMark | None, place: str) -> Image:
    url = _required(part.image_url, f"{place}.image_url")
    detail = "" if part.detail in (None, "auto") else part.detail
    inline = split_data_url(url)
    if inline is None:
        return Image(url=url, detail=detail, cache=cache)
    return Image(media_type=inline[0], data=inline[1], detail=detail, cache=cache)


def _document(part: _ContentPart, cache: CacheMark | None, place: str) -> DocumentPart:
    """Return a file. Its data are a data URL or base64 alone. A text is decoded, since other dialects have a field of
    its own for it. https://developers.openai.com/api/docs/guides/file-inputs"""
    name = part.filename or ""
    if part.file_data is None:
        return DocumentPart(url=_required(part.file_url, f"{place}.file_data"), name=name, cache=cache)
    media_type, data = split_data_url(part.file_data) or ("", part.file_data)
    if not media_type and data.startswith(_PDF):
        media_type = "application/pdf"
    if media_type.startswith("text/"):
        try:
            text = b64decode(data, validate=True).decode()
        except ValueError:
            pass  # of another encoding than UTF-8
        else:
            return DocumentPart(text=text, media_type=media_type, name=name, cache=cache)
    return DocumentPart(data=data, media_type=media_type, name=name, cache=cache)


def _name_of(call: _FunctionCallItem | _CustomCallItem) -> str:
    return flat_name(call.namespace, call.name) if call.namespace else call.name
