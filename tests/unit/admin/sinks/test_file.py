"""The file of a sink: whole lines, rotation, and a disk that fails."""

import os
from pathlib import Path

import pytest

from fakes.origin import run
from fakes.sinks import sink
from pointsman.admin.delivery import DeliveryError
from pointsman.admin.following import Message
from pointsman.admin.sinks.file import OPEN, FileSink


def file_sink(path: Path, max_bytes: int = 1000, keep: int = 2) -> FileSink:
    return OPEN(sink("file", path=str(path), max_bytes=max_bytes, keep=keep))


def send(one: FileSink, *lines: bytes) -> None:
    body, count = one.encode(lines)
    run(one.send(Message("1-2", 0.0, body, count)))


def test_lines_are_appended_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    one = file_sink(path)
    send(one, b"{1}", b"{2}")
    send(one, b"{3}")
    assert path.read_bytes() == b"{1}\n{2}\n{3}\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_is_rotated_before_it_grows_too_large(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    one = file_sink(path, max_bytes=10)
    for number in range(5):
        send(one, b"%d" % number * 6)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["r.jsonl", "r.jsonl.1", "r.jsonl.2"]
    assert [(tmp_path / name).read_bytes()[:1] for name in names] == [b"4", b"3", b"2"]


def test_without_former_files_the_file_begins_anew(tmp_path: Path) -> None:
    one = file_sink(tmp_path / "r.jsonl", max_bytes=10, keep=0)
    for number in range(3):
        send(one, b"%d" % number * 6)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"222222\n"]


def test_line_that_was_cut_off_damages_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"cut')
    send(file_sink(path), b"{1}")
    assert path.read_bytes() == b'{"cut\n{1}\n'


def test_full_disk_leaves_no_part_of_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "r.jsonl", os.write
    one = file_sink(path)
    send(one, b"{1}")
    calls: list[int] = []

    def fill(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(fd, bytes(data)[:2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(DeliveryError, match="No space left on device"):
            send(one, b"{2}")
    assert path.read_bytes() == b"{1}\n"
    send(one, b"{2}")
    assert path.read_bytes() == b"{1}\n{2}\n"


def test_missing_folder_is_found_out_before_any_record(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="No such file"):
        run(file_sink(tmp_path / "none" / "r.jsonl").test())
