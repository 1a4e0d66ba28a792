"""The messages of a request for Converse, made of the turns of a conversation.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html

Neighbouring turns of one role become one. Results of tools come first in a message of the user. Instructions inside the
conversation move to its beginning, since few models take them elsewhere. A mark for a cache is a block of its own.
"""

import re
from binascii import b2a_base64

from msgspec import Struct

from pointsman.domain.conversations import (
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman.domain.urls import described
from pointsman.wire.tool_calls import CallIds, tool_input
from pointsman.wire.upstreams.bedrock.answer_reader import NAME

Block = dict[str, object]

LONGEST_ID = 64  # characters
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # of a tool
_NOT_TITLE = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_LONGEST_TITLE = 180  # characters of 200, so that a number fits
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_SOUNDS = frozenset({"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "m4a", "webm"})
_VIDEOS = {
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
}
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml")


class ConverseMessage(Struct):
    """One message of a request."""

    role: str
    content: list[Block]


def cache_point(mark: CacheMark | None) -> list[Block]:
    """Return the block that ends a prefix to be cached."""
    if mark is None:
        return []
    return [{"cachePoint": {"type": "default", **({"ttl": mark.ttl} if mark.ttl else {})}}]


def takes_name(name: str) -> bool:
    """Return whether a tool may have this name."""
    return _NAME.fullmatch(name) is not None


class BlockWriter:
    """Writes turns. `cannot` has the parts that have no block, and `dropped` the fields of parts that are left out.
    `called` are the names of the tools in calls."""

    def __init__(self) -> None:
        self.system: list[Block] = []
        self.messages: list[ConverseMessage] = []
        self.cannot: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self.called: dict[str, None] = {}
        self._ids = CallIds(LONGEST_ID)
        self._titles: set[str] = set()

    def write(self, conversation: Conversation) -> None:
        """Write all turns."""
        for text in conversation.system:
            self.system += self._blocks(text)
        for turn in conversation.turns:
            if turn.name:
                self.cannot[f"the name {turn.name!r} of a message"] = None
            written = [block for part in turn.parts for block in self._blocks(part)]
            if turn.role == "system":
                self._instruct(written)
            elif self.messages and self.messages[-1].role == turn.role:
                self.messages[-1].content.extend(written)
            elif written:  # a message without content is rejected
                self.messages.append(ConverseMessage(turn.role, written))
        for message in self.messages:
            if message.role == "user":
                message.content = _results_first(message.content)
            if any("document" in one for one in message.content) and not any("text" in one for one in message.content):
                self.cannot["a document in a message without a text"] = None
        if not self.messages:
            self.cannot["a conversation without a message of the user"] = None

    def _instruct(self, blocks: list[Block]) -> None:
        if any(not one.keys() & {"text", "cachePoint"} for one in blocks):
            self.cannot["an instruction that is no text"] = None
        self.system += blocks

    def _blocks(self, part: Part) -> list[Block]:
        match part:
            case Text():
                # A text of nothing but white space is rejected.
                return [{"text": part.text}, *cache_point(part.cache)] if part.text.strip() else []
            case Refusal():
                return [{"text": part.text}] if part.text.strip() else []
            case Image():
                return self._image(part)
            case Audio():
                return self._sound(part.format.lower(), part.data)
            case DocumentPart():
                return self._document(part)
            case Reasoning():
                return _reasoning(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)

    def _image(self, image: Image) -> list[Block]:
        if image.detail not in ("", "auto"):
            self.dropped["detail"] = None
        kind = _IMAGES.get(image.media_type, "")
        if image.url:
            self.cannot[f"an image at {described(image.url)}"] = None
        elif not kind:
            self.cannot[f"an image of type {image.media_type or 'unknown'}"] = None
        return [{"image": {"format": kind, "source": {"bytes": image.data}}}, *cache_point(image.cache)]

    def _sound(self, kind: str, data: str) -> list[Block]:
        if kind not in _SOUNDS:
            self.cannot[f"a recording in the format {kind or 'unknown'}"] = None
        return [{"audio": {"format": kind, "source": {"bytes": data}}}]

    def _document(self, document: DocumentPart) -> list[Block]:
        kind, data = document.media_type.partition(";")[0], document.data
        mark = cache_point(document.cache)
        if document.url:
            self.cannot[f"a document at {described(document.url)}"] = None
        if data and kind in _IMAGES:
            return [{"image": {"format": _IMAGES[kind], "source": {"bytes": data}}}, *mark]
        if data and kind in _VIDEOS:
            return [{"video": {"format": _VIDEOS[kind], "source": {"bytes": data}}}, *mark]
        form = _DOCUMENTS.get(kind, "txt" if not data or kind.startswith(_TEXTS) else "")
        if not form:
            self.cannot[f"a document of type {kind or 'unknown'}"] = None
        if not data:
            data = b2a_base64(document.text.encode("utf-8", "replace"), newline=False).decode()
        title = self._title(document.name)
        return [{"document": {"format": form, "name": title, "source": {"bytes": data}}}, *mark]

    def _title(self, name: str) -> str:
        """Return the name of a document, of the letters that Bedrock takes, and each only once."""
        plain = _NOT_TITLE.sub(" ", name).strip()[:_LONGEST_TITLE].strip() or "Document"
        title, count = plain, 1
        while title in self._titles:
            count += 1
            title = f"{plain} {count}"
        self._titles.add(title)
        return title

    def _call(self, call: ToolCall) -> list[Block]:
        if call.is_custom:
            self.cannot[f"a call of the custom tool {call.name!r}"] = None
        elif not takes_name(call.name):
            self.cannot[f"the name {call.name!r} of a tool"] = None
        self.called[call.name] = None
        written = {"toolUseId": self._ids.of_call(call.id), "name": call.name, "input": tool_input(call.arguments)}
        return [{"toolUse": written}, *cache_point(call.cache)]

    def _result(self, result: ToolResult) -> list[Block]:
        content = [block for part in result.parts for block in self._blocks(part)]
        written: Block = {
            "toolUseId": self._ids.of_result(result.call_id),
            "content": [block for block in content if "cachePoint" not in block],
        }
        if result.is_error:
            written["status"] = "error"
        marks = [block for block in content if "cachePoint" in block][-1:] or cache_point(result.cache)
        return [{"toolResult": written}, *marks]


def _reasoning(part: Reasoning) -> list[Block]:
    """Return a block for the author of the reasoning, and none for anybody else. One without a proof is not taken."""
    if part.origin != NAME:
        return []
    if part.redacted:
        return [{"reasoningContent": {"redactedContent": part.redacted}}]
    if not part.signature:
        return []
    return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]


def _results_first(content: list[Block]) -> list[Block]:
    """Return the blocks of a message with the results of tools first, each with the mark behind it."""
    results: list[Block] = []
    others: list[Block] = []
    into = others
    for block in content:
        if "cachePoint" not in block:
            into = results if "toolResult" in block else others
        into.append(block)
    return results + others
