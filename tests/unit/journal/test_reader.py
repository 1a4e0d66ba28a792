"""The reader returns every record exactly once, and reports the damage that disks and dying writers leave."""

import threading
from pathlib import Path
from time import sleep

import pytest

from fakes.journal import SMALL, read_all, scope, write
from pointsman.journal import segments
from pointsman.journal.reader import Chunk, JournalReader, Position, discover
from pointsman.journal.records import ENCODER, FORMAT, ChargeScope, Intent, Outcome, Record
from pointsman.journal.segments import HEADER_BYTES, SegmentError, segment_numbers, segment_path
from pointsman.journal.writer import JournalWriter


def journal_of(folder: Path, count: int, segment_bytes: int = 1 << 16) -> tuple[Path, list[Record]]:
    """Write a dead worker's journal. Return its folder, and its records without scopes."""
    writer = JournalWriter(folder, 0, 1, segment_bytes=segment_bytes)
    written: list[Record] = []
    while len(written) < 2 * count:
        while writer._next is None:
            sleep(0.0005)
        written += write(writer, len(written) // 2, 1)
    writer.close()
    return writer.folder, written


def positions(folder: Path) -> list[Position]:
    """Return the position of each record."""
    reader = JournalReader(folder)
    found, at, is_end = list[Position](), Position(), False
    while not is_end:
        chunk = reader.read(at, 100_000, is_live=True)
        found += [Position(chunk.segment, offset) for offset in chunk.offsets]
        at, is_end = chunk.end, chunk.is_end
    reader.close()
    return found


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_record_with_invalid_utf8_is_damage(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 16)
    written = write(writer, 0, 1)
    assert writer._store(ENCODER.encode(Intent(1, "rr", 1, 1.5, 10, 20)).replace(b"rr", b"\xff\xff"), None)
    written += write(writer, 1, 1)
    writer.close()
    records, _, damage = read_all(writer.folder)
    assert records == written
    assert len(damage) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_reading_resumes_at_its_last_position(tmp_path: Path, count: int) -> None:
    folder, written = journal_of(tmp_path, 250, SMALL)
    assert len(segment_numbers(folder)) > 2
    assert read_all(folder, count=count)[0] == written
    records: list[Record] = []
    position, is_end = Position(), False
    while not is_end:
        reader = JournalReader(folder)  # as after a restart, with only the position
        chunk = reader.read(position, count, is_live=False)
        for record in chunk.records:
            if isinstance(record, ChargeScope):
                continue
            assert reader.scopes[1] == scope(), "it loads scopes from before the position"
            records.append(record)
        position, is_end = chunk.end, chunk.is_end
        reader.close()
    assert records == written


def test_live_journal_can_be_read(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 15)
    written: list[Record] = []

    def work() -> None:
        for number in range(4000):
            while writer._next is None:
                sleep(0.0001)
            written.extend(write(writer, number, 1))

    thread = threading.Thread(target=work)
    reader, position, records = JournalReader(writer.folder), Position(), []
    thread.start()
    while True:
        is_over = not thread.is_alive()
        chunk = reader.read(position, 50, is_live=True)
        assert not chunk.damage
        records += [record for record in chunk.records if not isinstance(record, ChargeScope)]
        position = chunk.end
        if chunk.is_end and is_over:
            break
    thread.join()
    assert records == written
    assert position.segment > 5
    reader.close()
    writer.close()


def test_live_journal_keeps_its_incomplete_record(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 3)
    last = positions(folder)[-1]
    path = segment_path(folder, 0)
    content = path.read_bytes()
    overwrite(path, last.offset + 10, b"\xff")
    records, position, damage = read_all(folder, is_live=True)
    assert (records, position, damage) == (written[:-1], last, [])
    path.write_bytes(content)  # completes the frame
    assert read_all(folder, position, is_live=True)[0] == written[-1:]


def test_incomplete_last_record_is_erased_and_reported_once(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 3)
    last = positions(folder)[-1]
    overwrite(segment_path(folder, 0), last.offset + 10, b"\xff")
    records, position, damage = read_all(folder)
    assert (records, position) == (written[:-1], last)
    assert damage == [f"{segment_path(folder, 0)} at byte {last.offset}: an incomplete last record was erased"]
    assert read_all(folder) == (written[:-1], last, [])
    assert segment_path(folder, 0).stat().st_size == 1 << 16


def test_damage_in_the_middle_is_reported_and_skipped(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 30)
    starts = positions(folder)
    damaged = starts[10]
    overwrite(segment_path(folder, 0), damaged.offset + 9, b"\xff\xff")
    for is_live in (True, False):
        records, _, damage = read_all(folder, is_live=is_live)
        assert records == written[:9] + written[10:]  # one of the positions is the scope's
        length = starts[11].offset - damaged.offset
        assert damage == [
            f"{segment_path(folder, 0)} at byte {damaged.offset}: {length} bytes are damaged and were skipped"
        ]


def test_damaged_end_of_a_segment_does_not_hide_the_next_segment(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 250, SMALL)
    starts = positions(folder)
    last = [start for start in starts if start.segment == 0][-1]
    for garbage in (b"\0" * (SMALL - last.offset), b"\xa5" * (SMALL - last.offset)):
        overwrite(segment_path(folder, 0), last.offset, garbage)
        for is_live in (True, False):
            records, _, damage = read_all(folder, is_live=is_live)
            assert len(records) == len(written) - 1
            assert records[-1] == written[-1]
            assert len(damage) == 1
            assert "the end of the segment is damaged" in damage[0]


def test_long_damage_does_not_hide_the_records_after_it(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 22)
    written = write(writer, 0, 30_000)
    writer.close()
    starts = positions(writer.folder)
    overwrite(segment_path(writer.folder, 0), starts[2].offset, b"\xa5" * (1_500_000 // 4 * 4))
    records, _, damage = read_all(writer.folder)
    assert len(damage) == 1
    assert records[-1] == written[-1]
    assert len(records) > 100


def test_damaged_header_is_reported_and_the_records_after_it_are_read(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 3)
    for garbage in (b"\0\0\0\0", b"\xff" * HEADER_BYTES):
        overwrite(segment_path(folder, 0), 0, garbage)
        records, _, damage = read_all(folder)
        assert records == written
        assert damage == [f"the header of {segment_path(folder, 0)} is damaged"]


def test_journal_of_a_newer_version_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FORMAT", FORMAT + 1)
    folder, _ = journal_of(tmp_path, 3)
    monkeypatch.undo()
    with pytest.raises(SegmentError, match="run a newer version"):
        read_all(folder)


def test_reader_waits_for_a_segment_that_is_being_created(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 2)
    path = segment_path(folder, 0)
    content = path.read_bytes()
    for unfinished in (b"", bytes(len(content))):
        path.write_bytes(unfinished)
        assert read_all(folder, is_live=True) == ([], Position(), [])
    path.write_bytes(content)
    assert read_all(folder, is_live=True)[0] == written


def test_missing_segment_is_reported(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 250, SMALL)
    segment_path(folder, 1).unlink()
    records, _, damage = read_all(folder)
    assert records[-1] == written[-1]
    assert damage == [f"{segment_path(folder, 1)} is missing; its records are lost"]


def test_ingested_segments_are_deleted(tmp_path: Path) -> None:
    folder, _ = journal_of(tmp_path, 250, SMALL)
    numbers = segment_numbers(folder)
    reader = JournalReader(folder)
    assert reader.backlog_bytes(Position()) == (len(numbers) - 2) * SMALL
    reader.remove_before(2)
    assert segment_numbers(folder) == numbers[2:]
    reader.remove()
    assert not folder.exists()


def test_journal_whose_lock_cannot_be_opened_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    """Control would give up the requests of a living worker, for example while it has too many open files."""
    folder, _ = journal_of(tmp_path, 1)
    (folder / "lock").unlink()
    (folder / "lock").symlink_to("lock")
    with pytest.raises(OSError, match="lock"):
        JournalReader(folder).is_live()


def test_journals_are_discovered_oldest_first(tmp_path: Path) -> None:
    assert discover(tmp_path / "none") == []
    for slot, epoch in ((0, 20), (1, 5), (0, 5)):
        JournalWriter(tmp_path, slot, epoch, segment_bytes=SMALL).close()
    (tmp_path / "other").mkdir()
    (tmp_path / ".000-00000000000000000009").mkdir()
    assert [(reader.slot, reader.epoch) for reader in discover(tmp_path)] == [(0, 5), (1, 5), (0, 20)]


def test_records_have_their_types(tmp_path: Path) -> None:
    folder, _ = journal_of(tmp_path, 1)
    reader = JournalReader(folder)
    types = [type(record) for record in reader.read(Position(), 10, is_live=False).records]
    assert types == [ChargeScope, Intent, Outcome]


def test_chunk_can_be_cut_at_any_position(tmp_path: Path) -> None:
    folder, _ = journal_of(tmp_path, 5)
    chunk = JournalReader(folder).read(Position(), 100, is_live=True)
    for count, offset in enumerate(chunk.offsets):
        cut = chunk.before(Position(0, offset))
        assert (cut.records, cut.offsets) == (chunk.records[:count], chunk.offsets[:count])
        assert cut.end == Position(0, offset)
    assert chunk.before(chunk.end) is chunk
    assert chunk.before(Position(1)) is chunk
    later = Chunk(
        segment=1, offsets=chunk.offsets, records=chunk.records, end=Position(1, chunk.end.offset), is_end=True
    )
    assert later.before(Position(0, 100)).records == []


def test_chunk_has_records_of_one_segment(tmp_path: Path) -> None:
    folder, written = journal_of(tmp_path, 250, SMALL)
    reader, position, records = JournalReader(folder), Position(), list[Record]()
    while True:
        chunk = reader.read(position, 100_000, is_live=False)
        assert chunk.segment == position.segment
        records += [record for record in chunk.records if not isinstance(record, ChargeScope)]
        position = chunk.end
        if chunk.is_end:
            break
    assert records == written
    assert position.segment > 2
