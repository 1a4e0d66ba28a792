"""Writes the log in a thread, so that a full disk or a slow pipe does not delay requests.

Each record is one line of JSON. The buffer is bounded. Records that do not fit are dropped and counted, and the count
is logged as soon as the buffer has room again.
"""

import os
import re
import threading
from collections import deque
from collections.abc import Callable

from msgspec import Struct
from msgspec.json import Encoder

MAX_PENDING = 100_000  # records
INTERVAL_S = 0.1


# Characters that a terminal interprets and JSON leaves alone: controls, direction marks, and invisible characters.
_UNSEEN = re.compile(
    "[\x80-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def _visible(line: bytes) -> bytes:
    """Escape the characters that a terminal interprets, because some of the text comes from clients and providers."""
    return _UNSEEN.sub(_escaped, line.decode()).encode()


def _escaped(found: "re.Match[str]") -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class Dropped(Struct, tag_field="event", tag="log_dropped"):
    """Logged when records were lost because the log could not be written fast enough."""

    count: int


class LogWriter:
    """Writes records to a file descriptor. `put` is cheap and never waits. `reopened` opens the file again and returns
    its descriptor, after the log was rotated; it may raise `OSError`."""

    def __init__(
        self,
        fd: int,
        *,
        on_error: Callable[[OSError], None] | None = None,
        reopened: Callable[[], int] | None = None,
    ) -> None:
        self._fd = fd
        self._reopened = reopened
        self._is_to_reopen = False
        self._on_error = on_error
        self._pending: deque[bytes] = deque()
        self._encode = Encoder().encode
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._refused = 0  # records dropped for lack of room; only `put`'s thread counts them
        self._lost = 0  # records that could not be written; only the writing thread counts them
        self._reported = 0
        self._has_open_line = False
        self._has_failed = False
        self._thread.start()

    def put(self, record: Struct) -> bytes:
        """Queue one record, and return its line. Encoding happens here, because the writing thread would hold the
        interpreter for a whole batch."""
        encode = self._encode  # calling it this way is faster than as a method
        line = encode(record)
        if not line.isascii():
            line = _visible(line)
        if len(self._pending) < MAX_PENDING:
            self._pending.append(line)
        else:
            self._refused += 1
        return line

    @property
    def dropped(self) -> int:
        """The number of records that are missing from the log."""
        return self._refused + self._lost

    def reopen(self) -> None:
        """Reopen the file by its name; queued records go to the new file. Without a file, or if opening fails, logging
        continues as before."""
        self._is_to_reopen = True

    def close(self) -> None:
        """Write the queue and stop."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._flush()
        self._flush()

    def _replace_file(self) -> None:
        if self._reopened is None:
            return
        try:
            new = self._reopened()
        except OSError as error:
            if self._on_error is not None:
                self._on_error(error)
            return
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)
        self._has_open_line = False

    def _flush(self) -> None:
        if self._is_to_reopen:
            self._is_to_reopen = False
            self._replace_file()
        count = len(self._pending)
        if not count:
            return
        lines = [self._pending.popleft() for _ in range(count)]
        dropped = self.dropped
        if dropped != self._reported:
            lines.append(self._encode(Dropped(dropped - self._reported)))
        lines.append(b"")
        text = b"\n".join(lines)
        if self._has_open_line:
            text = b"\n" + text
        data = memoryview(text)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._lost += count
            self._has_open_line |= len(data) < len(text)  # part of it was written, possibly up to the middle of a line
            if not self._has_failed and self._on_error is not None:
                self._on_error(error)  # logged once, until writing works again
            self._has_failed = True
        else:
            self._reported = dropped
            self._has_open_line = self._has_failed = False
