"""Supervises the processes of a gateway: workers serve requests, control does the accounting, and admin serves the
console and the admin API.

The supervisor is simple and synchronous, so that little can fail in it. It holds the listening sockets, one for each
worker, so that replacing a worker loses no connection. It also holds the lock of the data folder.

SIGTERM and SIGINT drain, and a second signal ends the drain early. SIGHUP reloads the configuration and reopens the
log. SIGUSR2 replaces all processes, this one included, by the installed version, without losing a connection.
"""

import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from pointsman.config.settings import Settings
from pointsman.domain.origin import Secret
from pointsman.domain.snapshots import Snapshot
from pointsman.runtime.children import ADMIN, CONTROL, PATIENCE_S, Child, Starter
from pointsman.runtime.listeners import bind_same_address, port_of, start_listening
from pointsman.runtime.sockets import Sockets, SupervisorError, open_sockets
from pointsman.transport.room import raise_limit

START_S = 60.0  # the longest time until a child is ready
PAUSES_S = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)  # before each restart of a dead child
STABLE_S = 10.0  # a child that has lived this long has recovered
FAILED_STARTS = 2  # after this many failed starts, a worker's sockets are closed so that no connections wait
CONTROL_DRAIN_S = 15.0
RESTART_PATIENCE_S = 3.0  # shorter than `PATIENCE_S`, because the dead worker's connections wait
HANDOVER = "POINTSMAN_HANDOVER"
REHEARSAL = "POINTSMAN_REHEARSAL"  # has the value of HANDOVER, for a process that only checks whether it can take over

_logger = logging.getLogger("pointsman")


class Handover(Struct):
    """The state that a supervisor passes to its successor."""

    sockets: Sockets
    children: list[Child]


class Supervisor:
    """The supervisor. `command` starts its successor at a handover."""

    def __init__(
        self, settings: Settings, snapshot: Snapshot, snapshot_path: Path, config: Path | None, command: Sequence[str]
    ) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._starter = Starter(settings, snapshot_path, config)
        self._command = command
        self._children: dict[int, Child] = {}  # by pid
        self._restarts: dict[str, tuple[float, int]] = {}  # by name: time of the next start or 0, number of restarts
        self._failed: dict[int, int] = {}  # by slot: number of consecutive failed starts
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._sockets = Sockets([], [], -1, "", -1)

    def run(self, welcome: str = "") -> int:
        """Serve until a signal ends it. Return the exit code."""
        raise_limit()  # for all children
        handover = os.environ.pop(HANDOVER, None)
        if handover is None:
            self._sockets = open_sockets(self._settings)
        else:
            self._adopt(msgspec.json.decode(handover, type=Handover))
        self._catch_signals()
        try:
            if handover is None:
                self._start_all()
            else:
                self._replace_all()
            self._announce(welcome)
            return self._watch()
        except SupervisorError as error:
            _logger.error("%s", error)  # noqa: TRY400 -- a traceback would not help
            self._stop(list(self._children.values()), 5.0)
            return 1
        finally:
            shutil.rmtree(Path(self._sockets.link_path).parent, ignore_errors=True)
            os.close(self._sockets.lock)

    # Start.

    def _start_all(self) -> None:
        for slot in range(self._settings.workers):
            self._start(_worker(slot))
        self._start(CONTROL, is_first=True)
        self._start(ADMIN)
        self._wait_until_ready(list(self._children.values()))

    def _start(self, name: str, patience_s: float = PATIENCE_S, *, is_first: bool = False) -> Child:
        slot = None if name in (CONTROL, ADMIN) else int(name.rpartition(" ")[2])
        child = self._starter.start(name, slot, self._sockets, patience_s=patience_s, is_first=is_first)
        self._children[child.pid] = child
        assert child.ready is not None
        self._selector.register(child.ready, selectors.EVENT_READ, child)
        return child

    def _wait_until_ready(self, children: Sequence[Child]) -> None:
        """Wait until all are ready. Raises `SupervisorError` if one dies or takes too long."""
        ends_at = time.monotonic() + START_S
        while waiting := [child for child in children if not child.is_ready]:
            self._handle_events(0.5)
            for child in waiting:
                if child.pid not in self._children:
                    raise SupervisorError(f"the {child.name} process could not start; see its log above")
            self._restart_due((CONTROL,))  # starting workers wait for control
            if self._stop_signals():
                return
            if time.monotonic() > ends_at:
                raise SupervisorError(f"{waiting[0].name} was not ready within {START_S:.0f} s; see its log above")

    # Supervision.

    def _watch(self) -> int:
        while True:
            self._handle_events(0.0 if self._signals else self._until_restart())
            signals, self._signals = self._signals, []
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                return self._drain()
            if signal.SIGHUP in signals:
                self._reload()
            if signal.SIGUSR2 in signals:
                self._hand_over()
            self._restart_due()

    def _handle_events(self, timeout_s: float | None) -> None:
        """Wait for events, and handle them."""
        for key, _ in self._selector.select(timeout_s):
            child = key.data
            if child is None:
                os.read(key.fd, 512)  # the wake-up of a signal
            else:
                if os.read(key.fd, 1):  # at the end of the pipe the child has died, and SIGCHLD follows
                    self._on_ready(child)
                self._selector.unregister(key.fd)
                os.close(key.fd)
                child.ready = None
        self._reap()

    def _on_ready(self, child: Child) -> None:
        child.is_ready = True
        _logger.debug("%s is ready", child.name)
        if child.slot is not None and self._failed.pop(child.slot, 0) >= FAILED_STARTS:
            _logger.warning("%s is serving again", child.name)
        if child.slot is not None and child.slot < len(self._sockets.listen):
            # After failed starts, its sockets are bound but do not listen.
            start_listening(self._sockets.listen[child.slot])

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            os.close(child.life)
            if child.ready is not None:
                self._selector.unregister(child.ready)
                os.close(child.ready)
            if not child.is_stopping:
                self._plan_restart(child, status)
                self._close_if_failing(child)

    def _plan_restart(self, child: Child, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        count = self._restarts.get(child.name, (0.0, 0))[1]
        if time.monotonic() - child.started_at > STABLE_S:
            count = 0
        pause_s = PAUSES_S[min(count, len(PAUSES_S) - 1)]
        _logger.error("%s (pid %d) %s; restarting it in %g s", child.name, child.pid, cause, pause_s)
        self._restarts[child.name] = (time.monotonic() + pause_s, count + 1)

    def _close_if_failing(self, child: Child) -> None:
        """Close the sockets of a worker that cannot start, because connections would wait there. Until it can start,
        the kernel passes its connections to other workers, or refuses them if there are none."""
        slot = child.slot
        if slot is None or child.is_ready or slot >= len(self._sockets.listen):
            return
        failed = self._failed[slot] = self._failed.get(slot, 0) + 1
        is_served = any(other.slot == slot and other.is_ready for other in self._children.values())
        if failed != FAILED_STARTS or is_served:  # at a handover the old worker still serves
            return
        fds = self._sockets.listen[slot]
        try:
            self._sockets.listen[slot] = bind_same_address(fds)
        except OSError as error:
            _logger.error(  # noqa: TRY400
                "%s cannot start, and its socket cannot be replaced, so connections wait for it: %s",
                child.name,
                error.strerror,
            )
            return
        for fd in fds:
            os.close(fd)
        _logger.error(
            "%s failed to start %d times and gets no connections until it starts; correct the errors logged above",
            child.name,
            failed,
        )

    def _until_restart(self) -> float | None:
        """Return the seconds until the next restart, or `None` if none is pending."""
        pending = [due_at for due_at, _ in self._restarts.values() if due_at]
        return max(0.0, min(pending) - time.monotonic()) if pending else None

    def _restart_due(self, names: Collection[str] | None = None) -> None:
        """Restart the children whose restart is due: those in `names`, or all."""
        for name, (due_at, count) in list(self._restarts.items()):
            if due_at and time.monotonic() >= due_at and (names is None or name in names):
                self._restarts[name] = (0.0, count)
                self._start(name, RESTART_PATIENCE_S)

    def _reload(self) -> None:
        """Notify control to reload the configuration, and workers to reopen the log."""
        for child in self._children.values():
            # The signal would kill a starting worker, which opens the new file anyway. A draining worker may be of a
            # version that does not handle the signal.
            if child.name == CONTROL or (child.slot is not None and child.is_ready and not child.is_stopping):
                os.kill(child.pid, signal.SIGHUP)

    # Shutdown.

    def _drain(self) -> int:
        _logger.info("draining: requests in progress have up to %g s to finish", self._settings.drain_s)
        workers = [child for child in self._children.values() if child.slot is not None]
        self._stop(workers, self._settings.drain_s + 10)
        self._stop(list(self._children.values()), CONTROL_DRAIN_S)
        _logger.info("stopped")
        return 0

    def _stop(self, children: Sequence[Child], within_s: float) -> None:
        """Send SIGTERM. Once another stop signal arrives, repeat it until the children end: a busy child that has not
        seen the first one yet takes two for one. Send SIGKILL after `within_s`."""
        for child in children:
            child.is_stopping = True
            if child.pid in self._children:  # else it has died and been reaped
                os.kill(child.pid, signal.SIGTERM)
        ends_at = time.monotonic() + within_s
        while remaining := [child for child in children if child.pid in self._children]:
            self._handle_events(0.2)
            if self._stop_signals():
                for child in remaining:
                    if child.pid in self._children:
                        os.kill(child.pid, signal.SIGTERM)
            if time.monotonic() > ends_at:
                _logger.error("%s did not stop in time; killing it", remaining[0].name)
                for child in remaining:
                    if child.pid in self._children:
                        os.kill(child.pid, signal.SIGKILL)
                ends_at += 5

    def _stop_signals(self) -> int:
        """Return the number of SIGTERM and SIGINT since signals were last handled."""
        return sum(number in (signal.SIGTERM, signal.SIGINT) for number in self._signals)

    # Handover.

    def _hand_over(self) -> None:
        """Replace this process by the installed version. Returns only on failure."""
        sockets = self._sockets
        state = msgspec.json.encode(Handover(sockets, list(self._children.values()))).decode()
        try:
            problem = self._rehearse(state)
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if problem is not None:
            _logger.error("cannot hand over; the running version continues:\n%s", problem)
            return
        if self._stop_signals():
            return
        _logger.info("handing over to a new supervisor")
        for child in self._children.values():
            os.set_inheritable(child.life, True)
            if child.ready is not None:
                os.set_inheritable(child.ready, True)
        listening = [fd for fds in sockets.listen for fd in fds]
        for fd in (*listening, *sockets.console, sockets.link, sockets.lock):
            os.set_inheritable(fd, True)
        try:
            os.execve(sys.executable, list(self._command), {**os.environ, HANDOVER: state})  # noqa: S606
        except OSError as error:
            _logger.error("cannot hand over; the running version continues: %s", error)  # noqa: TRY400

    def _rehearse(self, state: str) -> str | None:
        """Let the installed version check whether it can take over `state`. Return the reason if it cannot. Raises
        `OSError` and `TimeoutExpired`."""
        result = subprocess.run(  # noqa: S603 -- the same command as the handover
            self._command,
            executable=sys.executable,
            env={**os.environ, REHEARSAL: state},
            pass_fds=[self._sockets.lock],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=START_S,
            check=False,
        )
        return None if result.returncode == 0 else result.stderr.strip() or f"exit code {result.returncode}"

    def _adopt(self, handover: Handover) -> None:
        self._sockets = handover.sockets
        for child in handover.children:
            self._children[child.pid] = child
            os.set_inheritable(child.life, False)
            if child.ready is not None:  # it is still starting
                os.set_inheritable(child.ready, False)
                self._selector.register(child.ready, selectors.EVENT_READ, child)

    def _replace_all(self) -> None:
        """Replace control first, because only one may do the accounting; the old workers continue with their leases.
        Replace admin next. Then start new workers on the sockets of the old ones, and drain those.
        If a new process cannot start, the old ones continue."""
        old = sorted((child for child in self._children.values() if not child.is_stopping), key=_start_order)
        if not any(child.name == CONTROL for child in old):  # it has died and its restart is due later
            self._restarts[CONTROL] = (time.monotonic(), 0)
        for child in old:
            if child.name == CONTROL:
                self._stop([child], CONTROL_DRAIN_S)
            if child.slot is None or child.slot < self._settings.workers:
                self._restarts.pop(child.name, None)  # if it has died meanwhile, the next line replaces it
                new = self._start(child.name)
                try:
                    self._wait_until_ready([new])
                except SupervisorError as error:
                    _logger.error("%s; processes not replaced yet continue as before", error)  # noqa: TRY400
                    if new.name != CONTROL:
                        self._restarts.pop(new.name, None)
                        self._stop([new] if new.pid in self._children else [], 5.0)
                    if new.name == ADMIN:  # workers do not need it
                        continue
                    return
            if child.name != CONTROL and child.pid in self._children:
                child.is_stopping = True
                os.kill(child.pid, signal.SIGTERM)
        self._resize()
        self._start_missing()

    def _start_missing(self) -> None:
        """Start dead children whose restart was pending at the handover, children that the previous version lacked,
        and additional workers."""
        present = {child.name for child in self._children.values() if not child.is_stopping}
        slots = range(min(len(self._sockets.listen), self._settings.workers))
        for name in (CONTROL, ADMIN, *map(_worker, slots)):
            if name not in present:
                self._restarts.setdefault(name, (time.monotonic(), 0))

    def _resize(self) -> None:
        """Adapt the sockets to the configured number of workers."""
        listen, count = self._sockets.listen, self._settings.workers
        for fd in (fd for fds in listen[count:] for fd in fds):  # otherwise the kernel would still choose them
            os.close(fd)
        del listen[count:]
        names = {CONTROL, ADMIN, *map(_worker, range(count))}
        self._restarts = {name: restart for name, restart in self._restarts.items() if name in names}
        while len(listen) < count:
            try:
                listen.append(bind_same_address(listen[0]))
            except OSError as error:
                _logger.error(  # noqa: TRY400
                    "cannot open a socket for worker %d of %d; continuing with fewer workers: %s",
                    len(listen),
                    count,
                    error.strerror,
                )
                return

    # Signals, and the first log line.

    def _catch_signals(self) -> None:
        reading, writing = socket.socketpair()
        for sock in (reading, writing):
            sock.setblocking(False)
        self._wakeup = (reading, writing)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, lambda received, _: self._signals.append(received))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(reading.fileno(), selectors.EVENT_READ, None)

    def _announce(self, welcome: str) -> None:
        settings, sockets = self._settings, self._sockets
        scheme, of_console = ("https" if tls is not None else "http" for tls in (settings.tls, settings.console_tls))
        _logger.info(
            "listening on %s://%s:%d/v1, console on %s://%s:%d/, configuration %s",
            scheme,
            settings.listen.host or "0.0.0.0",  # noqa: S104 -- the meaning of an empty host
            port_of(sockets.listen[0][0]),
            of_console,
            settings.console.host or "0.0.0.0",  # noqa: S104
            port_of(sockets.console[0]),
            self._snapshot.digest[:12],
        )
        keys = [key for endpoint in self._snapshot.endpoints.values() for key in endpoint.keys]
        if not self._snapshot.require_key and any(key.credential != Secret("") for key in keys):
            _logger.warning(
                "open mode: anyone who reaches server.listen can use every provider key; "
                "to require virtual keys, set governance.require_key to true"
            )
        if welcome:
            console = f"{of_console}://127.0.0.1:{port_of(sockets.console[0])}"
            print(welcome.replace("{console}", console), flush=True)  # noqa: T201


def _start_order(child: Child) -> int:
    """Sort control first, then admin, then the workers."""
    return child.slot if child.slot is not None else -2 if child.name == CONTROL else -1


def _worker(slot: int) -> str:
    return f"worker {slot}"


def check_handover(state: str, settings: Settings) -> None:
    """Check that a gateway with these settings can take over `state`. Raise `SupervisorError` if it cannot."""
    try:
        lock = msgspec.json.decode(state, type=Handover).sockets.lock
    except msgspec.DecodeError as error:
        raise SupervisorError(
            f"the installed version cannot take over from the running version; restart the gateway: {error}"
        ) from None
    file = settings.data_dir / "lock"
    if not file.exists() or not os.path.samestat(file.stat(), os.fstat(lock)):
        raise SupervisorError(f"data_dir: a change to {settings.data_dir} takes effect only at a restart")
