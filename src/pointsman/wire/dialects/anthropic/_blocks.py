"""The blocks of content in a request of Anthropic's Messages API, and the parts they stand for.

https://platform.claude.com/docs/en/api/messages (`messages[].content`)
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import (
    CacheMark,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman.wire.json_object import UNREADABLE, read_value, rejection
from pointsman.wire.translation import read_signature

NAME = "anthropic"
NO_VALUE = Raw(b"")
ID_MARK = "|"  # ends the id before a signature of another author's reasoning; no id holds it

_UNSET = frozenset({b"", b"null", b"false", b"[]", b"{}"})


class CacheControl(Struct, gc=False):
    """A mark for a cache. https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""

    ttl: str | None = None


class _BlockSource(Struct, gc=False):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


class _Switch(Struct, gc=False):
    enabled: bool | None = None


class _Caller(Struct, gc=False):
    type: str = "direct"


class _TypedBlock(Struct, gc=False):
    type: str


class RequestBlock(Struct, kw_only=True, gc=False):
    """One block of a type in `_TYPES`. Most fields belong to one type only."""

    type: str
    text: str = ""
    source: _BlockSource | None = None
    title: str | None = None
    context: str | None = None
    citations: Raw = NO_VALUE
    transformations: Raw = NO_VALUE
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    tool_name: str = ""
    input: Raw = NO_VALUE
    caller: _Caller | None = None
    toolset_name: str | None = None
    tool_use_id: str = ""
    content: Raw = NO_VALUE
    is_error: bool | None = None
    cache_control: CacheControl | None = None


_TYPES = frozenset({"text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"})
_RESULT_TYPES = frozenset({"text", "image", "document", "tool_reference"})  # in the result of a tool
MAX_LISTED = 16  # parts without a common form: one is enough for another dialect to reject the request
_CONTENT = msgspec.json.Decoder(str | list[Raw])
_TYPED = msgspec.json.Decoder(_TypedBlock)
_BLOCK = msgspec.json.Decoder(RequestBlock)
_SWITCH = msgspec.json.Decoder(_Switch | None)


def mark_of(control: CacheControl | None) -> CacheMark | None:
    """Return the mark for a cache."""
    return None if control is None else CacheMark(control.ttl or "")


def is_unset(raw: Raw) -> bool:
    """Return whether a value means the same as an absent field."""
    return bytes(raw) in _UNSET


class BlockReader:
    """Reads blocks. `rest` collects the places of those that have no common form."""

    def __init__(self) -> None:
        self.rest: dict[str, Raw] = {}

    def parts(self, content: Raw, place: str) -> tuple[Part, ...]:
        """Return the parts of a content. Raises `Rejection`."""
        return tuple(self._parts(content, place, _TYPES))

    def texts(self, content: Raw, place: str) -> tuple[Text, ...]:
        """Return the texts of a content that may hold nothing else. Raises `Rejection`."""
        found = self.parts(content, place)
        if not all(isinstance(part, Text) for part in found):
            raise rejection(f"the field {place!r} must be a text or a list of blocks of type text", place)
        return tuple(part for part in found if isinstance(part, Text))

    def _list(self, place: str) -> None:
        if len(self.rest) < MAX_LISTED:
            self.rest[place] = Raw(b"true")

    def _parts(self, content: Raw, place: str, types: frozenset[str]) -> Iterator[Part]:
        found = read_value(_CONTENT, content, place)
        if isinstance(found, str):
            if found:
                yield Text(found)
            return
        for number, raw in enumerate(found):
            at = f"{place}[{number}]"
            kind = read_value(_TYPED, raw, at).type
            part = self._part(read_value(_BLOCK, raw, at), at) if kind in types else None
            if part is None:
                self._list(f"{at} of type {kind}")
            else:
                yield part

    def _part(self, block: RequestBlock, place: str) -> Part | None:
        """Return the part, or `None` if there is none for a block of this type."""
        mark = mark_of(block.cache_control)
        match block.type:
            case "text":
                # The citations of an earlier answer are for its reader: the model has the sources in the conversation.
                return Text(block.text, mark)
            case "image":
                return self._image(block, mark, place)
            case "document":
                return self._document(block, mark, place)
            case "thinking":
                return _reasoning(block.signature, block.thinking)
            case "redacted_thinking":
                return _redacted(block.data)
            case "tool_reference":  # the tool is among those of the request
                return Text(f"The tool {block.tool_name} is available.", mark)
            case "tool_use":
                return self._call(block, mark, place)
            case _:
                return self._result(block, mark, place)

    def _image(self, block: RequestBlock, mark: CacheMark | None, place: str) -> Image | None:
        source = block.source
        if source is None:
            raise rejection(f"the field '{place}.source' is required", f"{place}.source")
        if not is_unset(block.transformations):
            self._list(f"{place}.transformations")
        if source.type == "url":
            return Image(url=source.url, cache=mark)
        if source.type == "base64":
            return Image(data=source.data, media_type=source.media_type, cache=mark)
        return None

    def _document(self, block: RequestBlock, mark: CacheMark | None, place: str) -> DocumentPart | None:
        source = block.source
        if source is None:
            raise rejection(f"the field '{place}.source' is required", f"{place}.source")
        if block.context:
            self._list(f"{place}.context")
        if not is_unset(block.citations) and self._cites(block.citations):
            self._list(f"{place}.citations")
        name = block.title or ""
        if source.type == "url":
            return DocumentPart(url=source.url, name=name, cache=mark)
        if source.type == "base64":
            return DocumentPart(data=source.data, media_type=source.media_type, name=name, cache=mark)
        if source.type == "text":
            return DocumentPart(text=source.data, media_type=source.media_type, name=name, cache=mark)
        return None

    def _cites(self, citations: Raw) -> bool:
        try:
            found = _SWITCH.decode(citations)
        except UNREADABLE:
            return True
        return found is not None and found.enabled is True

    def _call(self, block: RequestBlock, mark: CacheMark | None, place: str) -> ToolCall:
        self._check_toolset(block, place)
        if not bytes(block.input).startswith(b"{"):
            raise rejection(f"the field '{place}.input' must be an object", f"{place}.input")
        if block.caller is not None and block.caller.type != "direct":
            self._list(f"{place}.caller")
        return ToolCall(block.id, block.name, bytes(block.input).decode(), cache=mark)

    def _result(self, block: RequestBlock, mark: CacheMark | None, place: str) -> ToolResult:
        self._check_toolset(block, place)
        parts = () if is_unset(block.content) else self._parts(block.content, f"{place}.content", _RESULT_TYPES)
        kept = tuple(part for part in parts if isinstance(part, Text | Image | DocumentPart))
        return ToolResult(block.tool_use_id, kept, block.is_error is True, cache=mark)

    def _check_toolset(self, block: RequestBlock, place: str) -> None:
        if block.toolset_name:
            self._list(f"{place}.toolset_name")


def _reasoning(shown: str, text: str) -> Reasoning:
    signature, origin, name = _read_proof(shown)
    return Reasoning(text=text, signature=signature, origin=origin, id=name)


def _redacted(shown: str) -> Reasoning:
    data, origin, name = _read_proof(shown)
    return Reasoning(redacted=data, origin=origin, id=name)


def _read_proof(shown: str) -> tuple[str, str, str]:
    """Return the proof of reasoning, its author's dialect, and the author's id of it."""
    signature, origin = read_signature(shown, NAME)
    if origin == NAME or ID_MARK not in signature:
        return signature, origin, ""
    name, _, signature = signature.partition(ID_MARK)
    return signature, origin, name
