"""Windows of limits that will open with nothing at a worker, because it gave back its share before they opened."""

from collections.abc import Iterator, Mapping

from pointsman.domain.limits import Limit

MAX_WAIVED = 50_000


class WaivedWindows:
    """The windows that open with nothing: some by name, and all that began before `since` (Unix seconds)."""

    def __init__(self) -> None:
        self.since = float("-inf")
        self._windows: dict[tuple[str, int], None] = {}

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    def waive(self, name: str, start: int, now_unix_s: float) -> None:
        """Let a window open with nothing. Control learns this also if the return is lost with its connection."""
        if len(self._windows) >= MAX_WAIVED:
            self.waive_begun(now_unix_s)
            self._windows.clear()
        self._windows[name, start] = None

    def waive_begun(self, now_unix_s: float) -> None:
        """Let windows that have begun and are not open yet open with nothing."""
        self.since = max(self.since, now_unix_s)

    def take(self, name: str, start: int) -> bool:
        """Return whether a window opens with nothing. From here on the window itself records its lease."""
        if self._windows and (name, start) in self._windows:
            del self._windows[name, start]
            return True
        return start < self.since

    def forget(self, limits: Mapping[str, Limit], now_unix_s: float) -> None:
        """Forget windows that have ended, and those of limits that were removed."""
        known = [(name, start, limits.get(name)) for name, start in self._windows]
        self._windows = {
            (name, start): None
            for name, start, limit in known
            if limit is not None and start >= limit.period.window(now_unix_s)[0]
        }
