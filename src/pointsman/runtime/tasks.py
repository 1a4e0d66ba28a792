"""The task that a supervisor passes to a child as one JSON argument, and functions that all children use."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType

import msgspec
from msgspec import Struct

from pointsman.telemetry.masked_messages import MaskingFormatter
from pointsman.transport.server_tls import Tls

STORE_URL = "POINTSMAN_STORE_OF_ADMIN"  # the variable with the address of the store for the admin process
GC_THRESHOLD = 20_000  # objects allocated and not yet freed before a collection
_VERBOSE = ("aiosqlite", "alembic", "asyncio", "watchfiles")  # aiosqlite logs every value of every statement

_logger = logging.getLogger("pointsman")


class ChildTask(Struct, frozen=True, kw_only=True):
    """The task of any child. The child inherits the descriptors in it.

    The child writes a byte to `ready_fd` when it is ready. `life_fd` is readable when the supervisor has ended.
    `listen_fds` are a worker's sockets, control's socket at the path `link`, or the console's sockets.

    A worker waits up to `patience_s` for control, then serves without it. `config` is the configuration file, if there
    is one. If `must_own`, a control process does not start while another gateway owns the store.
    `hosts` are the host names that the console accepts; an empty list accepts any. `tls` is that of the console.
    """

    ready_fd: int
    life_fd: int
    listen_fds: list[int]
    data_dir: str
    snapshot: str
    link: str
    log_level: str
    slot: int = 0
    epoch: int = 0
    patience_s: float = 0.0
    config: str | None = None
    public_is_loopback: bool = True
    must_own: bool = False
    console_is_loopback: bool = True
    hosts: list[str] = []
    tls: Tls | None = None


def run_child(work: Callable[[ChildTask], Coroutine[None, None, int]], task: str) -> int:
    """Run the coroutine of a child in an event loop. `task` is a `ChildTask` as JSON. Return the exit code."""
    import uvloop  # noqa: PLC0415 -- the supervisor does not need it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(msgspec.json.decode(task, type=ChildTask)))


def stop_event(life_fd: int, shut_down_now: Callable[[], object] | None = None) -> asyncio.Event:
    """Return an event that is set at SIGTERM and when the supervisor ends. The supervisor handles SIGINT.
    A second SIGTERM calls `shut_down_now`."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_orphaned() -> None:
        loop.remove_reader(life_fd)  # otherwise it would be called again and again
        stopping.set()

    def on_sigterm() -> None:
        if shut_down_now is not None and stopping.is_set():
            shut_down_now()
        stopping.set()

    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, on_sigterm)
    loop.add_reader(life_fd, on_orphaned)
    return stopping


def log_to_stderr(level: str = "warning", process: str = "") -> None:
    """Write messages of this level and above to standard error, and exceptions that end the process. Each message
    begins with `process`, which ends with a space. Keys in them are masked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(f"%(asctime)s %(levelname)s {process}%(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    sys.excepthook = _log_exception
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _log_exception(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:  # the parameters of `sys.excepthook`
    _logger.critical("the process ends with an error", exc_info=(kind, error, traceback))


def notify_ready(ready_fd: int) -> None:
    """Notify the supervisor that the child is ready. If the supervisor has died, do nothing: `life_fd` notifies the
    child."""
    with suppress(BrokenPipeError):
        os.write(ready_fd, b"1")
    os.close(ready_fd)


def tune_garbage_collector() -> None:
    """Exclude present objects from garbage collection, and collect less often, because requests leave no reference
    cycles. Turn the collector on if it was off."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    gc.enable()
