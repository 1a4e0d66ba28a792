"""The messages of a request in Anthropic's dialect, made of the turns of a conversation.

Results of tools come first in a turn of the user, and neighbouring turns of one role become one:
https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use (`Handling tool results`).
"""

from binascii import Error, a2b_base64

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
from pointsman.wire.dialects.anthropic._blocks import NAME
from pointsman.wire.tool_calls import CallIds, tool_input

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_TEXTS = ("text/", "application/json", "application/xml")


def cache_control(mark: CacheMark | None) -> dict[str, object]:
    """Return the field that marks the end of a prefix to be cached."""
    if mark is None:
        return {}
    return {"cache_control": {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl else {"type": "ephemeral"}}


class WrittenMessage(Struct):
    """One message of a request."""

    role: str
    content: list[dict[str, object]]


class MessageWriter:
    """Writes turns. If it `hoists`, instructions inside the conversation go to `system`. `cannot` has the parts that
    have no block, and `dropped` the fields of parts that are left out."""

    def __init__(self, *, hoists: bool) -> None:
        self.system: list[dict[str, object]] = []
        self.messages: list[WrittenMessage] = []
        self.cannot: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self._hoists = hoists
        self._ids = CallIds()

    def write(self, conversation: Conversation) -> None:
        """Write all turns."""
        for text in conversation.system:
            self.system += self._blocks(text)
        for turn in conversation.turns:
            if turn.name:
                self.cannot[f"the name {turn.name!r} of a message"] = None
            written = [block for part in turn.parts for block in self._blocks(part)]
            if turn.role == "system" and (self._hoists or not self.messages):
                self.system += written
            elif self.messages and self.messages[-1].role == turn.role:
                self.messages[-1].content.extend(written)
            elif written:  # Anthropic rejects a message without content
                self.messages.append(WrittenMessage(turn.role, written))
        for message in self.messages:
            if message.role == "user":
                message.content.sort(key=lambda block: block["type"] != "tool_result")
        if not self.messages:
            self.cannot["a conversation without a message of the user"] = None

    def _blocks(self, part: Part) -> list[dict[str, object]]:
        match part:
            case Text():
                # Anthropic rejects a text of nothing but white space.
                return [{"type": "text", "text": part.text, **cache_control(part.cache)}] if part.text.strip() else []
            case Refusal():
                return [{"type": "text", "text": part.text}] if part.text.strip() else []
            case Image():
                return self._image(part)
            case DocumentPart():
                return self._document(part)
            case Audio():
                self.cannot["input_audio"] = None
                return []
            case Reasoning():
                return _reasoning(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)

    def _image(self, image: Image) -> list[dict[str, object]]:
        if image.detail not in ("", "auto"):
            self.dropped["detail"] = None
        if image.url:
            source = self._by_url(image.url, "an image")
        else:
            source = {"type": "base64", "media_type": image.media_type, "data": image.data}
            if image.media_type not in _IMAGES:
                self.cannot[f"an image of type {image.media_type or 'unknown'}"] = None
        return [{"type": "image", "source": source, **cache_control(image.cache)}]

    def _by_url(self, url: str, what: str) -> dict[str, str]:
        if url[:5].lower() == "data:":  # readers split those with base64
            self.cannot[f"{what} in a data URL without base64"] = None
        return {"type": "url", "url": url}

    def _document(self, document: DocumentPart) -> list[dict[str, object]]:
        kind, text = document.media_type.partition(";")[0], document.text
        if not text and kind.startswith(_TEXTS) and document.data:
            try:
                text = a2b_base64(document.data).decode()
            except (Error, ValueError):
                self.cannot["a document whose text is not UTF-8 in base64"] = None
                return []
        if document.url:
            source = self._by_url(document.url, "a document")
        elif text or not document.data:
            source = {"type": "text", "media_type": "text/plain", "data": text}
        else:
            source = {"type": "base64", "media_type": kind, "data": document.data}
            if kind != _PDF:
                self.cannot[f"a document of type {kind or 'unknown'}"] = None
        title = {"title": document.name} if document.name else {}
        return [{"type": "document", "source": source, **title, **cache_control(document.cache)}]

    def _call(self, call: ToolCall) -> list[dict[str, object]]:
        if call.is_custom:
            self.cannot[f"a call of the custom tool {call.name!r}"] = None
        written = {"type": "tool_use", "id": self._ids.of_call(call.id), "name": call.name}
        return [written | {"input": tool_input(call.arguments)} | cache_control(call.cache)]

    def _result(self, result: ToolResult) -> list[dict[str, object]]:
        written: dict[str, object] = {"type": "tool_result", "tool_use_id": self._ids.of_result(result.call_id)}
        content = [block for part in result.parts for block in self._blocks(part)]
        if content:
            written["content"] = content
        if result.is_error:
            written["is_error"] = True
        return [written | cache_control(result.cache)]


def _reasoning(part: Reasoning) -> list[dict[str, object]]:
    """Return a block for the author of the reasoning, and none for anybody else. One without a proof is not taken."""
    if part.origin != NAME:
        return []
    if part.redacted:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    return [{"type": "thinking", "thinking": part.text, "signature": part.signature}] if part.signature else []
