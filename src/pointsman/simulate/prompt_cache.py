"""The cache of prompts of a simulated provider: the part of a prompt that begins like an earlier one of the same key.

As OpenAI documents it: prompts are cached from 1,024 tokens on, in steps of 128.
https://platform.openai.com/docs/guides/prompt-caching
"""

from collections import deque
from collections.abc import Mapping

from msgspec import Raw

LEAST_BYTES, STEP_BYTES = 4 * 1024, 4 * 128
_FIELDS = ("tools", "system", "instructions", "messages", "input", "prompt", "systemInstruction", "contents")


class PromptCache:
    """The latest `size` prompts of each key and model."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._prompts: dict[tuple[str, str], deque[bytes]] = {}

    def share(self, key: str, model: str, fields: Mapping[str, Raw]) -> float:
        """Return the share of a prompt that is in the cache, and keep the prompt."""
        prompt = b"".join([bytes(fields[name]) for name in _FIELDS if name in fields])
        known = self._prompts.setdefault((key, model), deque(maxlen=self._size))
        longest = max([_common(one, prompt) for one in known], default=0)
        known.append(prompt)
        return longest / len(prompt) if longest >= LEAST_BYTES else 0.0

    def clear(self) -> None:
        self._prompts.clear()


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two prompts have in common from their beginning, in whole steps."""
    end = min(len(one), len(other)) // STEP_BYTES * STEP_BYTES
    return next(
        (at for at in range(0, end, STEP_BYTES) if one[at : at + STEP_BYTES] != other[at : at + STEP_BYTES]), end
    )
