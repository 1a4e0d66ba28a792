"""The writer keeps all stored records in order, even if the process dies or the disk is full."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from fakes.clock import PATIENCE_S
from fakes.journal import SMALL, outcome, read_all, scope, write
from pointsman.journal import segments
from pointsman.journal import writer as module
from pointsman.journal.reader import discover
from pointsman.journal.records import Intent, RequestDone
from pointsman.journal.segments import segment_numbers
from pointsman.journal.writer import JournalUnavailable, JournalWriter, folder_name


def until(condition: Callable[[], object]) -> None:
    ends_at = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < ends_at
        sleep(0.001)


def test_records_are_read_in_the_order_of_writing(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 2, 77)
    assert journal.name == folder_name(2, 77) == "002-00000000000000000077"
    written = write(journal, 0, 3)
    journal.request(b'{"request_id":"r0"}')
    assert read_all(journal.folder, is_live=True)[0] == [*written, RequestDone(b'{"request_id":"r0"}')]
    journal.close()
    assert segment_numbers(journal.folder) == [0], "the unused next segment is deleted"


def test_scope_is_written_once_per_segment(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL)
    written = []
    for number in range(200):
        until(lambda: journal._next is not None)
        written += write(journal, number, 1)
    journal.close()
    records, position, damage = read_all(journal.folder)
    assert records == written
    assert position.segment >= 3
    assert not damage
    for number in segment_numbers(journal.folder):
        content = (journal.folder / f"{number:08d}.seg").read_bytes()
        assert content.count(b"alpha") == 1


def test_journal_is_locked_before_it_can_be_discovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise control would take it for a dead worker's journal, and delete it."""
    seen: list[list[bool]] = []

    def create(*args: object) -> object:
        seen.append([reader.is_live() for reader in discover(tmp_path)])
        return segments.create(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "create", create)
    journal = JournalWriter(tmp_path, 0, 1)
    assert seen[0] == [], "it is visible before it is complete"
    (reader,) = discover(tmp_path)
    assert reader.is_live()
    journal.close()
    assert not reader.is_live()


def test_second_writer_of_a_journal_is_rejected(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1)
    written = write(journal, 0, 1)
    with pytest.raises(OSError, match=r"exists|not empty"):
        JournalWriter(tmp_path, 0, 1)
    assert read_all(journal.folder, is_live=True)[0] == written
    assert [path.name for path in tmp_path.iterdir()] == [journal.name]
    journal.close()


def try_intent(journal: JournalWriter, request_id: str) -> str | None:
    """Store an intent. Return the reason if that fails."""
    try:
        journal.intent(scope(), request_id, 1, 1.5, 10, 20)
    except JournalUnavailable as error:
        return str(error)
    return None


class Full:
    """A journal that has reached its limit of one segment, as if the disk were full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "RESERVED_BYTES", 512)
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        self.problems: list[str | None] = []
        self.journal = JournalWriter(
            folder, 0, 1, segment_bytes=SMALL, max_bytes=SMALL, on_problem=self.problems.append
        )
        until(lambda: self.problems)

    def raise_limit(self) -> None:
        self.journal._max_bytes = 10 * SMALL
        until(lambda: self.journal._next is not None)


def test_full_journal_rejects_intents_keeps_outcomes_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(tmp_path, monkeypatch)
    journal = full.journal
    (problem,) = full.problems
    assert problem is not None
    assert problem.startswith(f"the journal {journal.folder} has reached its limit of {SMALL} bytes")
    written: list[object] = []
    number = 0
    while (reason := try_intent(journal, f"r{number}")) is None:
        written.append(Intent(1, f"r{number}", 1, 1.5, 10, 20))
        number += 1
    assert "has reached its limit" in reason
    assert number > 20, "it accepts intents until the segment is nearly full"
    for one in range(number):
        journal.store(scope(), outcome(f"r{one}"))  # of the attempts above
        written.append(outcome(f"r{one}"))
    journal.request(b"{}")
    assert journal.dropped == 1
    assert journal._pending, "some outcomes wait in memory"
    full.raise_limit()
    until(lambda: try_intent(journal, "after") is None)
    written.append(Intent(1, "after", 1, 1.5, 10, 20))
    until(lambda: full.problems[-1] is None)
    assert journal.problem is None
    journal.close()
    assert read_all(journal.folder)[0] == written, "no record is lost, duplicated or out of order"


def test_number_of_records_in_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 5)
    full = Full(tmp_path, monkeypatch)
    for number in range(500):
        full.journal.store(scope(), outcome(f"r{number}"))
    assert len(full.journal._pending) <= 6
    assert full.journal.dropped > 100
    full.journal.close()


def test_full_disk_is_reported_until_it_has_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str | None] = []
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL, on_problem=problems.append)
    until(lambda: journal._next is not None)
    monkeypatch.setattr(module, "RETRY_S", 0.01)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "create", no_space)
    reason = None
    while reason is None or not problems:  # the other thread needs a moment
        reason = try_intent(journal, "r")
    assert "No space left on device" in str(try_intent(journal, "r"))
    assert len(problems) == 1
    assert problems[0] is not None
    assert problems[0].startswith(f"the journal {journal.folder} cannot grow: No space left on device. Correct this")
    monkeypatch.undo()
    until(lambda: problems[-1] is None)
    journal.close()


def test_record_larger_than_a_segment_is_dropped(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL)
    until(lambda: journal._next is not None)
    journal.request(b"x" * SMALL)
    assert (journal.dropped, journal._number) == (1, 0)
    written = write(journal, 0, 1)
    assert read_all(journal.folder, is_live=True)[0] == written
    journal.close()


_DYING = """
import sys
from pathlib import Path
from time import sleep
sys.path.insert(0, sys.argv[2])
from fakes.journal import write
from pointsman.journal.writer import JournalWriter
journal = JournalWriter(Path(sys.argv[1]), 0, 1, segment_bytes=16384)
for number in range(100_000):
    while journal._next is None:  # the other thread has not created it yet
        sleep(0.0001)
    write(journal, number, 1)
    print(number, flush=True)
"""


def test_stored_records_survive_the_death_of_the_process(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", _DYING, str(tmp_path), tests], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(300):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        printed = process.stdout.read().decode().split()
        process.wait()  # its output ends before its lock does
    last = int(printed[-1]) if printed else 299
    (reader,) = discover(tmp_path)
    assert not reader.is_live()
    records, _, damage = read_all(reader.folder)
    assert not damage
    outcomes = [record for record in records if not isinstance(record, Intent)]
    assert len(outcomes) in (last + 1, last + 2)
    assert len(records) - 2 * len(outcomes) in (0, 1), "at most one intent is open"


def test_records_are_synced_to_the_disk_if_so_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    for is_synced in (False, True):
        writer = JournalWriter(tmp_path, int(is_synced), 1, segment_bytes=1 << 16, is_synced=is_synced)
        for number in range(600):
            writer.intent(scope(), f"request-{number:06d}", 1, 1.5, 10, 20)
        ends_at = monotonic() + PATIENCE_S
        while is_synced and monotonic() < ends_at and not synced:
            sleep(0.01)
        idle = len(synced)
        sleep(0.2)
        assert len(synced) - idle <= 1, "synced records are not synced again"
        writer.intent(scope(), "the-last", 1, 1.5, 10, 20)
        before = len(synced)
        writer.close()
        assert len(synced) - before >= is_synced, "closing syncs the last record"
        assert bool(synced) is is_synced
    assert synced[0] == "00000000.seg"


def test_failed_sync_is_reported_once_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str | None] = []
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL, is_synced=True, on_problem=problems.append)
    monkeypatch.setattr("pointsman.journal.writer.RETRY_S", 0.0)
    failures = iter([OSError(5, "Input/output error")] * 3)

    def sync() -> None:
        for failure in failures:
            raise failure

    monkeypatch.setattr(journal, "sync", sync)
    until(lambda: None in problems)
    assert len(problems) == 2
    assert problems[0] is not None
    assert "cannot be synced to the disk" in problems[0]
    monkeypatch.undo()
    journal.close()
