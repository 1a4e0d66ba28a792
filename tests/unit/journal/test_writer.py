"""The worker's end: what is stored stays, in order, whatever becomes of the process and of the disk."""

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


def test_what_was_stored_is_read_in_order(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 2, 77)
    assert journal.name == folder_name(2, 77) == "002-00000000000000000077"
    told = write(journal, 0, 3)
    journal.request(b'{"request_id":"r0"}')
    assert read_all(journal.folder, is_live=True)[0] == [*told, RequestDone(b'{"request_id":"r0"}')]
    journal.close()
    assert segment_numbers(journal.folder) == [0], "the segment made ahead of time is taken away"


def test_a_scope_is_told_once_a_segment(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL)
    told = []
    for number in range(200):
        until(lambda: journal._next is not None)
        told += write(journal, number, 1)
    journal.close()
    records, position, damage = read_all(journal.folder)
    assert records == told
    assert position.segment >= 3
    assert not damage
    for number in segment_numbers(journal.folder):
        content = (journal.folder / f"{number:08d}.seg").read_bytes()
        assert content.count(b"alpha") == 1


def test_a_journal_has_its_lock_before_it_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else control would take it for a dead worker's, and delete it."""
    seen: list[list[bool]] = []

    def create(*args: object) -> object:
        seen.append([reader.is_live() for reader in discover(tmp_path)])
        return segments.create(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "create", create)
    journal = JournalWriter(tmp_path, 0, 1)
    assert seen[0] == [], "it was there before it was whole"
    (reader,) = discover(tmp_path)
    assert reader.is_live()
    journal.close()
    assert not reader.is_live()


def test_two_writers_of_one_name_cannot_be(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1)
    told = write(journal, 0, 1)
    with pytest.raises(OSError, match=r"exists|not empty"):
        JournalWriter(tmp_path, 0, 1)
    assert read_all(journal.folder, is_live=True)[0] == told
    assert [path.name for path in tmp_path.iterdir()] == [journal.name]
    journal.close()


def intends(journal: JournalWriter, request_id: str) -> str | None:
    """Store an intent; why it could not be."""
    try:
        journal.intent(scope(), request_id, 1, 1.5, 10, 20)
    except JournalUnavailable as error:
        return str(error)
    return None


class Full:
    """A journal whose limit is one segment: the disk is full, as far as it can tell."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "KEEP_FREE", 512)
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        self.troubles: list[str | None] = []
        self.journal = JournalWriter(
            folder, 0, 1, segment_bytes=SMALL, max_bytes=SMALL, on_trouble=self.troubles.append
        )
        until(lambda: self.troubles)

    def make_room(self) -> None:
        self.journal._max_bytes = 10 * SMALL
        until(lambda: self.journal._next is not None)


def test_a_full_journal_refuses_intents_keeps_outcomes_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(tmp_path, monkeypatch)
    journal = full.journal
    assert full.troubles == [
        f"the journal {journal.folder} has reached its limit of {SMALL} bytes; control does not read it"
    ]
    told: list[object] = []
    number = 0
    while (refused := intends(journal, f"r{number}")) is None:
        told.append(Intent(1, f"r{number}", 1, 1.5, 10, 20))
        number += 1
    assert "has reached its limit" in refused
    assert number > 20, "until the segment is nearly full, nothing is refused"
    for one in range(number):
        journal.store(scope(), outcome(f"r{one}"))  # of attempts that were let in
        told.append(outcome(f"r{one}"))
    journal.request(b"{}")
    assert journal.dropped == 1
    assert journal._kept, "the outcomes did not all find room"
    full.make_room()
    until(lambda: intends(journal, "after") is None)
    told.append(Intent(1, "after", 1, 1.5, 10, 20))
    until(lambda: full.troubles[-1] is None)
    assert journal.trouble is None
    journal.close()
    assert read_all(journal.folder)[0] == told, "nothing is lost, doubled or out of order"


def test_what_is_kept_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 5)
    full = Full(tmp_path, monkeypatch)
    for number in range(500):
        full.journal.store(scope(), outcome(f"r{number}"))
    assert len(full.journal._kept) <= 6
    assert full.journal.dropped > 100
    full.journal.close()


def test_no_space_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: list[str | None] = []
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL, on_trouble=troubles.append)
    until(lambda: journal._next is not None)
    monkeypatch.setattr(module, "RETRY_S", 0.01)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "create", no_space)
    refused = None
    while refused is None or not troubles:  # it takes the other thread a moment
        refused = intends(journal, "r")
    assert "No space left on device" in str(intends(journal, "r"))
    assert troubles == [f"the journal {journal.folder} cannot grow: No space left on device"]
    monkeypatch.undo()
    until(lambda: troubles[-1] is None)
    journal.close()


def test_a_record_that_no_segment_can_hold_is_dropped_at_once(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, 1, segment_bytes=SMALL)
    until(lambda: journal._next is not None)
    journal.request(b"x" * SMALL)
    assert (journal.dropped, journal._number) == (1, 0)
    told = write(journal, 0, 1)
    assert read_all(journal.folder, is_live=True)[0] == told
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
    while journal._next is None:  # the other thread has not made it yet
        sleep(0.0001)
    write(journal, number, 1)
    print(number, flush=True)
"""


def test_what_was_stored_survives_the_death_of_the_process(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", _DYING, str(tmp_path), tests], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(300):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        said = process.stdout.read().decode().split()
        process.wait()  # its output ends before its lock does
    last = int(said[-1]) if said else 299
    (reader,) = discover(tmp_path)
    assert not reader.is_live()
    records, _, damage = read_all(reader.folder)
    assert not damage
    outcomes = [record for record in records if not isinstance(record, Intent)]
    assert len(outcomes) in (last + 1, last + 2)
    assert len(records) - 2 * len(outcomes) in (0, 1), "at most one intent is open"


def test_what_is_stored_is_kept_by_the_disk_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        sleeping = len(synced)
        sleep(0.2)
        assert len(synced) - sleeping <= 1, "what is on the disk is not written again"
        writer.intent(scope(), "the-last", 1, 1.5, 10, 20)
        before = len(synced)
        writer.close()
        assert len(synced) - before >= is_synced, "what was stored last is kept too"
        assert bool(synced) is is_synced
    assert synced[0] == "00000000.seg"
