"""What a request needs of a model, as far as its body says so."""

from collections.abc import Iterable

from pointsman.domain.calls import Call, Operation
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
_PROMPTS = ("messages", "input")
_BY_PART = (
    (b'"image_url"', "vision"),
    (b'"input_image"', "vision"),
    (b'"input_audio"', "audio_in"),
)
_MEDIA = (b'"image_url"', b'"input_image"', b'"input_audio"', b'"input_file"', b'"file"', b'"video_url"')


def needs(call: Call, asked: Iterable[str]) -> set[str]:
    """Those of the capabilities `asked` about that the call needs."""
    wanted = set(asked)
    fields = call.fields
    if not fields or call.operation not in _GENERATING:
        return set()
    found = {capability for name, capability in _BY_FIELD if name in fields and bytes(fields[name]) not in _NOTHING}
    if "json_schema" in wanted and any(b'"json_schema"' in bytes(fields[name]) for name in _FORMATS if name in fields):
        found.add("json_schema")
    if "vision" in wanted or "audio_in" in wanted:
        prompts = [bytes(fields[name]) for name in _PROMPTS if name in fields]
        found |= {capability for mark, capability in _BY_PART for prompt in prompts if mark in prompt}
    return found & wanted


def tokens_needed(call: Call, bytes_per_token: int = BYTES_PER_TOKEN) -> int:
    """About how many tokens of context a call takes, its answer included; 0 where its size says nothing of that, since
    there is more in it than text."""
    if call.operation not in _GENERATING:
        return 0
    prompts = [bytes(call.fields[name]) for name in _PROMPTS if name in call.fields]
    if any(mark in prompt for mark in _MEDIA for prompt in prompts):
        return 0
    return call.size // bytes_per_token + (call.max_tokens or 0)


def exceeds(call: Call, bounds: Bounds) -> bool:
    """Whether a call may be too much for some candidate within these bounds. Asked for every request."""
    context = bounds.context
    if context is not None and call.size // BYTES_PER_TOKEN + (call.max_tokens or 0) > context:
        return True
    lacks = bounds.lacks
    return bool(lacks) and bool(needs(call, lacks))
