"""The supervisor restarts dead processes. Sockets and the lock of the data folder outlive all processes."""

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


def test_pause_before_a_restart_grows_until_a_process_is_stable(
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
    assert supervisor._restarts.keys() == {"worker 0"}, "each process has its own pause"
    until = supervisor._until_restart()
    assert until is not None
    assert until == pytest.approx(PAUSES_S[1])


def test_killed_worker_is_replaced_without_losing_a_connection(tmp_path: Path) -> None:
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
        assert gateway.ask() == second, "other processes continue"


def test_failing_worker_is_restarted_with_pauses(tmp_path: Path) -> None:
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


def test_gateway_ends_if_a_worker_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with supervised(tmp_path) as gateway:
        assert gateway.process.wait(PATIENCE_S) == 1
        assert "the worker 0 process could not start" in gateway.log
        assert not list(tmp_path.glob("pointsman-*")), "the folder of the link is deleted"


# Signals.


def test_sigterm_stops_workers_first(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        ended = [slot for event, slot, _ in gateway.events if event == "ended"]
        assert sorted(ended[:2]) == ["0", "1"]
        assert sorted(ended[2:]) == ["-", "admin"], "control ingests the workers' journals before it ends"
        assert not list(tmp_path.glob("pointsman-*"))
        os.close(lock_data_dir(tmp_path / "data"))


def test_sigterm_during_the_start_ends_the_gateway(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=3) as gateway:
        gateway.until(lambda: gateway.started("0"))
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        assert not gateway.started("0") or ("ended", "0", gateway.started("0")[0]) in gateway.events


def test_sighup_reaches_control_and_every_worker(tmp_path: Path) -> None:
    """Control reloads the configuration, and workers reopen the log."""
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGHUP)
        gateway.until(lambda: sorted(slot for event, slot, _ in gateway.events if event == "hangup") == ["-", "0", "1"])


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.process.kill()
        gateway.process.wait()
        gateway.until(
            lambda: sorted(slot for event, slot, _ in gateway.events if event == "ended") == ["-", "0", "1", "admin"]
        )


# Handover.


def test_handover_replaces_every_process_without_losing_a_connection(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        before = [gateway.started(slot)[0] for slot in ("0", "1", "-", "admin")]
        gateway.signal(signal.SIGUSR2)
        answers = []
        while gateway.log.count("listening on") < 2 or len([1 for event, *_ in gateway.events if event == "ended"]) < 4:
            answers.append(gateway.ask())
        after = [gateway.started(slot)[1] for slot in ("0", "1", "-", "admin")]
        assert set(answers) <= {*before, *after}
        assert gateway.process.poll() is None, "the supervisor's process stays the same"
        assert gateway.ask() in after
        assert {pid for event, _, pid in gateway.events if event == "ended"} == set(before)
        os.kill(after[0], signal.SIGKILL)  # the new supervisor restarts it
        gateway.until(lambda: len(gateway.started("0")) == 3)
        with pytest.raises(SupervisorError, match=rf"pid {gateway.process.pid}\)"):
            lock_data_dir(tmp_path / "data")


@pytest.mark.parametrize("slot", ["-", "1", "admin"])
def test_handover_starts_a_process_whose_restart_was_pending(slot: str, tmp_path: Path) -> None:
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
        sleep(max(0.0, planned_at + 1.9 - monotonic()))  # the planned restart must not happen too
        assert len(gateway.started(slot)) == 6


@pytest.mark.parametrize("after_s", [0.2, *(pytest.param(one, marks=pytest.mark.slow) for one in (0.5, 0.7, 0.9))])
def test_sigterm_during_a_handover_ends_the_gateway(tmp_path: Path, after_s: float) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: len(gateway.started("0")) == 2)
        sleep(after_s / 4)
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE_S) == 0
        ended = {pid for event, _, pid in gateway.events if event == "ended"}
        assert ended == {pid for event, _, pid in gateway.events if event in ("worker", "control", "admin")}


def test_handover_restarts_a_control_process_that_dies_meanwhile(tmp_path: Path) -> None:
    """New workers wait for control, so the supervisor must restart it while it waits for them."""
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "slow-workers").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: any(event == "starting" for event, _, _ in gateway.events))
        first, second = gateway.started("-")
        os.kill(second, signal.SIGKILL)
        gateway.until(lambda: len(gateway.started("-")) == 3)
        assert len(gateway.started("0")) == 1, "no new worker serves yet"
        (tmp_path / "slow-workers").unlink()
        gateway.until(lambda: len(gateway.started("0")) == len(gateway.started("1")) == 2)
        assert first != second


def test_handover_without_control_starts_it_before_the_workers(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as gateway:
        gateway.until(gateway.listening)
        for count in (1, 2, 3):  # so that its restart is pending at the handover
            gateway.until(lambda: len(gateway.started("-")) == count)  # noqa: B023 -- called at once
            os.kill(gateway.started("-")[-1], signal.SIGKILL)
        (tmp_path / "slow-workers").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: any(event == "starting" for event, _, _ in gateway.events))
        gateway.until(lambda: len(gateway.started("-")) == 4)
        assert len(gateway.started("0")) == 1, "no new worker serves yet"
        (tmp_path / "slow-workers").unlink()
        gateway.until(lambda: len(gateway.started("0")) == len(gateway.started("1")) == 2)


def test_process_that_starts_during_a_handover_can_become_ready(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "slow").touch()
        os.kill(gateway.ask(), signal.SIGKILL)
        gateway.until(lambda: any(event == "starting" for event, _, _ in gateway.events))
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "handing over" in gateway.log)
        (tmp_path / "slow").unlink()
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        gateway.until(lambda: gateway.ask() == gateway.started("0")[-1])
        assert "Traceback" not in gateway.log


def test_handover_keeps_old_workers_if_new_workers_cannot_start(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (first,) = gateway.started("0")
        (tmp_path / "broken").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "processes not replaced yet continue as before" in gateway.log)
        gateway.until(lambda: gateway.log.count("listening on") == 2)
        sleep(0.3)
        assert gateway.ask() == first
        assert len(gateway.started("0")) == 2, "the new worker is not retried"


def test_failed_rehearsal_prevents_the_handover(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        (tmp_path / "refusing").touch()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: "cannot hand over; the running version continues:\nI refuse" in gateway.log)
        assert gateway.ask() == gateway.started("0")[0]
        (tmp_path / "refusing").unlink()
        gateway.signal(signal.SIGUSR2)
        gateway.until(lambda: len(gateway.started("0")) == 2)


def test_sigterm_during_the_rehearsal_ends_the_gateway(tmp_path: Path) -> None:
    with supervised(tmp_path) as gateway:
        gateway.until(gateway.listening)
        os.mkfifo(tmp_path / "hanging")
        gateway.signal(signal.SIGUSR2)
        fd = os.open(tmp_path / "hanging", os.O_WRONLY)  # returns when the rehearsal opens it
        gateway.signal(signal.SIGTERM)
        os.close(fd)
        assert gateway.process.wait(PATIENCE_S) == 0
        assert "handing over" not in gateway.log


def test_unreadable_handover_state_is_an_error(tmp_path: Path) -> None:
    one = settings(tmp_path)
    with pytest.raises(SupervisorError, match="cannot take over from the running version"):
        check_handover('{"sockets": 1}', one)


def test_handover_to_a_missing_program_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiled(TEXT)
    supervisor = Supervisor(settings(tmp_path), found.snapshot, tmp_path / "snapshot", None, ["gone"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor._sockets = open_sockets(settings(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    supervisor._hand_over()
    sockets = supervisor._sockets
    for fd in (*sockets.listen[0], *sockets.console, sockets.link, sockets.lock):
        os.close(fd)


def test_connections_avoid_a_worker_that_cannot_start(tmp_path: Path) -> None:
    """Other workers serve until it can start. Then it gets connections again."""
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


def test_connections_are_refused_if_no_worker_can_start(tmp_path: Path) -> None:
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
