"""Starts the processes of a gateway: workers, control and admin."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from pointsman.config.settings import Settings
from pointsman.runtime.safe_path import python
from pointsman.runtime.sockets import Sockets
from pointsman.runtime.tasks import STORE_URL, AdminTask, ControlTask, WorkerTask

CONTROL, ADMIN = "control", "admin"  # the names of those that are no workers
PATIENCE_S = 15.0  # a new worker waits so long for control, which starts beside it; nobody misses it yet
# The admin process gets the variables that begin so: no provider key and no virtual key.
ADMIN_ENVIRONMENT = (
    "POINTSMAN_ADMIN_TOKEN", "POINTSMAN_METRICS_TOKEN", "PATH", "HOME", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "PG",
    "SSL_", "LD_", "MALLOC_",
)  # fmt: skip


class Child(Struct, kw_only=True):
    """One process. `life` is the end of a pipe that closes with the supervisor; `ready` is read until it is ready."""

    name: str
    slot: int | None
    pid: int
    life: int
    ready: int | None
    started_at: float
    is_leaving: bool = False
    is_ready: bool = False


class Starter(Struct, frozen=True):
    """Starts children. `config` is the configuration file, if there is one."""

    settings: Settings
    snapshot: Path
    config: Path | None

    def start(self, name: str, slot: int | None, sockets: Sockets, *, patience_s: float, is_first: bool) -> Child:
        """Start a worker if there is a slot, else control or admin by its name."""
        ready, their_ready = os.pipe()
        their_life, life = os.pipe()
        pipes = (their_ready, their_life)
        environ: Mapping[str, str] = os.environ
        if slot is not None:
            task: ControlTask | WorkerTask | AdminTask = self._worker(slot, sockets, pipes, patience_s)
            fds = sockets.listen[slot]
        elif name == CONTROL:
            task, fds = self._control(sockets, pipes, is_first=is_first), [sockets.link]
        else:
            task, fds, environ = self._admin(sockets, pipes), sockets.console, self._admin_environ()
        module = name if slot is None else "worker"
        arguments = [*python("pointsman.runtime"), module, msgspec.json.encode(task).decode()]
        # In a session of its own: Ctrl-C in a terminal is for the supervisor, which then drains.
        process = subprocess.Popen(  # noqa: S603 -- our own module
            arguments, pass_fds=[*fds, *pipes], start_new_session=True, env=environ
        )
        process.returncode = 0  # reaped by the supervisor; so the object does not wait for it
        os.close(their_ready)
        os.close(their_life)
        os.set_blocking(ready, False)
        return Child(name=name, slot=slot, pid=process.pid, life=life, ready=ready, started_at=time.monotonic())

    def _worker(self, slot: int, sockets: Sockets, pipes: tuple[int, int], patience_s: float) -> WorkerTask:
        return WorkerTask(
            slot=slot,
            epoch=time.time_ns(),
            listen_fds=sockets.listen[slot],
            ready_fd=pipes[0],
            life_fd=pipes[1],
            data_dir=self._data_dir,
            snapshot=str(self.snapshot),
            link=sockets.link_path,
            patience_s=patience_s,
        )

    def _control(self, sockets: Sockets, pipes: tuple[int, int], *, is_first: bool) -> ControlTask:
        return ControlTask(
            config=str(self.config) if self.config is not None else None,
            link_fd=sockets.link,
            ready_fd=pipes[0],
            life_fd=pipes[1],
            data_dir=self._data_dir,
            snapshot=str(self.snapshot),
            log_level=self.settings.log_level,
            public_is_loopback=self.settings.listen.is_loopback,
            must_own=is_first,
        )

    def _admin(self, sockets: Sockets, pipes: tuple[int, int]) -> AdminTask:
        console, stated = self.settings.console, self.settings.console_hosts
        loopback = {"127.0.0.1", "localhost", "::1"}
        return AdminTask(
            console_fds=sockets.console,
            hosts=sorted(loopback | {console.host} | stated) if console.is_loopback or stated else [],
            is_local=console.is_loopback,
            link=sockets.link_path,
            ready_fd=pipes[0],
            life_fd=pipes[1],
            data_dir=self._data_dir,
            log_level=self.settings.log_level,
        )

    def _admin_environ(self) -> Mapping[str, str]:
        known = {name: value for name, value in os.environ.items() if name.startswith(ADMIN_ENVIRONMENT)}
        url = self.settings.store_url
        return known if url is None else {**known, STORE_URL: url.reveal()}

    @property
    def _data_dir(self) -> str:
        return str(self.settings.data_dir.absolute())
