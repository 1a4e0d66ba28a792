"""The demand of a request on a model, as far as its body tells it."""

from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation

BYTES_PER_TOKEN = 4  # of a prompt: the usual figure for English
MAX_BYTES_PER_TOKEN = 16  # of a prompt that is text: beyond this it is sure to have no more tokens than that
_GENERATING = frozenset({Operation.CHAT, Operation.COMPLETION, Operation.RESPONSES})


def tokens_needed(call: Call, bytes_per_token: int = BYTES_PER_TOKEN) -> int:
    """About how many tokens of context a call takes, its answer included; 0 where its size says nothing of that, since
    there is more in it than text."""
    if call.operation not in _GENERATING or call.media.count:
        return 0
    return call.size // bytes_per_token + (call.max_tokens or 0)
