"""A bound on the tokens of a prompt that is tighter than its bytes: a count, for requests that their bytes reject.

The model's own tokenizer is unknown, so the count comes from an estimate of many. It splits text as OpenAI's
`cl100k_base` does, and counts each digit, and the letters of rare words. The bound is 1.25 times that, about 1.55 times
the tokens of `o200k_base` in English. docs/decisions/0045-counted-prompts.md compares it with other vocabularies.

Tokenizers differ most in some kinds of text, so these keep a token for each byte:

- letters beyond ASCII, control characters, and underscores;
- text that repeats itself: one vocabulary has a token for sixteen equal signs, and another has none;
- long texts without a space in a request with media, which may be media.

A prompt is counted as the JSON that the client sent. So escapes and the marks around messages count too.
"""

import zlib
from collections.abc import Callable, Sequence

from pointsman.domain.calls import Call
from pointsman.wire.tokens import MAX_BYTES_PER_TOKEN

MIN_COUNTED_BYTES = 64  # of text: a shorter one keeps its bytes, and only its template is bounded more tightly
MAX_COUNTED_BYTES = 1 << 20  # of text: a count takes half a second of a thread at most
TOOLS_MARGIN_TOKENS = 320  # a prompt with tools: Llama 4's preamble for them takes 590 tokens, more than a template
MAX_UNCOMMON = 1 / 5  # of a text: beyond it, the count is not worth its time

_COUNTED = frozenset({"chat", "completion", "responses", "embedding"})
_TOOLS = frozenset({"tools", "functions"})
_FACTOR, _DIVISOR = 5, 4
_CHUNK_BYTES, _MIN_CHUNK_BYTES = 1024, 128
_MOST_REPEATED = 6  # English text is deflated by two, and JSON by four
_SHORT_BYTES = 256  # of a text of JSON: shorter ones count as text even in a request with media
_COMMON = {byte for byte in range(0x20, 0x7F) if byte != ord("_")}
_MARKED = bytes(byte if byte in _COMMON else 0 for byte in range(256))

CountTokens = Callable[[Sequence[str]], Sequence[int]]


def is_countable(call: Call) -> bool:
    """Return whether the text of a prompt can be counted, and was not counted before."""
    if call.text_tokens is not None or call.operation not in _COUNTED or not call.fields:
        return False
    return call.size - call.media.size <= MAX_COUNTED_BYTES


def least_tokens(call: Call) -> int:
    """Return a number of tokens that no count of the text is below."""
    return (call.size - call.media.size) // MAX_BYTES_PER_TOKEN


def is_worth_counting(call: Call, most_bytes: float) -> bool:
    """Return whether the text of a prompt can be counted, and its count may be below that of `most_bytes`."""
    return is_countable(call) and least_tokens(call) <= most_bytes


def count_text(call: Call, count: CountTokens) -> int:
    """Return the most tokens that the text of a prompt can have. It is never more than its bytes. `count` returns the
    tokens of some texts, by the estimate that the module describes."""
    size = call.size - call.media.size
    if size < MIN_COUNTED_BYTES:
        return size
    text, rest = _without_media(b" ".join(call.fields.values()), call.media.size)
    marked = text.translate(_MARKED)
    uncommon = marked.count(0)
    if uncommon > len(text) * MAX_UNCOMMON:
        return size
    plain = b" ".join(filter(None, marked.split(b"\0")))
    rest += uncommon
    varied = []
    for at in range(0, len(plain), _CHUNK_BYTES):
        chunk = plain[at : at + _CHUNK_BYTES]
        if _is_repeated(chunk):
            rest += len(chunk)
        else:
            varied.append(chunk)
    counted = sum(count([b"".join(varied).decode("ascii")]))
    margin = 0 if _TOOLS.isdisjoint(call.fields) else TOOLS_MARGIN_TOKENS
    return min(-(-counted * _FACTOR // _DIVISOR) + rest + margin, size)


def _without_media(text: bytes, media_bytes: int) -> tuple[bytes, int]:
    """Return a text without the parts that may be media, and the number of tokens to add for them: their bytes beyond
    those of the media, which are counted elsewhere."""
    if not media_bytes:
        return text, 0
    kept, left_out = [], 0
    for part in text.split(b'"'):
        if len(part) >= _SHORT_BYTES and b" " not in part:
            left_out += len(part)
        else:
            kept.append(part)
    return b'"'.join(kept), max(left_out - media_bytes, 0)


def _is_repeated(chunk: bytes) -> bool:
    if len(chunk) < _MIN_CHUNK_BYTES:
        return False
    deflate = zlib.compressobj(1, zlib.DEFLATED, -10, 3)
    return (len(deflate.compress(chunk)) + len(deflate.flush())) * _MOST_REPEATED < len(chunk)
