"""Processes that die are replaced, sockets and the lock of the data folder outlive them all."""

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S, Clock
from fakes.configuration import OPEN, compiled
from fakes.processes import freeze
from fakes.supervised import supervised
from pointsman.config.settings import Settings
from pointsman.runtime import supervisor as supervisor_module
from pointsman.runtime.children import Child
from pointsman.runtime.sockets import SupervisorError, lock_data_dir, open_sockets
from pointsman.runtime.supervisor import (
    PAUSES_S,
    STABLE_S,
    Supervisor,
    check_handover,
)

TEXT = f"""
providers: {{openai: env.OPENAI_API_KEY}}
server: {{listen: '127.0.0.1:0'}}
console: {{listen: '127.0.0.1:0'}}
{OPEN}
"""


def settings(folder: Path, workers: int = 1) -> Settings:
    return replace(compiled(TEXT).settings, data_dir=folder / "data", workers=workers)


# Restarts.


def test_the_pause_before_a_restart_grows_and_starts_again_after_a_stable_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(supervisor_module, "time", SimpleNamespace(monotonic=clock))
    found = compiled(TEXT)
    supervisor = Supervisor(settings(tmp_path), found.snapshot, tmp_path / "snapshot", None, [])

    def pause(lived_s: float) -> float:
        child = Child(name="worker 0", slot=0, pid=1, life=-1, ready=None, started_at=clock.now - lived_s)
        supervisor._plan_restart(child, 9)
        return supervisor._restarts["worker 0"][0] - clock.now

    assert [pause(0.0) for _ in range(9)] == pytest.approx([*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]])
    assert pause(STABLE_S + 1) == pytest.approx(PAUSES_S[0])
    assert pause(0.0) == pytest.approx(PAUSES_S[1])
    assert supervisor._restarts.keys() == {"worker 0"}, "each process by itself"
    until = supervisor._until_restart()
    assert until is not None
    assert until == pytest.approx(PAUSES_S[1])


def test_a_worker_that_is_killed_is_replaced_and_no_connection_is_lost(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        first = gateway.ask()
        assert gateway.started("0") == [first]
        freeze(first)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as waiting:
            os.kill(first, signal.SIGKILL)
            second = int(waiting.recv(100))
        assert gateway.started("0") == [first, second]
        assert f"worker 0 (pid {first}) was killed by SIGKILL; restarting it in 0 s" in gateway.log
        (control,) = gateway.started("-")
        os.kill(control, signal.SIGKILL)
        gateway.until(lambda: len(gateway.started("-")) == 2)
        assert gateway.ask() == second, "the others go on"


def test_a_worker_that_cannot_live_is_not_started_in_a_hot_loop(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "broken").touch()
        killed_at = monotonic()
        os.kill(gateway.ask(), signal.SIGKILL)
        gateway.until(lambda: len(gateway.started("0")) == 4)
        assert monotonic() - killed_at >= sum(PAUSES_S[:3])
        (tmp_path / "broken").unlink()
        gateway.until(lambda: "worker 0 is serving again" in gateway.log)
        assert gateway.ask() == gateway.started("0")[-1]


def test_a_gateway_whose_worker_cannot_start_ends(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with supervised(tmp_path) as gateway:
        assert gateway.process.wait(PATIENCE_S) == 1
        assert "the worker 0 process could not start" in gateway.log
        assert not list(tmp_path.glob("pointsman-*")), "the folder of the link is gone"


# Signals.


def test_the_end(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        ended = [slot for what, slot, _ in gateway.said if what == "ended"]
        assert sorted(ended[:2]) == ["0", "1"]
        assert sorted(ended[2:]) == ["-", "admin"], "control reads what workers have written before it ends"
        assert not list(tmp_path.glob("pointsman-*"))
        os.close(lock_data_dir(tmp_path / "data"))


def test_a_gateway_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=3) as gateway:
        gateway.until(lambda: gateway.started("0"))
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        assert not gateway.started("0") or ("ended", "0", gateway.started("0")[0]) in gateway.said


def test_a_hangup_reaches_control_and_every_worker(tmp_path: Path) -> None:
    """Control reads the configuration again; workers reopen the log."""
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGHUP)
        gateway.until(lambda: sorted(slot for what, slot, _ in gateway.said if what == "hangup") == ["-", "0", "1"])


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.process.kill()
        gateway.process.wait()
        gateway.until(
            lambda: sorted(slot for what, slot, _ in gateway.said if what == "ended") == ["-", "0", "1", "admin"]
        )


# Handing over.


def test_a_hand_over_replaces_every_process_and_loses_no_connection(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        before = [gateway.started(slot)[0] for slot in ("0", "1", "-", "admin")]
        gateway.signal(signal.SIGUSR2)
        answers = []
        while gateway.log.count("listening on") < 2 or len([1 for what, *_ in gateway.said if what == "ended"]) < 4:
            answers.append(gateway.ask())
        after = [gateway.started(slot)[1] for slot in ("0", "1", "-", "admin")]
        assert set(answers) <= {*before, *after}
        assert gateway.process.poll() is None, "it is the same process"
        assert gateway.ask() in after
        assert {pid for what, _, pid in gateway.said if what == "ended"} == set(before)
        os.kill(after[0], signal.SIGKILL)  # and it keeps them as its predecessor did
        gateway.until(lambda: len(gateway.started("0")) == 3)
        with pytest.raises(SupervisorError, match=rf"pid {gateway.process.pid}\)"):
            lock_data_dir(tmp_path / "data")


@pytest.mark.parametrize("slot", ["-", "1", "admin"])
def test_a_hand_over_starts_what_was_waiting_to_be_started_again(slot: str, tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        for count in range(1, 6):
            gateway.until(lambda: len(gateway.started(slot)) == count)  # noqa: B023 -- called at once
            os.kill(gateway.started(slot)[-1], signal.SIGKILL)
        gateway.until(lambda: "restarting it in 1.6 s" in gateway.log)
        planned_at = monotonic()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        gateway.until(lambda: len(gateway.started(slot)) == 6)
        alive = {gateway.started("0")[-1], gateway.started("1")[-1]}
        gateway.until(lambda: {gateway.ask() for _ in range(20)} == alive)
        sleep(max(0.0, planned_at + 1.9 - monotonic()))  # what was planned before is not done as well
        assert len(gateway.started(slot)) == 6


@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.7, 0.9])
def test_a_gateway_that_is_told_to_end_while_it_hands_over_ends(tmp_path: Path, after_s: float) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: len(gateway.started("0")) == 2)
        sleep(after_s / 4)
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        gone = {pid for what, _, pid in gateway.said if what == "ended"}
        assert gone == {pid for what, _, pid in gateway.said if what in ("worker", "control", "admin")}


def test_a_control_that_dies_during_a_hand_over_is_started_again_before_it_is_over(tmp_path: Path) -> None:
    """New workers wait for control, so nobody may wait for them first."""
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "slow-workers").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: any(what == "starting" for what, _, _ in gateway.said))
        first, second = gateway.started("-")
        os.kill(second, signal.SIGKILL)
        gateway.until(lambda: len(gateway.started("-")) == 3)
        assert len(gateway.started("0")) == 1, "no new worker serves yet"
        (tmp_path / "slow-workers").unlink()
        gateway.until(lambda: len(gateway.started("0")) == len(gateway.started("1")) == 2)
        assert first != second


def test_a_hand_over_without_control_starts_it_before_the_workers(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        for count in (1, 2, 3):  # so that it is waiting for its next start when the hand-over comes
            gateway.until(lambda: len(gateway.started("-")) == count)  # noqa: B023 -- called at once
            os.kill(gateway.started("-")[-1], signal.SIGKILL)
        (tmp_path / "slow-workers").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: any(what == "starting" for what, _, _ in gateway.said))
        gateway.until(lambda: len(gateway.started("-")) == 4)
        assert len(gateway.started("0")) == 1, "no new worker serves yet"
        (tmp_path / "slow-workers").unlink()
        gateway.until(lambda: len(gateway.started("0")) == len(gateway.started("1")) == 2)


def test_a_process_that_is_starting_while_a_hand_over_begins_is_heard(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "slow").touch()
        os.kill(gateway.ask(), signal.SIGKILL)
        gateway.until(lambda: any(what == "starting" for what, _, _ in gateway.said))
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "handing over" in gateway.log)
        (tmp_path / "slow").unlink()
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        gateway.until(lambda: gateway.ask() == gateway.started("0")[-1])
        assert "Traceback" not in gateway.log


def test_a_hand_over_to_workers_that_cannot_start_keeps_those_there_are(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (first,) = gateway.started("0")
        (tmp_path / "broken").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "processes not replaced yet continue as before" in gateway.log)
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        sleep(0.3)
        assert gateway.ask() == first
        assert len(gateway.started("0")) == 2, "it is not tried again and again"


def test_a_hand_over_to_what_could_not_start_is_refused(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "refusing").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "cannot hand over; the running version continues:\nI refuse" in gateway.log)
        assert gateway.ask() == gateway.started("0")[0]
        (tmp_path / "refusing").unlink()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: len(gateway.started("0")) == 2)


def test_a_gateway_that_is_told_to_end_while_it_asks_whether_it_could_hand_over_ends(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        os.mkfifo(tmp_path / "hanging")
        gateway.signal(signal.SIGUSR2)
        fd = os.open(tmp_path / "hanging", os.O_WRONLY)  # returns when it is read
        gateway.signal(signal.SIGTERM)
        os.close(fd)
        assert gateway.process.wait(PATIENCE_S) == 0
        assert "handing over" not in gateway.log


def test_what_is_left_by_another_version_may_not_be_understood(tmp_path: Path) -> None:
    one = settings(tmp_path)
    with pytest.raises(SupervisorError, match="cannot take over from the running version"):
        check_handover('{"sockets": 1}', one)


def test_a_hand_over_to_nothing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiled(TEXT)
    supervisor = Supervisor(settings(tmp_path), found.snapshot, tmp_path / "snapshot", None, ["gone"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor._sockets = open_sockets(settings(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    supervisor._hand_over()
    sockets = supervisor._sockets
    for fd in (*sockets.listen[0], *sockets.console, sockets.link, sockets.lock):
        os.close(fd)


def test_no_connection_waits_for_a_worker_that_cannot_start(tmp_path: Path) -> None:
    """The others serve; and it gets its share again once it can start."""
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        (victim,) = gateway.started("0")
        (other,) = gateway.started("1")
        (tmp_path / "broken").touch()
        os.kill(victim, signal.SIGKILL)
        gateway.until(lambda: "failed to start 2 times" in gateway.log)
        assert {gateway.ask() for _ in range(40)} == {other}
        (tmp_path / "broken").unlink()
        gateway.until(lambda: "worker 0 is serving again" in gateway.log)
        gateway.until(lambda: gateway.ask() == gateway.started("0")[-1])
        gateway.until(lambda: gateway.ask() == other)


def test_where_no_worker_can_start_connections_are_refused(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "broken").touch()
        os.kill(gateway.ask(), signal.SIGKILL)
        gateway.until(lambda: "failed to start 2 times" in gateway.log)
        with pytest.raises(ConnectionRefusedError):
            gateway.ask()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        with pytest.raises(ConnectionRefusedError):
            gateway.ask()
        (tmp_path / "broken").unlink()
        ends_at = monotonic() + PATIENCE_S
        while True:
            assert monotonic() < ends_at, gateway.log
            try:
                assert gateway.ask() == gateway.started("0")[-1]
            except ConnectionRefusedError:
                sleep(0.05)
            else:
                break
