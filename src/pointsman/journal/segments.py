"""Segment files: preallocated, mapped into memory, and written so that a reader never accepts half a frame.

    header   8 bytes magic, u32 format, u32 slot, u64 epoch, u32 number of the segment, u32 CRC-32 of all before
    frame    u32 length, u32 CRC-32 of the payload, payload, padded to 4 bytes so that a length is never split
    end      a length of 0xFFFFFFFF: the writer continues in the next segment

All numbers are little-endian. A length of zero marks the place where the writer continues. Writes to a shared mapping
outlive their process and cost no system call. The space is reserved when the file is created. So a full disk is an
error of the creation, and not a signal in the middle of a write.
"""

import mmap
import os
import struct
from pathlib import Path
from zlib import crc32

from pointsman.journal.records import FORMAT

MAGIC = b"PMJRNL\r\n"
END = 0xFFFFFFFF
SUFFIX = ".seg"

_HEADER = struct.Struct("<8sIIQI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
FRAME = struct.Struct("<II")
FRAME_BYTES = FRAME.size
LENGTH = struct.Struct("<I")


class SegmentError(Exception):
    """A segment file that cannot be read. The message names the file and the reason."""


class DamagedHeaderError(SegmentError):
    """A damaged header. The frames after it have their own checksums and may be readable."""


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of a segment."""
    return folder / f"{number:08d}{SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in a folder, ascending."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())


def create(folder: Path, number: int, slot: int, epoch: int, size: int) -> mmap.mmap:
    """Create a segment with all its space, and map it. Raises `OSError` and leaves no file if that fails."""
    path = segment_path(folder, number)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
        data = mmap.mmap(fd, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    head = _HEADER.pack(MAGIC, FORMAT, slot, epoch, number)
    data[4:HEADER_BYTES] = head[4:] + _CRC.pack(crc32(head))
    data[:4] = head[:4]  # last: until then, the segment counts as incomplete
    return data


def read_header(data: bytes, path: Path) -> tuple[int, int, int]:
    """Return slot, epoch and number. Raises `SegmentError`, or `DamagedHeaderError` if the frames after the header may
    be complete."""
    if len(data) < HEADER_BYTES:
        raise DamagedHeaderError(f"{path} is too short to be a segment of a journal")
    magic, version, slot, epoch, number = _HEADER.unpack_from(data)
    (checksum,) = _CRC.unpack_from(data, _HEADER.size)
    if magic != MAGIC or checksum != crc32(data[: _HEADER.size]):
        raise DamagedHeaderError(f"the header of {path} is damaged")
    if version > FORMAT:
        raise SegmentError(f"{path} has format {version}; this version reads up to {FORMAT}, so run a newer version")
    return slot, epoch, number
