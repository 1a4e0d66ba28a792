"""What a request needs of a model, as far as its body says so."""

from collections.abc import Iterable

from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import Bounds

BYTES_PER_TOKEN = 4  # of a prompt: the usual figure for English
MAX_BYTES_PER_TOKEN = 16  # of a prompt that is text: beyond this it is sure to have no more tokens than that
_GENERATING = frozenset({Operation.CHAT, Operation.COMPLETION, Operation.RESPONSES})
_NOTHING = (b"null", b"[]", b"{}", b'"none"', b"false")
_BY_FIELD = (
    ("tools", "tools"),
    ("functions", "tools"),
    ("reasoning_effort", "reasoning"),
    ("audio", "audio_out"),
)
_FORMATS = ("response_format", "text")  # of chat completions and of responses
_TELLING = frozenset((*(name for name, _ in _BY_FIELD), *_FORMATS))
_BY_PART = (
    (b'"image_url"', "vision"),
    (b'"input_image"', "vision"),
    (b'"input_audio"', "audio_in"),
)


def needs(call: Call, asked: Iterable[str]) -> set[str]:
    """Those of the capabilities `asked` about that the call needs."""
    fields = call.fields
    if not fields or call.operation not in _GENERATING:
        return set()
    found: set[str] = set()
    if not _TELLING.isdisjoint(fields):
        found = {need for name, need in _BY_FIELD if name in fields and bytes(fields[name]) not in _NOTHING}
        if any(b'"json_schema"' in bytes(fields[name]) for name in _FORMATS if name in fields):
            found.add("json_schema")
    prompt = fields.get("messages") or fields.get("input")
    if call.media.count and prompt is not None:
        text = bytes(prompt)
        found |= {need for mark, need in _BY_PART if mark in text}
    return found.intersection(asked) if found else found


def tokens_needed(call: Call, bytes_per_token: int = BYTES_PER_TOKEN) -> int:
    """About how many tokens of context a call takes, its answer included; 0 where its size says nothing of that, since
    there is more in it than text."""
    if call.operation not in _GENERATING or call.media.count:
        return 0
    return call.size // bytes_per_token + (call.max_tokens or 0)


def exceeds(call: Call, bounds: Bounds) -> bool:
    """Whether a call may be too much for some candidate within these bounds. Asked for every request."""
    context = bounds.context
    if context is not None and call.size // BYTES_PER_TOKEN + (call.max_tokens or 0) > context:
        return True
    lacks = bounds.lacks
    return bool(lacks) and bool(needs(call, lacks))
