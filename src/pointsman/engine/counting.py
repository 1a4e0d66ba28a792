"""Counts prompts, for requests that would be rejected or wait because their bytes are their bound.

The tokenizer takes a quarter of a second to load and 40 MB. So it is loaded by the first request that needs it, and
never in a worker whose requests fit. It loads and counts in a thread, without the interpreter's lock.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.engine.background import BackgroundThread
from pointsman.wire.counted import count_text, is_countable

_ESTIMATE = "jev"  # the only one that loads without the lock: the others block the event loop for half a second


class PromptCounter:
    """Counts prompts in a thread of its own, so that the parsing of large bodies does not wait for them."""

    def __init__(self) -> None:
        self.counted = 0  # calls, since the start
        self._background = BackgroundThread()

    async def count(self, call: Call) -> Call:
        """Return the call with a bound on the tokens of its text."""
        self.counted += 1
        return await self._background.call(counted, call)

    def close(self) -> None:
        """Stop the thread."""
        self._background.close()


def counted(call: Call) -> Call:
    """Return the call with a bound on the tokens of its text, if they can be counted. This may take half a second."""
    if not is_countable(call):
        return call
    return replace(call, text_tokens=count_text(call, _count))


def _count(texts: Sequence[str]) -> Sequence[int]:
    import toktok  # noqa: PLC0415 -- most workers never need it

    counts: list[int] = toktok.batch_count(texts, _ESTIMATE, 1)
    return counts
