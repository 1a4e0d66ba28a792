"""Measured processes: pinned to a core, with their CPU time."""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

GATEWAY_CORE = 0
LOAD_CORE = 1
_PROC = Path("/proc")
_CALM_S = 0.4


class Server:
    """A server process and its descendants on one core. It is ready when it listens on `ports`."""

    def __init__(
        self, name: str, command: Sequence[str], core: int, ports: Sequence[int], log: Path, **environment: str
    ) -> None:
        self.name = name
        self._ports = ports
        self._log = log
        self.patience_s = 20.0  # the longest time until it listens
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    def __enter__(self) -> Self:
        try:
            for port in self._ports:
                self._await(port)
        except BaseException:  # also an interrupt: no process may outlive the benchmark
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the process and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.name} does not listen on port {port}:\n{self._log.read_text()[-2000:]}")

    def cpu_s(self) -> dict[int, float]:
        """Return the CPU seconds, user and system, of the process and all its descendants."""
        family = _descendants(self.process.pid)
        return {pid: _cpu_s(pid) for pid in family}

    def resident_kib(self) -> dict[str, int]:
        """Return the resident memory of each process of the family in KiB, by the last words of its command."""
        found: dict[str, int] = {}
        for pid in _descendants(self.process.pid):
            with suppress(OSError, IndexError):
                words = _command(pid).split(b"\0")
                place = words.index(b"pointsman.runtime") if b"pointsman.runtime" in words else -1
                name = f"{words[place + 1].decode()} {pid}" if place >= 0 else f"supervisor {pid}"
                status = (_PROC / str(pid) / "status").read_text().partition("VmRSS:")[2]
                found[name] = int(status.split()[0])
        return found

    def settle(self, timeout_s: float = 60.0) -> None:
        """Wait until control has ingested the journals after the last answer. Returns when the whole family uses less
        than a twentieth of a core."""
        deadline = time.monotonic() + timeout_s
        before = sum(self.cpu_s().values())
        while time.monotonic() < deadline:
            time.sleep(_CALM_S)
            now = sum(self.cpu_s().values())
            if now - before < _CALM_S / 20:
                return
            before = now
        raise RuntimeError(f"{self.name} is still busy {timeout_s:g} s after its last request")


@dataclass(frozen=True)
class CpuUse:
    """CPU seconds in a span of time: of the serving processes, of control, and of the whole family."""

    worker_s: float
    control_s: float
    all_s: float


def cpu_used(before: dict[int, float], after: dict[int, float]) -> CpuUse:
    """Return the CPU use of a family between two readings. If the serving process is unknown, the busiest one
    counts."""
    used = {pid: total - before.get(pid, 0.0) for pid, total in after.items()}
    modules = {pid: _command(pid) for pid in used}
    workers = [used[pid] for pid, command in modules.items() if b"pointsman.runtime\0worker" in command]
    control = [used[pid] for pid, command in modules.items() if b"pointsman.runtime\0control" in command]
    return CpuUse(sum(workers) or max(used.values()), sum(control), sum(used.values()))


def _command(pid: int) -> bytes:
    return (_PROC / str(pid) / "cmdline").read_bytes()


def _cpu_s(pid: int) -> float:
    """Sum the scheduler's run time over all threads. It equals user plus system time in `/proc/PID/stat`, where the
    same figure is rounded to hundredths of a second."""
    total_ns = 0
    for schedstat in (_PROC / str(pid) / "task").glob("*/schedstat"):
        total_ns += int(schedstat.read_text().split()[0])
    return total_ns / 1e9


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # the process has ended
        parents[int(stat.parent.name)] = int(text.rsplit(")", 1)[1].split()[1])
    family = [root]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def core_busy_s(core: int) -> float:
    """Return the seconds a core has been busy since boot."""
    for line in (_PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"no core {core}")


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
