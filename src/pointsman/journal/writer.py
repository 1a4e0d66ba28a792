"""The writer of a worker's journal.

A worker writes an intent before it sends bytes to a provider, and an outcome when the attempt has ended. Both are in
the file as soon as the call returns, and survive the end of the process. If records must also survive a loss of power,
a thread syncs them to the disk in groups, at most `SYNC_S` later.

If no segment can be created, because the disk is full or the limit is reached, the writer reports the problem and
rejects intents until it can create one. Meanwhile, outcomes of attempts already sent stay in memory, and records of
requests are dropped and counted.
"""

import fcntl
import mmap
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from pointsman.journal.records import ENCODER, BatchRecord, ChargeScope, Intent, Outcome, RequestDone, StateRecord
from pointsman.journal.segments import (
    END,
    FRAME_BYTES,
    HEADER_BYTES,
    LENGTH,
    create,
    segment_numbers,
    segment_path,
)

SEGMENT_BYTES = 16 * 1024 * 1024
MAX_BYTES = 8 * 1024 * 1024 * 1024
RETRY_S = 1.0
SYNC_S = 0.05
MAX_PENDING = 100_000  # outcomes in memory
RESERVED_BYTES = 256 * 1024  # of the last available segment, for outcomes alone
_LENGTH_BYTES = LENGTH.size
_pack = LENGTH.pack  # for lengths and checksums


class JournalUnavailable(Exception):  # noqa: N818 -- a state of the disk, not an error of the program
    """The journal cannot store an intent now. The message is the reason."""


def folder_name(slot: int, epoch: int) -> str:
    """Return the name of the folder of a worker's journal."""
    return f"{slot:03d}-{epoch:020d}"


_BEFORE_FULL = "Correct this before the current segment is full, or the worker rejects requests under a limit"


class JournalWriter:
    """A writer of one worker's journal. One thread calls its methods; another creates the next segment ahead of time.

    The other threads call `on_problem` with a message when segments can no longer be created or synced, and with `None`
    when they can again. Raises `OSError` if the first segment cannot be created.
    """

    def __init__(
        self,
        journals: Path,
        slot: int,
        epoch: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
        on_problem: Callable[[str | None], None] = lambda _: None,
        is_synced: bool = False,
    ) -> None:
        self.name = folder_name(slot, epoch)
        self.folder = journals / self.name
        self.problem: str | None = None
        self.dropped = 0
        self._slot, self._epoch, self._size, self._max_bytes = slot, epoch, segment_bytes, max_bytes
        self._on_problem = on_problem
        self._encode = ENCODER.encode
        # Under another name first: control would take a journal without a lock for a dead worker's.
        temporary = journals / f".{self.name}"
        temporary.mkdir(parents=True, mode=0o700)
        self._lock = os.open(temporary / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._number = 0
            self._data: mmap.mmap = create(temporary, 0, slot, epoch, segment_bytes)
            temporary.rename(self.folder)
        except OSError:
            os.close(self._lock)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._at = HEADER_BYTES
        self._end = segment_bytes - LENGTH.size  # the last bytes are for the end mark
        self._defined: set[int] = set()
        self._pending: deque[tuple[ChargeScope, bytes]] = deque()
        self._next: mmap.mmap | None = None
        self._synced = (0, 0)  # segment and offset up to which all is on the disk
        self._ending = threading.Event()
        self._syncer = threading.Thread(target=self._keep_synced, name="journal-sync", daemon=True)
        self._is_synced = is_synced
        if is_synced:
            self._syncer.start()
        self._segment_due = threading.Event()
        self._is_closed = False
        self._segment_due.set()
        self._creator = threading.Thread(target=self._create_segments, name="journal", daemon=True)
        self._creator.start()

    def intent(self, scope: ChargeScope, request_id: str, ordinal: int, at: float, nano: int, tokens: int) -> None:
        """Store an intent. Raises `JournalUnavailable` if it was not stored."""
        if self._pending or (self.problem is not None and self._at + RESERVED_BYTES > self._end):
            self._store_pending()
            if self._pending or (self.problem is not None and self._at + RESERVED_BYTES > self._end):
                raise JournalUnavailable(self.problem or f"{self.folder} is waiting for its next segment")
        encode = self._encode  # a local name is found faster than a method
        record = encode(Intent(scope.number, request_id, ordinal, at, nano=nano, tokens=tokens))
        if not self._store(record, scope):
            raise JournalUnavailable(self.problem or f"{self.folder} is waiting for its next segment")

    def store(self, scope: ChargeScope, record: Outcome | StateRecord | BatchRecord) -> None:
        """Store a record. If the segment is full, the record waits in memory for the next one."""
        encode = self._encode
        payload = encode(record)
        if self._pending or not self._store(payload, scope):
            self._pending.append((scope, payload))
            self._store_pending()

    def request(self, record: bytes) -> None:
        """Store the record of a request, as JSON. If the segment is full, drop it."""
        encode = self._encode
        if self._pending or not self._store(encode(RequestDone(record)), None):
            self.dropped += 1

    def sync(self) -> None:
        """Sync all records stored so far to the disk, so that they survive a loss of power. Blocks until the disk has
        them. Only one thread may call it at a time. Raises `OSError`."""
        number, at = self._number, self._at
        if (number, at) == self._synced:
            return
        for each in range(self._synced[0], number + 1):
            try:
                fd = os.open(segment_path(self.folder, each), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # control has ingested and deleted it
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        self._synced = number, at

    def close(self) -> None:
        """Complete the journal and release its lock."""
        self._is_closed = True
        self._segment_due.set()
        self._creator.join(timeout=5)
        self._ending.set()
        if self._syncer.is_alive():
            self._syncer.join(timeout=5)
        self._store_pending()
        problem = self._sync_or_explain() if self._is_synced else None
        if problem is not None:
            self._on_problem(problem)
        self._data.close()
        if self._next is not None:
            self._next.close()
            segment_path(self.folder, self._number + 1).unlink(missing_ok=True)
        os.close(self._lock)

    def _store(self, record: bytes, scope: ChargeScope | None) -> bool:
        """Append a record, preceded by its scope if the segment lacks it. Return false if the segment is full."""
        if scope is not None and scope.number not in self._defined:
            if not self._store(self._encode(scope), None):
                return False
            self._defined.add(scope.number)
        length = len(record)
        at = self._at
        payload = at + FRAME_BYTES
        end = payload + ((length + 3) & ~3)
        if end > self._end:
            if HEADER_BYTES + end - at > self._end or not self._advance():
                return False
            return self._store(record, scope)
        data = self._data
        data[at + _LENGTH_BYTES : payload + length] = _pack(crc32(record)) + record
        data[at : at + _LENGTH_BYTES] = _pack(length)  # last: this makes the frame visible
        self._at = end
        return True

    def _advance(self) -> bool:
        """Continue in the next segment, if it has been created. Return false if not."""
        following = self._next
        if following is None:
            self._segment_due.set()
            return False
        LENGTH.pack_into(self._data, self._at, END)
        self._data.close()
        self._number += 1  # first: the other thread numbers the following segment from it
        self._data, self._next = following, None
        self._at = HEADER_BYTES
        self._defined.clear()
        self._segment_due.set()
        return True

    def _store_pending(self) -> None:
        while self._pending:
            scope, record = self._pending[0]
            if not self._store(record, scope):
                if len(self._pending) > MAX_PENDING:
                    self._pending.popleft()
                    self.dropped += 1
                return
            self._pending.popleft()

    def _keep_synced(self) -> None:
        """Sync stored records to the disk in groups. Runs in its own thread."""
        reported: str | None = None
        while not self._ending.wait(SYNC_S):
            problem = self._sync_or_explain()
            if problem != reported:
                reported = problem
                self._on_problem(problem)
            if problem is not None:
                self._ending.wait(RETRY_S)

    def _sync_or_explain(self) -> str | None:
        """Sync, or return the reason if that fails."""
        try:
            self.sync()
        except OSError as error:
            return (
                f"the journal {self.folder} cannot be synced to the disk, so a loss of power may lose records; check "
                f"the disk: {error.strerror}"
            )
        return None

    def _create_segments(self) -> None:
        """Create the next segment whenever it is due, and retry while that fails. Runs in the other thread."""
        while True:
            self._segment_due.wait()
            self._segment_due.clear()
            while self._next is None:
                if self._is_closed:
                    return
                problem = self._create_next()
                if problem != self.problem:
                    self.problem = problem
                    self._on_problem(None if problem is None else f"{problem}. {_BEFORE_FULL}")
                if problem is not None:
                    self._segment_due.wait(RETRY_S)
                    self._segment_due.clear()
            if self._is_closed:
                return

    def _create_next(self) -> str | None:
        """Create the next segment. Return the reason if that fails."""
        if (len(segment_numbers(self.folder)) + 1) * self._size > self._max_bytes:
            return (
                f"the journal {self.folder} has reached its limit of {self._max_bytes} bytes, because control does not "
                "ingest it; see the log of control"
            )
        try:
            self._next = create(self.folder, self._number + 1, self._slot, self._epoch, self._size)
        except OSError as error:
            return f"the journal {self.folder} cannot grow: {error.strerror}"
        return None
