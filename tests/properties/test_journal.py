"""Every complete record in a damaged journal is read exactly once, and nothing else is."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.journal import read_all, write
from pointsman.journal.reader import JournalReader, Position
from pointsman.journal.records import ChargeScope, Record
from pointsman.journal.segments import FRAME_BYTES, LENGTH, segment_path
from pointsman.journal.writer import JournalWriter

BYTES = 4096


def _journal(folder: Path, count: int) -> tuple[Path, list[Record], list[tuple[int, int]], int]:
    """Return a journal of one segment, its records, their start and end without padding, and the end of all."""
    writer = JournalWriter(folder, 0, 1, segment_bytes=BYTES)
    written = write(writer, 0, count)
    writer.close()
    content = segment_path(writer.folder, 0).read_bytes()
    reader = JournalReader(writer.folder)
    chunk = reader.read(Position(), 1000, is_live=True)
    frames = []
    for at, record in zip(chunk.offsets, chunk.records, strict=True):
        if not isinstance(record, ChargeScope):
            frames.append((at, at + FRAME_BYTES + LENGTH.unpack_from(content, at)[0]))
    reader.close()
    return writer.folder, written, frames, chunk.end.offset


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\xa5", b"\x04\0\0\0"])
def test_torn_tail_at_every_byte_loses_no_complete_record(tmp_path: Path, filling: bytes) -> None:
    folder, written, frames, end = _journal(tmp_path, 4)
    path = segment_path(folder, 0)
    whole = path.read_bytes()
    for at in range(frames[0][0], end + 1):
        torn = whole[:at] + (filling * (end - at))[: end - at] + whole[end:]
        path.write_bytes(torn)
        count = sum(whole[first:last] == torn[first:last] for first, last in frames)
        records, position, _ = read_all(folder)
        assert records == written[:count], f"with a torn tail at byte {at}"
        assert read_all(folder) == (records, position, []), "repaired once"


@pytest.mark.parametrize("size", [0, 1])
def test_truncation_at_every_byte_loses_no_complete_record(tmp_path: Path, size: int) -> None:
    folder, written, frames, end = _journal(tmp_path, 4)
    path = segment_path(folder, 0)
    whole = path.read_bytes()
    for at in range(frames[0][0], end + 1):
        path.write_bytes(whole[:at] + bytes(size))
        count = sum(
            last <= at + size and (whole[:at] + bytes(size))[first:last] == whole[first:last] for first, last in frames
        )
        assert read_all(folder)[0] == written[:count], f"truncated at byte {at}"


@settings(max_examples=60, deadline=None)
@given(
    damage=st.lists(st.tuples(st.integers(0, BYTES - 1), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4)
)
def test_damage_loses_only_the_damaged_records(damage: list[tuple[int, bytes]]) -> None:
    with TemporaryDirectory() as name:
        folder, written, frames, _ = _journal(Path(name), 12)
        path = segment_path(folder, 0)
        content = bytearray(path.read_bytes())
        before = bytes(content)
        for at, data in damage:
            content[at : at + len(data)] = data[: BYTES - at]
        path.write_bytes(content)
        unhurt = [
            record
            for record, (first, last) in zip(written, frames, strict=True)
            if before[first:last] == content[first:last]
        ]
        records, _, _ = read_all(folder)
        assert [record for record in records if record in written] == unhurt
        shutil.rmtree(folder)
