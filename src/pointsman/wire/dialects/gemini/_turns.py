"""The turns of a conversation, read from the contents of a request.

https://ai.google.dev/api/caching#Content, https://ai.google.dev/api/caching#Part. A call may have no id. Then its
result is found by the name of the function, and both get an id that no other call has.
"""

from binascii import Error, a2b_base64

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Audio, DocumentPart, Image, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from pointsman.wire.dialects.gemini._contents import SOUNDS
from pointsman.wire.dialects.gemini._signatures import (
    CALL,
    NAME,
    TEXT,
    THOUGHT,
    placed,
    read_shown,
    standard_base64,
)
from pointsman.wire.dialects.gemini.models import FOREIGN_SIGNATURE, ONLY_FOR_GOOGLE
from pointsman.wire.json_object import UNREADABLE, read_or, read_value, rejection

NO_VALUE = Raw(b"")
_ROLES = {"": "user", "user": "user", "function": "user", "tool": "user", "model": "assistant"}
_FORMATS = {kind: name for name, kind in SOUNDS.items()} | {"audio/x-wav": "wav", "audio/mpeg": "mp3"}
_MOVING = (".mp4", ".mov", ".webm", ".mp3", ".wav")  # ends of addresses that are no image's


class _Blob(Struct, rename="camel", gc=False):
    mime_type: str = ""
    data: str = ""
    display_name: str = ""


class _File(Struct, rename="camel", gc=False):
    file_uri: str = ""
    mime_type: str = ""
    display_name: str = ""


class _Called(Struct, gc=False):
    name: str = ""
    id: str = ""
    args: Raw = NO_VALUE


class _Response(Struct, gc=False):
    name: str = ""
    id: str = ""
    response: Raw = NO_VALUE
    parts: list[Raw] | None = None


class _Part(Struct, rename="camel", gc=False):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str = ""
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Called | None = None
    function_response: _Response | None = None

    @property
    def is_thought(self) -> bool:
        """True for the text of a thought. A call may be marked as a thought too."""
        others = (self.function_call, self.function_response, self.inline_data, self.file_data)
        return bool(self.thought) and not any(others)


class _Content(Struct, gc=False):
    parts: list[Raw] | None = None
    role: str = ""


_PART = msgspec.json.Decoder(_Part)
_NAMES = msgspec.json.Decoder(dict[str, Raw])
_CONTENT = msgspec.json.Decoder(_Content)
_CONTENTS: "msgspec.json.Decoder[list[_Content]]" = msgspec.json.Decoder(list[_Content])
_OUTPUT = msgspec.json.Decoder(str | list[str])
_KNOWN = frozenset(_PART.type.__struct_encode_fields__)
_KNOWN_OF = {
    "functionCall": frozenset(_Called.__struct_fields__),
    "functionResponse": frozenset(_Response.__struct_fields__),
}


class TurnReader:
    """Reads contents. `rest` has the parts without a common form, and `labels` the fields that only label one."""

    def __init__(self) -> None:
        self.rest: dict[str, Raw] = {}
        self.labels: dict[str, None] = {}
        self._open: dict[str, list[str]] = {}  # the ids of calls without a result, by the name of the function
        self._ids: set[str] = set()

    def turns(self, contents: Raw) -> tuple[Turn, ...]:
        """Return all turns. Raises `Rejection`."""
        found: list[Turn] = []
        read: list[_Content] = read_value(_CONTENTS, contents, "contents")
        for number, content in enumerate(read):
            place = f"contents[{number}]"
            role = _ROLES.get(content.role)
            if role is None:
                raise rejection(f"the field '{place}.role' must be user or model", f"{place}.role")
            parts = self._parts(content.parts, f"{place}.parts")
            found.append(Turn("assistant" if role == "assistant" else "user", parts))
        return tuple(found)

    def instructions(self, content: Raw) -> tuple[Text, ...]:
        """Return the texts of the system instruction. Raises `Rejection`."""
        place = "systemInstruction"
        parts = self._parts(read_value(_CONTENT, content, place).parts, f"{place}.parts")
        for part in parts:
            if not isinstance(part, Text):
                self.rest[f"{place} with more than text"] = content
        return tuple([part for part in parts if isinstance(part, Text)])

    def _parts(self, raws: list[Raw] | None, place: str) -> tuple[Part, ...]:
        found: list[Part] = []
        thoughts: list[str] = []  # before the signature that proves them
        for number, raw in enumerate(raws or ()):
            at = f"{place}[{number}]"
            part = read_value(_PART, raw, at)
            self._list_unknown(raw, at)
            if part.is_thought:
                thoughts.append(part.text or "")
                if not part.thought_signature:
                    continue
                found.append(_proved("".join(thoughts), part.thought_signature))
                thoughts = []
                continue
            if thoughts:
                found.append(Reasoning("".join(thoughts), origin=NAME))
                thoughts = []
            found += self._part(part, at)
        if thoughts:
            found.append(Reasoning("".join(thoughts), origin=NAME))
        return tuple(found)

    def _list_unknown(self, raw: Raw, place: str) -> None:
        fields = _NAMES.decode(raw)
        for name, value in fields.items():
            if name == "mediaResolution":
                self.labels[name] = None
            elif name not in _KNOWN:
                self.rest[f"{place}.{name}"] = value
            elif name in _KNOWN_OF:
                inner = _NAMES.decode(value) if bytes(value) != b"null" else {}
                self.rest |= {f"{place}.{name}.{one}": raw for one, raw in inner.items() if one not in _KNOWN_OF[name]}

    def _part(self, part: _Part, place: str) -> list[Part]:
        signature = part.thought_signature
        if part.function_call is not None:
            call = self._call(part.function_call, f"{place}.functionCall")
            return [_signed(CALL, signature, call.id), call] if _is_proof(signature) else [call]
        if part.function_response is not None:
            return [self._result(part.function_response, f"{place}.functionResponse")]
        found: list[Part] = []
        if part.text:
            found.append(Text(part.text))
        if part.inline_data is not None:
            found.append(_blob(part.inline_data))
        if part.file_data is not None:
            found += self._file(part.file_data, f"{place}.fileData")
        if _is_proof(signature):
            found.append(_signed(TEXT, signature))
        return found

    def _file(self, file: _File, place: str) -> list[Part]:
        url, kind = file.file_uri, file.mime_type
        if url.startswith(ONLY_FOR_GOOGLE):
            self.rest[f"{place}.fileUri, an address that only Google reads"] = NO_VALUE
            return []
        path = url.partition("?")[0].lower()
        if kind.startswith("image/") or not (kind or path.endswith((".pdf", *_MOVING))):
            return [Image(url=url, media_type=kind)]
        return [DocumentPart(url=url, media_type=kind, name=file.display_name)]

    def _call(self, call: _Called, place: str) -> ToolCall:
        given = bytes(call.args)
        if given not in (b"", b"null") and not given.startswith(b"{"):
            raise rejection(f"the field '{place}.args' must be an object", f"{place}.args")
        call_id = call.id or self._new_id()
        self._ids.add(call_id)
        self._open.setdefault(call.name, []).append(call_id)
        return ToolCall(call_id, call.name, given.decode() if given.startswith(b"{") else "{}")

    def _new_id(self) -> str:
        number = len(self._ids)
        while f"call_{number}" in self._ids:
            number += 1
        return f"call_{number}"

    def _result(self, result: _Response, place: str) -> ToolResult:
        waiting = self._open.get(result.name, [])
        call_id = result.id
        if not call_id:
            call_id = waiting[0] if waiting else self._new_id()
            self._ids.add(call_id)
        if call_id in waiting:
            waiting.remove(call_id)
        texts, is_error = _output(result.response)
        others = self._parts(result.parts, f"{place}.parts")
        kept = tuple(part for part in others if isinstance(part, Text | Image | DocumentPart))
        if len(kept) < len(others):
            self.rest[f"{place}.parts with more than images and documents"] = NO_VALUE
        return ToolResult(call_id, (*[Text(text) for text in texts], *kept), is_error)


def _output(response: Raw) -> tuple[list[str], bool]:
    """Return the texts in the result of a function, and whether it is an error. An object with other fields than
    `output`, `result` and `error` is one text of JSON. https://ai.google.dev/api/caching#FunctionResponse"""
    fields = read_or(_NAMES, response, {})
    if len(fields) != 1:
        return ([bytes(response).decode()] if fields else []), False
    ((name, value),) = fields.items()
    if name not in ("output", "result", "error"):
        return [bytes(response).decode()], False
    try:
        found = _OUTPUT.decode(value)
    except UNREADABLE:
        return [bytes(value).decode()], name == "error"
    return ([found] if found else []) if isinstance(found, str) else found, name == "error"


def _blob(blob: _Blob) -> Part:
    kind, data = blob.mime_type.partition(";")[0], standard_base64(blob.data)
    if kind.startswith("image/"):
        return Image(data=data, media_type=kind)
    if kind in _FORMATS:
        return Audio(data, _FORMATS[kind])
    if kind.startswith("text/"):
        try:
            return DocumentPart(text=a2b_base64(data).decode(), media_type=kind, name=blob.display_name)
        except (Error, ValueError):  # no base64, or no UTF-8
            pass
    return DocumentPart(data=data, media_type=kind, name=blob.display_name)


def _is_proof(signature: str) -> bool:
    """Return whether a signature is a model's. SDKs encode the text that stands in for one."""
    if not signature or signature == FOREIGN_SIGNATURE:
        return False
    return not signature.startswith(_ENCODED[:-4]) or standard_base64(signature) != _ENCODED


_ENCODED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="  # `FOREIGN_SIGNATURE`


def _proved(text: str, signature: str) -> Reasoning:
    """Return reasoning with its proof, by any author."""
    proof = read_shown(signature)
    if proof is None:
        own = placed(THOUGHT, standard_base64(signature)) if _is_proof(signature) else ""
        return Reasoning(text, own, origin=NAME)
    if proof.is_redacted:
        return Reasoning(text, redacted=proof.signature, origin=proof.origin, id=proof.id)
    return Reasoning(text, proof.signature, origin=proof.origin, id=proof.id)


def _signed(kind: str, signature: str, call_id: str = "") -> Reasoning:
    proof = read_shown(signature)
    if proof is not None:
        return _proved("", signature)
    return Reasoning(signature=placed(kind, standard_base64(signature), call_id), origin=NAME)
