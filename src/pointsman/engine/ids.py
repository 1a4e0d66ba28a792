"""Request ids: UUIDs of version 7, which sort by time. RFC 9562, sections 5.7 and 6.2 (dedicated counter)."""

from random import Random

_COUNTER_BITS = 12
_COUNTS = tuple(f"{count:03x}" for count in range(1 << _COUNTER_BITS))  # formatting is slow


class RequestIds:
    """Makes ids. Ids of one millisecond differ only in a counter, so the rest is formatted once a millisecond, and its
    random end once a second."""

    __slots__ = ("_count", "_end", "_ended_s", "_now_ms", "_rng", "_start")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._now_ms = -1
        self._count = 0
        self._start = ""
        self._end = ""
        self._ended_s = -1

    def new(self, now_unix_s: float) -> str:
        """Return a new id. An attempt's id is this, a dash and the ordinal of the attempt."""
        now_ms = int(now_unix_s * 1000)
        if now_ms > self._now_ms:
            self._begin(now_ms)
        else:  # a clock that goes backwards must not repeat an id
            self._count += 1
            if self._count >> _COUNTER_BITS:
                self._begin(self._now_ms + 1)
        return self._start + _COUNTS[self._count] + self._end

    def _begin(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._count = self._rng.getrandbits(_COUNTER_BITS - 1)  # half of the range, so that the counter can grow
        self._start = f"{now_ms >> 16:08x}-{now_ms & 0xFFFF:04x}-7"
        if now_ms // 1000 != self._ended_s:
            self._ended_s = now_ms // 1000
            self._end = f"-{0x8000 | self._rng.getrandbits(14):04x}-{self._rng.getrandbits(48):012x}"
