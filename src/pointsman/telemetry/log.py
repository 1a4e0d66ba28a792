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
_INTERPRETED = re.compile(
    "[\x80-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def _visible(line: bytes) -> bytes:
    """Escape the characters that a terminal interprets, because some of the text comes from clients and providers."""
    return _INTERPRETED.sub(_escaped, line.decode()).encode()


def _escaped(found: "re.Match[str]") -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class Dropped(Struct, tag_field="event", tag="log_dropped"):
    """Logged when records were lost because the log could not be written fast enough."""

    count: int


class LogWriter:
    """Writes records to a file descriptor. `put` is cheap and never waits. `open_file` opens the file and returns
    its descriptor, for `reopen` after a rotation. It may raise `OSError`."""

    def __init__(
        self,
        fd: int,
        *,
        on_error: Callable[[OSError], None] | None = None,
        open_file: Callable[[], int] | None = None,
    ) -> None:
        self._fd = fd
        self._open_file = open_file
        self._must_reopen = False
        self._on_error = on_error
        self._pending: deque[bytes] = deque()
        self._encode = Encoder().encode
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._overflowed = (
            0  # records dropped because the buffer was full; only the thread that calls `put` counts them
        )
        self._unwritten = 0  # records that could not be written; only the writing thread counts them
        self._reported = 0
        self._has_open_line = False
        self._has_failed = False
        self._thread.start()

    def put(self, record: Struct) -> bytes:
        """Queue one record, and return its line. The record is encoded here, because the writing thread would hold the
        interpreter lock for a whole batch."""
        encode = self._encode  # a local name is faster than an attribute
        line = encode(record)
        if not line.isascii():
            line = _visible(line)
        if len(self._pending) < MAX_PENDING:
            self._pending.append(line)
        else:
            self._overflowed += 1
        return line

    @property
    def dropped(self) -> int:
        """The number of records that are missing from the log."""
        return self._overflowed + self._unwritten

    def reopen(self) -> None:
        """Reopen the file by its name; queued records go to the new file. Without a file, or if opening fails, logging
        continues as before."""
        self._must_reopen = True

    def close(self) -> None:
        """Write the queue and stop."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._flush()
        self._flush()

    def _replace_file(self) -> None:
        if self._open_file is None:
            return
        try:
            new = self._open_file()
        except OSError as error:
            if self._on_error is not None:
                self._on_error(error)
            return
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)
        self._has_open_line = False

    def _flush(self) -> None:
        if self._must_reopen:
            self._must_reopen = False
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
            self._unwritten += count
            self._has_open_line |= len(data) < len(text)  # a partial write may have ended within a line
            if not self._has_failed and self._on_error is not None:
                self._on_error(error)  # logged once, until writing works again
            self._has_failed = True
        else:
            self._reported = dropped
            self._has_open_line = self._has_failed = False
