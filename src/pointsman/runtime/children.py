"""Starts the processes of a gateway: workers, control and admin."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from pointsman.config.settings import Settings
from pointsman.runtime.safe_path import python
from pointsman.runtime.sockets import Sockets
from pointsman.runtime.tasks import STORE_URL, ChildTask

CONTROL, ADMIN = "control", "admin"  # the names of the children other than workers
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PATIENCE_S = 15.0  # a new worker waits up to this long for control; the two start together, and no requests wait yet
# Prefixes of the variables that the admin process gets: no provider keys and no virtual keys.
ADMIN_ENVIRONMENT = (
    "POINTSMAN_ADMIN_TOKEN", "POINTSMAN_METRICS_TOKEN", "PATH", "HOME", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "PG",
    "SSL_", "LD_", "MALLOC_",
)  # fmt: skip


class Child(Struct, kw_only=True):
    """One process. `life` is the end of a pipe that closes with the supervisor. `ready` is the end of a pipe that the
    child writes to when it is ready; it is `None` after that. A handover passes this to the next supervisor."""

    name: str
    slot: int | None
    pid: int
    life: int
    ready: int | None
    started_at: float
    is_stopping: bool = field(default=False, name="is_leaving")  # the name in the handover of older versions
    is_ready: bool = False


class Starter(Struct, frozen=True):
    """Starts children. `config` is the configuration file, if there is one."""

    settings: Settings
    snapshot: Path
    config: Path | None

    def start(self, name: str, slot: int | None, sockets: Sockets, *, patience_s: float, is_first: bool) -> Child:
        """Start the worker of a slot; without a slot, start control or admin by its name."""
        ready, their_ready = os.pipe()
        their_life, life = os.pipe()
        listening = sockets.listen[slot] if slot is not None else [sockets.link] if name == CONTROL else sockets.console
        settings = self.settings
        task = ChildTask(
            ready_fd=their_ready,
            life_fd=their_life,
            listen_fds=listening,
            data_dir=str(settings.data_dir.absolute()),
            snapshot=str(self.snapshot),
            link=sockets.link_path,
            log_level=settings.log_level,
            slot=slot or 0,
            epoch=time.time_ns(),
            patience_s=patience_s,
            config=str(self.config) if self.config is not None else None,
            public_is_loopback=settings.listen.is_loopback,
            must_own=is_first,
            console_is_loopback=settings.console.is_loopback,
            tls=settings.console_tls if name == ADMIN else None,
            hosts=self._hosts(),
        )
        module = name if slot is None else "worker"
        arguments = [*python("pointsman.runtime"), module, msgspec.json.encode(task).decode()]
        # In a separate session, so that Ctrl-C in a terminal reaches only the supervisor, which then drains.
        process = subprocess.Popen(  # noqa: S603 -- our own module
            arguments,
            pass_fds=[*listening, their_ready, their_life],
            start_new_session=True,
            env=self._admin_environ() if name == ADMIN else None,
        )
        process.returncode = 0  # reaped by the supervisor, so the object does not wait for it
        os.close(their_ready)
        os.close(their_life)
        os.set_blocking(ready, False)
        return Child(name=name, slot=slot, pid=process.pid, life=life, ready=ready, started_at=time.monotonic())

    def _hosts(self) -> list[str]:
        console, hosts = self.settings.console, self.settings.console_hosts
        return sorted(LOOPBACK | {console.host} | hosts) if console.is_loopback or hosts else []

    def _admin_environ(self) -> Mapping[str, str]:
        environ = {name: value for name, value in os.environ.items() if name.startswith(ADMIN_ENVIRONMENT)}
        url = self.settings.store_url
        return environ if url is None else {**environ, STORE_URL: url.reveal()}
