"""The log writes complete lines of JSON and delays no request."""

import json
import os
import re
import threading
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec import Struct

from fakes.clock import PATIENCE_S
from pointsman.telemetry import log
from pointsman.telemetry.log import LogWriter


class Record(Struct, tag_field="event", tag="thing"):
    number: int
    text: str = "a\nb"


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_record_is_one_line_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LogWriter(file.fileno())
        for number in range(1000):
            writer.put(Record(number))
        writer.close()
    assert lines_of(path) == [{"event": "thing", "number": number, "text": "a\nb"} for number in range(1000)]
    assert writer.dropped == 0


@pytest.mark.parametrize(
    "text", ["plain", "Grüße, 模型 🙂", "\x9b31m\u202egnp\u2066\u200b\u2028\ufeff\U000e0041\x1b[2J"]
)
def test_terminal_controls_are_escaped_without_loss(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LogWriter(file.fileno())
        line = writer.put(Record(1, text))
        writer.close()
    assert path.read_bytes() == line + b"\n"
    assert json.loads(line)["text"] == text
    seen = text if text in ("plain", "Grüße, 模型 🙂") else ""
    assert seen in line.decode()
    assert not re.search(
        "[\x00-\x1f\x80-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]", line.decode()
    )


def test_records_are_written_without_closing(tmp_path: Path) -> None:
    reader, fd = os.pipe()
    writer = LogWriter(fd)
    writer.put(Record(1))
    assert json.loads(os.read(reader, 1000))["number"] == 1
    writer.close()
    os.close(fd)
    os.close(reader)


def test_records_beyond_the_buffer_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_PENDING", 3)
    monkeypatch.setattr(log, "INTERVAL_S", 60.0)
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LogWriter(file.fileno())
        for number in range(5):
            writer.put(Record(number))
        writer.close()
    assert writer.dropped == 2
    assert [line["event"] for line in lines_of(path)] == ["thing"] * 3 + ["log_dropped"]
    assert lines_of(path)[-1]["count"] == 2


def test_put_never_waits_for_a_full_pipe() -> None:
    reader, fd = os.pipe()
    writer = LogWriter(fd)
    record = Record(1, "x" * 1000)

    def put() -> None:
        for _ in range(2000):  # far more than a pipe holds
            writer.put(record)

    putting = threading.Thread(target=put, daemon=True)
    putting.start()
    putting.join(PATIENCE_S)
    assert not putting.is_alive(), "`put` waits for the pipe"
    received = 0
    while received < 2000:
        received += os.read(reader, 1 << 16).count(b"\n")
    writer.close()
    os.close(fd)
    os.close(reader)


def test_failed_write_is_reported_and_its_losses_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "INTERVAL_S", 60.0)
    errors: list[OSError] = []
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LogWriter(file.fileno(), on_error=errors.append)
        real, is_full = os.write, True

        def write(fd: int, data: bytes) -> int:
            if is_full:
                raise OSError(28, "No space left on device")
            return real(fd, data)

        monkeypatch.setattr("pointsman.telemetry.log.os.write", write)
        for number in range(3):
            writer.put(Record(number))
            writer._flush()
        is_full = False
        writer.put(Record(3))
        writer.close()
    assert len(errors) == 1, "the error is reported once, until writing works again"
    assert writer.dropped == 3
    assert [line.get("count", line.get("number")) for line in lines_of(path)] == [3, 3]


def test_truncated_line_does_not_corrupt_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "INTERVAL_S", 60.0)
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LogWriter(file.fileno())
        real, calls = os.write, 0

        def write(fd: int, data: bytes) -> int:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise OSError(28, "No space left on device")
            return real(fd, data[:5] if calls == 1 else data)

        monkeypatch.setattr("pointsman.telemetry.log.os.write", write)
        writer.put(Record(1))
        writer._flush()
        writer.put(Record(2))
        writer.close()
    first, *rest = path.read_bytes().splitlines()
    assert len(first) == 5
    assert len(rest) == 2  # the next record, and what was dropped


def test_rotated_log_continues_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def opened() -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    writer = LogWriter(opened(), open_file=opened)
    writer.put(Record(1))
    wait_for_text(path)
    path.rename(tmp_path / "log.1")
    writer.reopen()
    writer.put(Record(2))
    writer.close()
    assert [line["number"] for line in lines_of(tmp_path / "log.1")] == [1]
    assert [line["number"] for line in lines_of(path)] == [2]


def test_failed_reopen_keeps_the_old_file(tmp_path: Path) -> None:
    path, errors = tmp_path / "log", list[OSError]()

    def fail() -> int:
        raise PermissionError(13, "Permission denied")

    writer = LogWriter(os.open(path, os.O_WRONLY | os.O_CREAT), on_error=errors.append, open_file=fail)
    writer.reopen()
    writer.put(Record(1))
    writer.close()
    assert len(errors) == 1
    assert [line["number"] for line in lines_of(path)] == [1]
    assert writer.dropped == 0


def wait_for_text(path: Path) -> None:
    ends_at = monotonic() + PATIENCE_S
    while not path.read_text():
        assert monotonic() < ends_at
        sleep(0.005)
