"""The reader of journals, for control. It reads records while their worker writes them, and after the worker has ended.

In a live journal, reading stops at an incomplete frame until it is complete. In a dead worker's journal, an incomplete
last frame is erased: the worker died before anything relied on it. Damage in the middle of a segment is reported, and
reading resumes at the next complete frame.
"""

import mmap
import os
import shutil
from bisect import bisect_left
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.journal.lock import is_locked
from pointsman.journal.records import DECODER, ChargeScope, Record
from pointsman.journal.segments import (
    END,
    FRAME,
    FRAME_BYTES,
    HEADER_BYTES,
    LENGTH,
    DamagedHeaderError,
    SegmentError,
    read_header,
    segment_numbers,
    segment_path,
)

MAX_FRAME = 1 << 20  # bytes of a frame that the search after damage accepts


class Position(Struct, frozen=True, order=True, gc=False):
    """The place where reading resumes: the segment, and the offset in bytes."""

    segment: int = 0
    offset: int = HEADER_BYTES


class Chunk(Struct, frozen=True, kw_only=True):
    """Records of one segment, the byte offsets of their frames (`offsets`), and the position where reading resumes.
    `damage` describes the damage found. `is_end` is true if there is nothing more for now; a chunk that is not the end
    may have no records."""

    segment: int
    offsets: list[int]
    records: list[Record]
    end: Position
    is_end: bool
    damage: tuple[str, ...] = ()

    def before(self, end: Position) -> "Chunk":
        """Return the part of this chunk that begins before a position."""
        if self.end <= end:
            return self
        count = bisect_left(self.offsets, end.offset) if self.segment == end.segment else 0
        return replace(self, offsets=self.offsets[:count], records=self.records[:count], end=end)


class JournalReader:
    """A reader of one journal. Raises `SegmentError` for files that a newer version wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        slot, _, epoch = folder.name.partition("-")
        self.slot, self.epoch = int(slot), int(epoch)
        self.scopes: dict[int, ChargeScope] = {}  # by number, in the segment being read
        self._segment = -1
        self._data: mmap.mmap | None = None

    def is_live(self) -> bool:
        """Return whether the writer is alive. Raises `OSError` if that cannot be found out."""
        return is_locked(self.folder)

    def read(self, position: Position, max_records: int, *, is_live: bool) -> Chunk:
        """Return the next records from `position` on. `is_live` must have been determined *before* reading."""
        damage: list[str] = []
        segment, offset = position.segment, position.offset
        data = self._open(segment, offset, damage)
        offsets: list[int] = []
        records: list[Record] = []
        end = Position(segment, offset)
        is_end = False
        if data is None:
            newer = [number for number in segment_numbers(self.folder) if number > segment]
            is_end = not newer or not (self.folder / "lock").exists()
            if not is_end:
                damage.append(f"{segment_path(self.folder, segment)} is missing; its records are lost")
                segment = newer[0]
                end = Position(segment)
        while data is not None and len(records) < max_records:
            offset = self._read_frames(data, offset, max_records - len(records), offsets, records)
            end = Position(segment, offset)
            if len(records) >= max_records:
                break
            # No complete frame: the end of the segment, the end for now, or damage.
            length = LENGTH.unpack_from(data, offset)[0] if offset + FRAME_BYTES <= len(data) else END
            if length == END:
                end = Position(segment + 1)
                break
            following = self._after_incomplete(data, end, length, damage, is_live=is_live)
            if following is None:
                continue  # the writer has completed the frame
            if following == end:
                is_end = True
                break
            end = following
            if end.segment != segment:
                break
            offset = end.offset
        return Chunk(segment=segment, offsets=offsets, records=records, end=end, is_end=is_end, damage=tuple(damage))

    def _read_frames(
        self, data: mmap.mmap | bytes, offset: int, count: int, offsets: list[int], records: list[Record]
    ) -> int:
        """Append up to `count` complete frames. Return the offset of the first frame not read. The loop runs for every
        record, so each of its lines matters for speed."""
        unpack, decode, size = FRAME.unpack_from, DECODER.decode, len(data)
        last = size - FRAME_BYTES
        for _ in range(count):
            if offset > last:
                break
            length, checksum = unpack(data, offset)
            start = offset + FRAME_BYTES
            end = start + length
            if not length or end > size:
                break
            payload = data[start:end]
            if crc32(payload) != checksum:
                break
            try:
                record = decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            offsets.append(offset)
            records.append(record)
            offset = (end + 3) & ~3
            if type(record) is ChargeScope:
                self.scopes[record.number] = record
        return offset

    def _after_incomplete(
        self, data: mmap.mmap, at: Position, length: int, damage: list[str], *, is_live: bool
    ) -> Position | None:
        """Return the position where reading resumes when there is no complete frame at `at`, whose length field was
        `length`. Return `at` if that is the end for now, and `None` if the writer has completed the frame."""
        segment, offset = at.segment, at.offset
        place = f"{segment_path(self.folder, segment)} at byte {offset}"
        is_complete = self._is_written(segment + 1)
        found, checksum = FRAME.unpack_from(data, offset)
        if found != length or (length and self._record(data, offset + FRAME_BYTES, length, checksum) is not None):
            return None
        following = self._next_frame(data, offset) if length or is_complete or not is_live else None
        if following is not None:
            damage.append(f"{place}: {following - offset} bytes are damaged and were skipped")
            return Position(segment, following)
        if is_complete:
            damage.append(f"{place}: the end of the segment is damaged")
            return Position(segment + 1)
        if length and not is_live:
            damage.append(f"{place}: an incomplete last record was erased")
            self._erase(segment, offset, damage)
        return at

    def backlog_bytes(self, position: Position) -> int:
        """Return the bytes of journal to read from `position` on, in whole segments, without the current one."""
        return sum(
            segment_path(self.folder, number).stat().st_size
            for number in segment_numbers(self.folder)
            if number > position.segment + 1
        )

    def remove_before(self, segment: int) -> None:
        """Delete the segments before `segment`, whose records are safely stored."""
        for number in segment_numbers(self.folder):
            if number < segment:
                segment_path(self.folder, number).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the journal, after all of it is safely stored and its writer has ended."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def quarantine(self) -> None:
        """Quarantine a damaged journal for inspection, under a name that no reader opens."""
        self.close()
        self.folder.rename(self.folder.with_name(f"damaged-{self.folder.name}"))

    def close(self) -> None:
        """Close the current segment."""
        if self._data is not None:
            self._data.close()
            self._data = None
        self._segment = -1

    def _is_written(self, segment: int) -> bool:
        """Return whether a segment has a frame. If it has, all segments before it are complete."""
        try:
            with segment_path(self.folder, segment).open("rb") as file:
                file.seek(HEADER_BYTES)
                return any(file.read(FRAME_BYTES))
        except OSError:
            return False

    def _open(self, segment: int, offset: int, damage: list[str]) -> mmap.mmap | None:
        """Map the segment into memory, and load the scopes defined in it before `offset`. Append damage to its
        header to `damage`."""
        if self._segment == segment and self._data is not None:
            return self._data
        path = segment_path(self.folder, segment)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(fd).st_size
            if size < HEADER_BYTES:
                return None
            data = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        if data[:4] == b"\0\0\0\0" and not self._is_written(segment):  # the writer is creating it
            data.close()
            return None
        try:
            read_header(data[:HEADER_BYTES], path)
        except DamagedHeaderError as error:
            damage.append(str(error))
        except SegmentError:
            data.close()
            raise
        self.close()
        self._segment, self._data = segment, data
        self.scopes = {}
        before, at = data[:offset], HEADER_BYTES
        while (at := self._read_frames(before, at, offset, [], [])) < offset:
            at = self._next_frame(data, at) or offset
        return data

    @staticmethod
    def _record(data: mmap.mmap, start: int, length: int, checksum: int) -> Record | None:
        """Return the record with its payload at `start`, or `None` if the record is incomplete."""
        payload = data[start : start + length]
        if len(payload) < length or crc32(payload) != checksum:
            return None
        try:
            record: Record = DECODER.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return record

    def _next_frame(self, data: mmap.mmap, offset: int) -> int | None:
        """Return the offset of the next complete frame after damage at `offset`, or `None` if there is none."""
        written = len(data[offset:].rstrip(b"\0"))
        for at in range(offset + 4, offset + written, 4):
            if at + FRAME_BYTES > len(data):
                break
            length, checksum = FRAME.unpack_from(data, at)
            if 0 < length <= MAX_FRAME and self._record(data, at + FRAME_BYTES, length, checksum) is not None:
                return at
        return None

    def _erase(self, segment: int, offset: int, damage: list[str]) -> None:
        """Overwrite the segment with zeros from `offset` on. Append a failure to `damage`."""
        self.close()
        try:
            with segment_path(self.folder, segment).open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.truncate(offset)
                file.truncate(size)
        except OSError as error:
            damage.append(f"{segment_path(self.folder, segment)} cannot be repaired: {error.strerror}")


def discover(journals: Path) -> list[JournalReader]:
    """Return readers of all journals in a folder, oldest first."""
    if not journals.is_dir():
        return []
    folders = [path for path in journals.iterdir() if path.is_dir() and path.name.replace("-", "").isdigit()]
    return sorted(map(JournalReader, folders), key=lambda reader: (reader.epoch, reader.slot))


__all__ = ["Chunk", "JournalReader", "Position", "SegmentError", "discover"]
