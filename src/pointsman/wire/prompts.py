"""About how many tokens a prompt is whose provider did not say: for what is charged, not for what is reserved.

Its text has a token for every four bytes, the usual figure for English, rounded up for each text; what is around a
message has four, and what primes an answer three, as OpenAI counts them:
https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken. Tools and schemas count as compact JSON. Images
are held for typical ones, and recordings and files have tokens by their bytes.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.media import IMAGES, TYPES

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS, REPLY_TOKENS = 4, 3
IMAGE_TOKENS = 1_000  # 1024 x 1024 pixels are 765 at gpt-4o, 1,024 patches elsewhere, and some 1,400 at Anthropic
RECORDING_TOKENS, RECORDING_BYTES_PER_TOKEN = 100, 1_600  # ten seconds at least; ten tokens a second, 128 kbit/s
FILE_TOKENS, FILE_BYTES_PER_TOKEN = (
    1_000,
    32,
)  # a page at least; one of text and its image, 2,000 tokens, is 60 KB or so

_PROMPTS = ("messages", "input", "prompt", "instructions", "suffix")
_TOOLS = ("tools", "functions")
_FORMATS = ("response_format", "text")
_READ = (*_PROMPTS, *_TOOLS, *_FORMATS)
_UNTOLD = frozenset({"role", "type", "id", "status", "call_id", "tool_call_id"})  # of a message or a part
_LISTS = frozenset({"content", "output"})
_RECORDINGS = frozenset({"input_audio", "audio_url"})
_NOTHING = frozenset({b"null", b"[]", b"{}"})

_LIST = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)


# What has more than this is not walked, since that would hold up others: its bytes are counted.
MAX_WALKED_BYTES = 4 * 1024 * 1024
MAX_WALKED_MARKS, MAX_WALKED_QUOTES = 4_096, 40_000


def about_tokens(call: Call) -> int:
    """Takes some milliseconds at most."""
    fields = call.fields
    if fields and call.size > MAX_WALKED_BYTES:
        return _by_size(call)
    if not fields:  # a form
        return _recording(call.size) if call.operation is Operation.AUDIO else _of_size(call.size)
    total = 0
    if call.size > MAX_WALKED_QUOTES and any(_is_dense(bytes(fields[name])) for name in _READ if name in fields):
        return _by_size(call)
    if call.operation in (Operation.CHAT, Operation.RESPONSES):
        total += REPLY_TOKENS
        if bytes(fields.get("input", b""))[:1] == b'"':
            total += MESSAGE_TOKENS
    for name in _PROMPTS:
        if name in fields:
            total += _readable(_of_prompt, bytes(fields[name]))
    for name in _TOOLS:
        if name in fields:
            total += _readable(_of_value, bytes(fields[name]))
    for name in _FORMATS:
        if name in fields and b'"schema"' in bytes(fields[name]):
            total += _readable(_of_value, bytes(fields[name]))
    return total


def _is_dense(text: bytes) -> bool:
    """Whether there is too much in it to be walked. Numbers are not walked."""
    few = text.count(b"{") + text.count(b"[") <= MAX_WALKED_MARKS
    return not few or text.count(b'"') > MAX_WALKED_QUOTES or text.count(b",") > MAX_WALKED_QUOTES


def _by_size(call: Call) -> int:
    media = call.media
    return _of_size(max(call.size - media.size, 0)) + media.count * IMAGE_TOKENS


def _readable(count: Callable[[bytes], int], text: bytes) -> int:
    try:
        return count(text)
    except UNREADABLE:
        return _of_size(len(text))


def _of_prompt(text: bytes) -> int:
    """A text; or a list of messages, texts, lists of numbers, or numbers, which are tokens."""
    if not text.startswith(b"["):
        return _of_value(text)
    if b'"' not in text and b"{" not in text and text.strip(b"[] \t\r\n"):
        return text.count(b",") + 1
    total = 0
    for raw in _LIST.decode(text):
        element = bytes(raw)
        if element.startswith(b"{"):
            total += MESSAGE_TOKENS + _of_fields(element)
        elif element.startswith(b"["):
            total += len(_LIST.decode(element))
        else:
            total += _of_value(element) if element.startswith(b'"') else 1
    return total


def _of_fields(text: bytes) -> int:
    """A message, or a part that is text."""
    total = 0
    for name, raw in _OBJECT.decode(text).items():
        value = bytes(raw)
        if name in _LISTS and value.startswith((b"[", b"{")):
            parts = _LIST.decode(value) if value.startswith(b"[") else [raw]
            total += sum(_of_part(bytes(part)) for part in parts)
        elif name not in _UNTOLD:
            total += _of_value(value)
    return total


def _of_part(text: bytes) -> int:
    if not text.startswith(b"{"):
        return _of_value(text)
    fields = _OBJECT.decode(text)
    kind = _STRING.decode(fields["type"]) if "type" in fields else next(iter(TYPES.intersection(fields)), "")
    if kind in IMAGES:
        return IMAGE_TOKENS
    if kind in _RECORDINGS:
        return _recording(len(text) * 3 // 4)
    if kind in TYPES:
        return max(FILE_TOKENS, len(text) * 3 // 4 // FILE_BYTES_PER_TOKEN)
    return _of_fields(text)


def _of_value(text: bytes) -> int:
    """A text without its quotation marks and escapes; anything else as compact JSON."""
    if text in _NOTHING:
        return 0
    if text.startswith(b'"'):
        return _of_size(len(text) - 2 if b"\\" not in text else len(_STRING.decode(text).encode()))
    return _of_size(len(msgspec.json.format(text, indent=-1)))


def _recording(size: int) -> int:
    return max(RECORDING_TOKENS, size // RECORDING_BYTES_PER_TOKEN)


def _of_size(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
