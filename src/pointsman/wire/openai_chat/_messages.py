"""Read the messages of a chat completion. https://platform.openai.com/docs/api-reference/chat/create (`messages`)"""

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
from pointsman.wire.json_object import is_empty, read_or, read_value, rejection
from pointsman.wire.openai_chat._reasoning import NAME, PLAIN, plain_proof, read_blocks, read_details
from pointsman.wire.openai_chat._shapes import ChatCacheControl, mark_of

_ABSENT = Raw(b"")
_PDF = "application/pdf"
_ROLES = "system, developer, user, assistant, tool, function"


class _SentFunction(Struct, gc=False):
    name: str
    arguments: str = ""


class _SentCustom(Struct, gc=False):
    name: str
    input: str = ""


class _SentCall(Struct, gc=False):
    id: str = ""
    type: str = "function"
    function: _SentFunction | None = None
    custom: _SentCustom | None = None


class _SentMessage(Struct, gc=False):
    role: str
    content: Raw = _ABSENT
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_SentCall] | None = None
    function_call: _SentFunction | None = None
    tool_call_id: str | None = None
    audio: Raw = _ABSENT
    images: Raw = _ABSENT
    prefix: Raw = _ABSENT
    reasoning_content: Raw = _ABSENT
    reasoning: Raw = _ABSENT
    reasoning_details: Raw = _ABSENT
    cache_control: ChatCacheControl | None = None


class _SentImage(Struct, gc=False):
    url: str
    detail: str | None = None


class _SentAudio(Struct, gc=False):
    data: str
    format: str


class _SentFile(Struct, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _SentPart(Struct, gc=False):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _SentImage | str | None = None
    input_audio: _SentAudio | None = None
    file: _SentFile | None = None
    cache_control: ChatCacheControl | None = None
    prompt_cache_breakpoint: Raw = _ABSENT

    @property
    def mark(self) -> CacheMark | None:
        if self.cache_control is None and not is_empty(self.prompt_cache_breakpoint):
            return CacheMark()
        return mark_of(self.cache_control)


_MESSAGES = msgspec.json.Decoder(list[_SentMessage])
_PARTS = msgspec.json.Decoder(list[_SentPart])
_RAWS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_MAYBE_TEXT = msgspec.json.Decoder(str | None)
_NO_TEXT: str | None = None


class ChatMessages:
    """The messages read so far. `rest` gets the parts that have no place in the common form."""

    def __init__(self, rest: dict[str, Raw]) -> None:
        self.system: tuple[Text, ...] = ()
        self.turns: tuple[Turn, ...] = ()
        self._turns: list[Turn] = []
        self._rest = rest
        self._results: list[Part] = []  # of the tool messages that follow each other
        self._custom_ids: set[str] = set()
        self._legacy: dict[str, str] = {}  # ids of calls by `function_call`, by the name of the function

    def read(self, raw: Raw) -> None:
        messages = read_value(_MESSAGES, raw, "messages")
        for position, message in enumerate(messages):
            place = f"messages[{position}]"
            role = message.role
            if role not in {"tool", "function"}:
                self._end_results()
            if role == "assistant":
                self._add("assistant", self._assistant(message, place), message.name)
            elif role == "user":
                self._add("user", tuple(self._content(message, place)), message.name)
            elif role in {"system", "developer"}:
                self._add_system(message, place)
            elif role == "tool":
                self._results.append(self._tool(message, place))
            elif role == "function":
                self._results.append(self._function(message, place))
            else:
                raise rejection(f"the field '{place}.role' is invalid; set it to one of: {_ROLES}", f"{place}.role")
        self._end_results()
        self.turns = tuple(self._turns)

    def _add_system(self, message: _SentMessage, place: str) -> None:
        found = self._content(message, place)
        texts = tuple(part for part in found if isinstance(part, Text))
        if self._turns or message.name:
            self._add("system", texts, message.name)
        else:
            self.system += texts

    def _add(self, role: str, parts: tuple[Part, ...], name: str | None) -> None:
        if not parts:
            return
        if role == "assistant":
            self._turns.append(Turn("assistant", parts, name or ""))
        else:
            self._turns.append(Turn("user" if role == "user" else "system", parts, name or ""))

    def _end_results(self) -> None:
        if self._results:
            self._turns.append(Turn("user", tuple(self._results)))
            self._results = []

    def _assistant(self, message: _SentMessage, place: str) -> tuple[Part, ...]:
        for name, raw in (("audio", message.audio), ("images", message.images), ("prefix", message.prefix)):
            if not is_empty(raw) and bytes(raw) != b"false":
                self._rest[f"{place}.{name}"] = Raw(bytes(raw))
        parts: list[Part] = [*_reasoning(message), *self._content(message, place)]
        if message.refusal:
            parts.append(Refusal(message.refusal))
        for number, call in enumerate(message.tool_calls or ()):
            if call.function is not None:
                self._custom_ids.discard(call.id)  # ids may repeat in later turns
                parts.append(ToolCall(call.id, call.function.name, call.function.arguments))
            elif call.custom is not None:
                self._custom_ids.add(call.id)
                parts.append(ToolCall(call.id, call.custom.name, call.custom.input, is_custom=True))
            else:
                field = f"{place}.tool_calls[{number}].function"
                raise rejection(f"the field {field!r} is required", field)
        if message.function_call is not None:
            legacy = message.function_call
            self._legacy[legacy.name] = call_id = f"call_of_{place[9:-1]}"
            parts.append(ToolCall(call_id, legacy.name, legacy.arguments))
        return tuple(parts)

    def _tool(self, message: _SentMessage, place: str) -> ToolResult:
        call_id = message.tool_call_id
        if call_id is None:
            raise rejection(f"the field '{place}.tool_call_id' is required", f"{place}.tool_call_id")
        return self._result(message, place, call_id)

    def _function(self, message: _SentMessage, place: str) -> ToolResult:
        name = message.name or ""
        if name not in self._legacy:
            raise rejection(f"the field '{place}.name': no earlier message calls this function", f"{place}.name")
        return self._result(message, place, self._legacy[name])

    def _result(self, message: _SentMessage, place: str, call_id: str) -> ToolResult:
        parts = []
        mark = mark_of(message.cache_control)
        for part in self._content(message, place, is_marked=False):
            if isinstance(part, Text | Image | DocumentPart):
                parts.append(part)
            else:
                self._rest[f"{place}.content of type input_audio"] = Raw(b"true")
        return ToolResult(call_id, tuple(parts), is_custom=call_id in self._custom_ids, cache=mark)

    def _content(self, message: _SentMessage, place: str, *, is_marked: bool = True) -> list[Part]:
        """Return the parts of a message. A mark of the whole message is put on its last text."""
        raw = message.content
        if is_empty(raw):
            return []
        place = f"{place}.content"
        mark = mark_of(message.cache_control) if is_marked else None
        if memoryview(raw)[0] == 0x22:
            return [Text(read_value(_TEXT, raw, place), mark)]
        parts: list[Part] = []
        found_parts = read_value(_PARTS, raw, place)
        for number, part in enumerate(found_parts):
            found = _part(part)
            if found is not None:
                parts.append(found)
            elif part.type != "text":
                self._rest[f"{place}[{number}] of type {part.type[:64]}"] = _RAWS.decode(raw)[number]
        if mark is not None and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text, mark)
        return parts


def read_messages(raw: Raw, rest: dict[str, Raw]) -> ChatMessages:
    """Return the instructions and the turns. Raises `Rejection`."""
    found = ChatMessages(rest)
    found.read(raw)
    return found


def _part(part: _SentPart) -> Part | None:
    """Return a part of a message, or `None` if it has no place in the common form."""
    if part.type == "text":
        return Text(part.text, part.mark) if part.text else None
    if part.type == "image_url" and part.image_url is not None:
        return _image(part.image_url, part.mark)
    if part.type == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.data, part.input_audio.format)
    if part.type == "refusal":
        return Refusal(part.refusal or "")
    if part.type == "file" and part.file is not None and part.file.file_data:
        return _document(part.file.file_data, part.file.filename or "", part.mark)
    return None


def _reasoning(message: _SentMessage) -> list[Reasoning]:
    details = read_details(message.reasoning_details) if not is_empty(message.reasoning_details) else []
    if details:
        return read_blocks(details)
    for name, raw in zip(PLAIN, (message.reasoning_content, message.reasoning), strict=True):
        text = None if is_empty(raw) else read_or(_MAYBE_TEXT, raw, _NO_TEXT)
        if text:
            return [Reasoning(text, plain_proof(name), origin=NAME)]
    return []


def _inline(url: str) -> tuple[str, str] | None:
    """Return the media type and the base64 data of a `data:` URL (RFC 2397); `None` for any other URL."""
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:" or head[-7:].lower() != ";base64":
        return None
    return head[5:-7].partition(";")[0].lower(), data


def _image(found: _SentImage | str, mark: CacheMark | None) -> Image:
    url, detail = (found, "") if isinstance(found, str) else (found.url, found.detail or "")
    detail = "" if detail == "auto" else detail
    inline = _inline(url)
    if inline is None:
        return Image(url=url, detail=detail, cache=mark)
    return Image(data=inline[1], media_type=inline[0], detail=detail, cache=mark)


def _document(data: str, name: str, mark: CacheMark | None) -> DocumentPart:
    """Return a file. Its data are a `data:` URL or bare base64; OpenRouter's clients may send an address too."""
    if data.startswith(("https://", "http://")):
        return DocumentPart(url=data, name=name, cache=mark)
    media_type, content = _inline(data) or ("", data)
    return DocumentPart(data=content, media_type=media_type or _PDF, name=name, cache=mark)
