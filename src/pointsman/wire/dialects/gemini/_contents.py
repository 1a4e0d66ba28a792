"""The contents of a request for Gemini, made of the turns of a conversation.

https://ai.google.dev/api/caching#Content

Neighbouring turns of one role become one. Instructions inside the conversation move to its beginning. A result names
the function that it answers, so results belong to the calls before them.
"""

from binascii import b2a_base64
from collections.abc import Iterable

from pointsman.domain.conversations import (
    Audio,
    Conversation,
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
from pointsman.wire.dialects.gemini._signatures import CALL, NAME, THOUGHT, place_of
from pointsman.wire.tool_calls import tool_input

Fields = dict[str, object]

# https://ai.google.dev/gemini-api/docs/audio#supported-formats
SOUNDS = {
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "aiff": "audio/aiff",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
}
# https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats, …/docs/document-processing
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_FILES = ("application/pdf", "text/", "audio/", "video/")
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml"})  # which Gemini reads only as plain text
# Google reads the type of a file at an address from its answer. The names of these are certain.
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "pdf": "application/pdf",
}


class _Signatures:
    """The signatures of one turn, by the part that they belong to."""

    def __init__(self, turn: Turn) -> None:
        self.by_call: dict[str, str] = {}
        self.of_text = ""
        for part in turn.parts:
            if isinstance(part, Reasoning) and part.origin == NAME and part.signature:
                kind, call_id, signature = place_of(part.signature)
                if kind == CALL:
                    self.by_call[call_id] = signature
                elif kind != THOUGHT:
                    self.of_text = signature
        texts = [at for at, part in enumerate(turn.parts) if isinstance(part, Text | Refusal) and part.text]
        self.last_text = texts[-1] if texts else -1


class ContentWriter:
    """Writes turns. `cannot` has the parts that Gemini has no form for, and `dropped` the fields of parts that are left
    out."""

    def __init__(self) -> None:
        self.system: list[Fields] = []
        self.contents: list[dict[str, object]] = []
        self.cannot: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self._names: dict[str, str] = {}  # of the functions that were called, by the id of the call

    def write(self, conversation: Conversation) -> None:
        """Write all turns."""
        self.system += [{"text": text.text} for text in conversation.system if text.text]
        for turn in conversation.turns:
            if turn.name:
                self.cannot[f"the name {turn.name!r} of a message"] = None
            written = self._turn(turn)
            if turn.role == "system":
                self.system += written
            elif written:  # Gemini rejects a content without parts
                self._add("model" if turn.role == "assistant" else "user", written)
        if not self.contents:
            self.cannot["a conversation without a message of the user"] = None

    def _add(self, role: str, parts: list[Fields]) -> None:
        last = self.contents[-1] if self.contents else {}
        if last.get("role") == role:
            known = last["parts"]
            assert isinstance(known, list)
            known += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _turn(self, turn: Turn) -> list[Fields]:
        signatures, parts = _Signatures(turn), list[Fields]()
        for at, part in enumerate(turn.parts):
            written = self._part(part)
            if isinstance(part, ToolCall) and part.id in signatures.by_call:
                written["thoughtSignature"] = signatures.by_call[part.id]
            elif at == signatures.last_text and signatures.of_text:
                written["thoughtSignature"] = signatures.of_text
            if written:
                parts.append(written)
        if signatures.of_text and signatures.last_text < 0:
            parts.append({"text": "", "thoughtSignature": signatures.of_text})
        return parts

    def _part(self, part: Part) -> Fields:
        match part:
            case Text() | Refusal():
                return {"text": part.text} if part.text else {}
            case Image():
                return self._image(part)
            case Audio():
                kind = SOUNDS.get(part.format.lower(), "")
                if not kind:
                    self.cannot[f"a recording in the format {part.format or 'unknown'}"] = None
                return {"inlineData": {"mimeType": kind, "data": part.data}}
            case DocumentPart():
                return self._document(part)
            case Reasoning():
                return _reasoning(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)

    def _image(self, image: Image) -> Fields:
        if image.detail not in ("", "auto"):
            self.dropped["detail"] = None
        if image.url:
            return self._at(image.url, image.media_type, "an image")
        kind = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
        if kind not in _IMAGES:
            self.cannot[f"an image of type {kind or 'unknown'}"] = None
        return {"inlineData": {"mimeType": kind, "data": image.data}}

    def _at(self, url: str, media_type: str, title: str) -> Fields:
        if not url.lower().startswith("https://"):
            self.cannot[f"{title} at an address that does not begin with https"] = None
        ending = url.partition("?")[0].rpartition(".")[2].lower()
        kind = media_type or _TYPES.get(ending, "")
        return {"fileData": {"fileUri": url} | ({"mimeType": kind} if kind else {})}

    def _document(self, document: DocumentPart) -> Fields:
        kind = document.media_type.partition(";")[0]
        if document.url:
            return self._at(document.url, kind, "a document")
        if document.data:
            if kind not in _IMAGES and kind not in _TEXTS and not kind.startswith(_FILES):
                self.cannot[f"a document of type {kind or 'unknown'}"] = None
            return {"inlineData": {"mimeType": "text/plain" if kind in _TEXTS else kind, "data": document.data}}
        text = b2a_base64(document.text.encode("utf-8", "replace"), newline=False).decode()
        return {"inlineData": {"mimeType": "text/plain", "data": text}}

    def _call(self, call: ToolCall) -> Fields:
        if call.is_custom:
            self.cannot[f"a call of the custom tool {call.name!r}"] = None
        self._names[call.id] = call.name
        return {"functionCall": {"id": call.id, "name": call.name, "args": tool_input(call.arguments)}}

    def _result(self, result: ToolResult) -> Fields:
        name = self._names.get(result.call_id, "")
        if not name:
            self.cannot[f"the result of {result.call_id!r}, which is no call of the conversation"] = None
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        others = [self._part(part) for part in result.parts if not isinstance(part, Text)]
        output = _output(texts)
        written: Fields = {"id": result.call_id, "name": name}
        written["response"] = {"error": output} if result.is_error else {"output": output}
        if others:
            written["parts"] = others
        return {"functionResponse": written}


def _reasoning(part: Reasoning) -> Fields:
    """Return a thought that has a signature of its own. Any other thought is a summary, which Gemini does not read."""
    if part.origin != NAME or not part.signature:
        return {}
    kind, _, signature = place_of(part.signature)
    return {"text": part.text, "thought": True, "thoughtSignature": signature} if kind == THOUGHT else {}


def _output(texts: Iterable[str]) -> object:
    """Return the texts of a result: one as it is, and several as a list."""
    found = list(texts)
    return found[0] if len(found) == 1 else found or ""
