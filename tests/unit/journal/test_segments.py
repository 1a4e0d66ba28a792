"""Segment files are created completely or not at all, and unreadable ones are rejected."""

from pathlib import Path

import pytest

from pointsman.journal import segments
from pointsman.journal.records import FORMAT
from pointsman.journal.segments import (
    HEADER_BYTES,
    DamagedHeaderError,
    SegmentError,
    create,
    read_header,
    segment_numbers,
    segment_path,
)


def test_segment_reserves_its_space_and_has_a_header(tmp_path: Path) -> None:
    create(tmp_path, 3, 1, 77, 8192).close()
    path = segment_path(tmp_path, 3)
    assert path.stat().st_size == 8192
    assert path.stat().st_blocks * 512 >= 8192, "the space is reserved"
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert read_header(content, path) == (1, 77, 3)
    assert not any(content[HEADER_BYTES:])


def test_segments_are_found_by_number(tmp_path: Path) -> None:
    for number in (10, 2, 9):
        create(tmp_path, number, 0, 1, 4096).close()
    (tmp_path / "lock").touch()
    (tmp_path / "other.seg").touch()
    assert segment_numbers(tmp_path) == [2, 9, 10]


def test_existing_segment_is_not_overwritten(tmp_path: Path) -> None:
    create(tmp_path, 0, 0, 1, 4096).close()
    with pytest.raises(FileExistsError):
        create(tmp_path, 0, 0, 2, 4096)
    assert read_header(segment_path(tmp_path, 0).read_bytes(), tmp_path)[1] == 1


def test_full_disk_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"File too large|No space left"):
        create(tmp_path, 0, 0, 1, 1 << 62)
    assert list(tmp_path.iterdir()) == []


def test_newer_format_is_rejected_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FORMAT", FORMAT + 1)
    create(tmp_path, 0, 0, 1, 4096).close()
    monkeypatch.undo()
    path = segment_path(tmp_path, 0)
    with pytest.raises(
        SegmentError, match=r"has format 2; this version reads up to 1, so run a newer version"
    ) as caught:
        read_header(path.read_bytes(), path)
    assert not isinstance(caught.value, DamagedHeaderError)


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_damage_to_any_byte_of_a_header_is_detected(tmp_path: Path, at: int) -> None:
    create(tmp_path, 0, 0, 1, 4096).close()
    content = bytearray(segment_path(tmp_path, 0).read_bytes())
    content[at] ^= 0x40
    with pytest.raises(DamagedHeaderError):
        read_header(bytes(content), tmp_path)


def test_short_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DamagedHeaderError, match="too short"):
        read_header(b"PMJRNL", tmp_path)
