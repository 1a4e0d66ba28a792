"""Lines for people and machines, written by a thread so that a full disk or a slow pipe holds up no request.

Each record is one line of JSON. The buffer is bounded: what does not fit is dropped and counted, and the count is
written as soon as there is room again.
"""

import os
import threading
from collections import deque
from collections.abc import Callable

from msgspec import Struct
from msgspec.json import Encoder

MAX_PENDING = 100_000  # records
INTERVAL_S = 0.1


class Dropped(Struct, tag_field="event", tag="log_dropped"):
    """Written when records were lost because the log could not be written fast enough."""

    count: int


class LogWriter:
    """Writes records to a file descriptor. `put` is cheap and never waits."""

    def __init__(self, fd: int, *, on_error: Callable[[OSError], None] | None = None) -> None:
        self._fd = fd
        self._on_error = on_error
        self._pending: deque[bytes] = deque()
        self._encode = Encoder().encode
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self.dropped = 0
        self._reported = 0
        self._thread.start()

    def put(self, record: Struct) -> None:
        """Queue one record. It is encoded here: the writing thread would hold the interpreter for a whole batch."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(self._encode(record))
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued and stop."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        count = len(self._pending)
        if not count:
            return
        lines = [self._pending.popleft() for _ in range(count)]
        dropped = self.dropped
        if dropped != self._reported:
            lines.append(self._encode(Dropped(dropped - self._reported)))
        lines.append(b"")
        data = memoryview(b"\n".join(lines))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            self._reported = dropped
        except OSError as error:
            self.dropped += count
            if self._on_error is not None:
                self._on_error(error)
