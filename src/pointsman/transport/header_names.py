"""The names of headers in lower case."""

from collections.abc import Callable

MAX_NAMES = 1024
MAX_NAME_BYTES = 64


class _LowerNames(dict[bytes, bytes]):
    """Names as sent, with their lower case. The same few come in nearly every head, and a known bytes object has its
    hash already."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if len(self) < MAX_NAMES and len(name) <= MAX_NAME_BYTES:
            self[name] = lower
        return lower


lower_name: Callable[[bytes], bytes] = _LowerNames().__getitem__
