"""The worker's end of the journal.

An intent is stored before bytes are sent to a provider, an outcome when the attempt is over. Both are in the file as
soon as the call returns, and survive the end of the process. To survive the end of the machine too, a thread syncs
stored records to the disk in groups, at most `SYNC_S` later.

When no segment can be made (disk full, limit reached), intents are refused and the trouble is reported, until one can
be. Meanwhile, outcomes of attempts already sent stay in memory, and records of requests are dropped and counted.
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

from pointsman.journal.records import ENCODER, ChargeScope, Intent, Kept, Outcome, RequestDone
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
MAX_KEPT = 100_000  # outcomes in memory
KEEP_FREE = 256 * 1024  # of the last available segment: reserved for outcomes
_LENGTH_BYTES = LENGTH.size
_pack = LENGTH.pack  # of checksums, too


class JournalUnavailable(Exception):  # noqa: N818 -- a state of the disk, not an error of the program
    """The journal cannot take an intent now. The message says why."""


def folder_name(slot: int, epoch: int) -> str:
    return f"{slot:03d}-{epoch:020d}"


class JournalWriter:
    """One worker's journal. All methods belong to one thread; another makes the next segment ahead of time.

    `on_trouble` is called from that other thread: with a message when segments can no longer be made, and with `None`
    when they can again. Raises `OSError` if the first segment cannot be made.
    """

    def __init__(
        self,
        journals: Path,
        slot: int,
        epoch: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
        on_trouble: Callable[[str | None], None] = lambda _: None,
        is_synced: bool = False,
    ) -> None:
        self.name = folder_name(slot, epoch)
        self.folder = journals / self.name
        self.trouble: str | None = None
        self.dropped = 0
        self._slot, self._epoch, self._size, self._max_bytes = slot, epoch, segment_bytes, max_bytes
        self._on_trouble = on_trouble
        self._encode = ENCODER.encode
        # Under another name first: a journal without a lock would look like a dead worker's.
        making = journals / f".{self.name}"
        making.mkdir(parents=True, mode=0o700)
        self._lock = os.open(making / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._number = 0
            self._data: mmap.mmap = create(making, 0, slot, epoch, segment_bytes)
            making.rename(self.folder)
        except OSError:
            os.close(self._lock)
            shutil.rmtree(making, ignore_errors=True)
            raise
        self._at = HEADER_BYTES
        self._room = segment_bytes - LENGTH.size  # for the end mark
        self._defined: set[int] = set()
        self._kept: deque[tuple[ChargeScope, bytes]] = deque()
        self._next: mmap.mmap | None = None
        self._synced = (0, 0)  # segment and offset up to which all is on the disk
        self._ending = threading.Event()
        self._syncer = threading.Thread(target=self._keep_synced, name="journal-sync", daemon=True)
        self._is_synced = is_synced
        if is_synced:
            self._syncer.start()
        self._wanted = threading.Event()
        self._is_closed = False
        self._wanted.set()
        self._maker = threading.Thread(target=self._make_segments, name="journal", daemon=True)
        self._maker.start()

    def intent(self, scope: ChargeScope, request_id: str, ordinal: int, at: float, nano: int, tokens: int) -> None:
        """Store an intent. Raises `JournalUnavailable`; then nothing was stored."""
        if self._kept or (self.trouble is not None and self._at + KEEP_FREE > self._room):
            self._store_kept()
            if self._kept or (self.trouble is not None and self._at + KEEP_FREE > self._room):
                raise JournalUnavailable(self.trouble or f"{self.folder} has no room yet")
        encode = self._encode  # a local name is found faster than a method
        record = encode(Intent(scope.number, request_id, ordinal, at, nano=nano, tokens=tokens))
        if not self._store(record, scope):
            raise JournalUnavailable(self.trouble or f"{self.folder} has no room yet")

    def store(self, scope: ChargeScope, what: Outcome | Kept) -> None:
        """Store a record. Never fails: a record without room is kept in memory until there is some."""
        encode = self._encode
        record = encode(what)
        if self._kept or not self._store(record, scope):
            self._kept.append((scope, record))
            self._store_kept()

    def request(self, record: bytes) -> None:
        """Store the record of a request, as JSON, or drop it if there is no room."""
        encode = self._encode
        if self._kept or not self._store(encode(RequestDone(record)), None):
            self.dropped += 1

    def sync(self) -> None:
        """Sync all records stored so far to the disk, so that they survive the machine. Takes as long as the disk; only
        one thread may call it at a time. Raises `OSError`."""
        number, at = self._number, self._at
        if (number, at) == self._synced:
            return
        for each in range(self._synced[0], number + 1):
            try:
                fd = os.open(segment_path(self.folder, each), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # control has read it, and deleted it
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        self._synced = number, at

    def close(self) -> None:
        """Release the lock: the journal is complete."""
        self._is_closed = True
        self._wanted.set()
        self._maker.join(timeout=5)
        self._ending.set()
        if self._syncer.is_alive():
            self._syncer.join(timeout=5)
        self._store_kept()
        if self._is_synced:
            self._sync_or_tell()
        self._data.close()
        if self._next is not None:
            self._next.close()
            segment_path(self.folder, self._number + 1).unlink(missing_ok=True)
        os.close(self._lock)

    def _store(self, record: bytes, scope: ChargeScope | None) -> bool:
        """Append a record, preceded by the scope it needs. Return false if there is no room."""
        if scope is not None and scope.number not in self._defined:
            if not self._store(self._encode(scope), None):
                return False
            self._defined.add(scope.number)
        length = len(record)
        at = self._at
        payload = at + FRAME_BYTES
        end = payload + ((length + 3) & ~3)
        if end > self._room:
            if HEADER_BYTES + end - at > self._room or not self._turn():
                return False
            return self._store(record, scope)
        data = self._data
        data[at + _LENGTH_BYTES : payload + length] = _pack(crc32(record)) + record
        data[at : at + _LENGTH_BYTES] = _pack(length)  # last: this makes the frame visible
        self._at = end
        return True

    def _turn(self) -> bool:
        """Turn to the next segment, if it has been made."""
        following = self._next
        if following is None:
            self._wanted.set()
            return False
        LENGTH.pack_into(self._data, self._at, END)
        self._data.close()
        self._number += 1  # first: the other thread makes the one after it as soon as there is none
        self._data, self._next = following, None
        self._at = HEADER_BYTES
        self._defined.clear()
        self._wanted.set()
        return True

    def _store_kept(self) -> None:
        while self._kept:
            scope, record = self._kept[0]
            if not self._store(record, scope):
                if len(self._kept) > MAX_KEPT:
                    self._kept.popleft()
                    self.dropped += 1
                return
            self._kept.popleft()

    def _keep_synced(self) -> None:
        """Sync stored records to the disk in groups. Runs in a thread of its own."""
        while not self._ending.wait(SYNC_S):
            if not self._sync_or_tell():
                self._ending.wait(RETRY_S)

    def _sync_or_tell(self) -> bool:
        try:
            self.sync()
        except OSError as error:
            self._on_trouble(f"the journal {self.folder} is not safe from a loss of power: {error.strerror}")
            return False
        return True

    def _make_segments(self) -> None:
        """Make the next segment whenever it is wanted, and retry while it cannot be made. Runs in the other thread."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._next is None:
                if self._is_closed:
                    return
                problem = self._make_next()
                if problem != self.trouble:
                    self.trouble = problem
                    self._on_trouble(problem)
                if problem is not None:
                    self._wanted.wait(RETRY_S)
                    self._wanted.clear()
            if self._is_closed:
                return

    def _make_next(self) -> str | None:
        if (len(segment_numbers(self.folder)) + 1) * self._size > self._max_bytes:
            return (
                f"the journal {self.folder} has reached its limit of {self._max_bytes} bytes; control does not read it"
            )
        try:
            self._next = create(self.folder, self._number + 1, self._slot, self._epoch, self._size)
        except OSError as error:
            return f"the journal {self.folder} cannot grow: {error.strerror}"
        return None
