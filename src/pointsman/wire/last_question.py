"""The last question of a request: the beginning and the end of the last text that its user wrote, in every dialect.

Only these parts are decoded, so that a long prompt takes no longer than a short one, but for the search for its place.
"""

import re

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.tokens import MAX_WALKED_BYTES, MAX_WALKED_QUOTES, is_dense

HEAD_BYTES, TAIL_BYTES = 3072, 1536
MAX_PARTS = 64  # of a message
MAX_MESSAGES = 64  # the last ones are searched for a text
_PROMPTS = {"chat": "messages", "responses": "input", "completion": "prompt"}  # the field, by the operation
_CONTENTS = "contents"  # of Gemini: its parts have no types
_INSTRUCTIONS = ("system", "instructions", "systemInstruction")
_TEXTS = frozenset({"text", "input_text"})
_SYSTEM = frozenset({"system", "developer"})
_REMINDER = b'"<system-reminder>'
_NO_VALUE = Raw(b"")


class LastQuestion(Struct, frozen=True, gc=False):
    """The beginning and the end of a text; `tail` is empty if `head` is all of it. `chars` is its length, for long
    texts that in bytes. `turns` counts the user's messages, and `system_bytes` is the length of the system prompt."""

    head: str = ""
    tail: str = ""
    chars: int = 0
    turns: int = 1
    system_bytes: int = 0


class _Message(Struct, gc=False):
    role: str = ""
    content: Raw = _NO_VALUE


class _ContentOfParts(Struct, gc=False):
    role: str = "user"
    parts: Raw = _NO_VALUE


class _Part(Struct, gc=False):
    type: str = "text"  # if it has none
    text: Raw = _NO_VALUE


_MESSAGES = msgspec.json.Decoder(list[_Message])
_PARTED = msgspec.json.Decoder(list[_ContentOfParts])
_PARTS = msgspec.json.Decoder(list[_Part])
_ITEMS = msgspec.json.Decoder(list[Raw])
_STRING = msgspec.json.Decoder(str)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_LETTERS = {"b": " ", "f": " ", "n": "\n", "r": "\n", "t": "\t"}


def last_question(call: Call) -> LastQuestion | None:
    """Return the last question of a call. Return `None` if its operation gives no answer in words, or if its prompt
    cannot be read or is too large to be walked."""
    fields, name = call.fields, _PROMPTS.get(call.operation, "")
    if _CONTENTS in fields and call.operation == "chat":
        name = _CONTENTS
    if name not in fields:
        return None
    system = sum(memoryview(fields[field]).nbytes for field in _INSTRUCTIONS if field in fields)
    try:
        return _in_prompt(name, fields[name], system)
    except UNREADABLE:
        return None


def _in_prompt(name: str, prompt: Raw, system_bytes: int) -> LastQuestion | None:
    first = _first(prompt)
    if first == b'"':
        return _of_texts([prompt], 1, system_bytes)
    if first != b"[" or _is_too_large(prompt):
        return None
    if name == "prompt":
        items = [item for item in _ITEMS.decode(prompt) if _first(item) == b'"']
        return _of_texts(items[-1:], 1, system_bytes)
    messages = [_of_content(one) for one in _PARTED.decode(prompt)] if name == _CONTENTS else _MESSAGES.decode(prompt)
    system_bytes += sum(memoryview(one.content).nbytes for one in messages if one.role in _SYSTEM)
    asked = [one.content for one in messages if one.role == "user"]
    texts = next((texts for content in reversed(asked[-MAX_MESSAGES:]) if (texts := _texts(content))), [])
    return _of_texts(texts, len(asked), system_bytes)


def _of_content(content: _ContentOfParts) -> _Message:
    return _Message(content.role, content.parts)


def _is_too_large(prompt: Raw) -> bool:
    size = memoryview(prompt).nbytes
    return size > MAX_WALKED_BYTES or (size > MAX_WALKED_QUOTES and is_dense(bytes(prompt)))


def _first(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])


def _texts(content: Raw) -> list[Raw]:
    """Return the texts of a message. Results of tools have none, and reminders of coding agents do not count."""
    first = _first(content)
    if first == b'"':
        return [content]
    if first != b"[":
        return []
    parts = _PARTS.decode(content)[-MAX_PARTS:]
    texts = [part.text for part in parts if part.type in _TEXTS and _first(part.text) == b'"']
    return [text for text in texts if not bytes(memoryview(text)[: len(_REMINDER)]).startswith(_REMINDER)]


def _of_texts(texts: list[Raw], turns: int, system_bytes: int) -> LastQuestion:
    size = sum(memoryview(text).nbytes - 2 for text in texts)
    if size <= HEAD_BYTES + TAIL_BYTES:
        text = "\n\n".join(map(_STRING.decode, texts))
        return LastQuestion(text, "", len(text), turns, system_bytes)
    head = _unescaped(bytes(memoryview(texts[0])[1:-1][:HEAD_BYTES]))
    tail = _unescaped(bytes(memoryview(texts[-1])[1:-1][-TAIL_BYTES:]))
    return LastQuestion(head, tail, size, turns, system_bytes)


def _unescaped(cut: bytes) -> str:
    """Decode a part of a text of JSON. Half of a letter at an end is left out."""
    return _ESCAPE.sub(_letter, cut.decode("utf-8", "ignore"))


def _letter(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else _LETTERS.get(escape[2], escape[2])
