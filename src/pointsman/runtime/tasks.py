"""The task that a supervisor gives to a child, as one argument of JSON, and functions that all children use. Children
inherit all descriptors."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress

import msgspec
from msgspec import Struct

STORE_URL = "POINTSMAN_STORE_OF_ADMIN"  # the variable with the address of the store for the admin process
GC_THRESHOLD = 20_000  # objects made and not freed
_TALKATIVE = ("aiosqlite", "alembic", "asyncio", "watchfiles")  # aiosqlite would write every value of every statement


class ChildTask(Struct, frozen=True, kw_only=True):
    """The task of any child. `ready_fd` takes a byte when it serves; `life_fd` ends when the supervisor does.
    `listen_fds` are a worker's sockets, control's socket at the path `link`, or the console's.

    A worker waits for control for `patience_s` before it serves without. `config` is the configuration file, if there
    is one. If `must_own`, a control process does not start if another gateway has the store: no client is served yet.
    `hosts` are the names by which the console may be called; none means any.
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


def run_child(work: Callable[[ChildTask], Coroutine[None, None, int]], task: str) -> int:
    """Run the coroutine of a child in an event loop. `task` is a `ChildTask` as JSON. Return the exit code."""
    import uvloop  # noqa: PLC0415 -- the supervisor does not need it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(msgspec.json.decode(task, type=ChildTask)))


def told_to_stop(life_fd: int, shut_down_now: Callable[[], object] | None = None) -> asyncio.Event:
    """Return an event that is set at SIGTERM and at the end of the supervisor. SIGINT is left to the supervisor.
    Another SIGTERM calls `shut_down_now`, even if it arrives before the event has been seen."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_orphaned() -> None:
        loop.remove_reader(life_fd)  # it stays readable
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
    """Write messages of this level and above to standard error. `process` begins each, and ends with a space."""
    logging.basicConfig(
        level=level.upper(), format=f"%(asctime)s %(levelname)s {process}%(message)s", stream=sys.stderr
    )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def say_ready(ready_fd: int) -> None:
    """Notify the supervisor. If it is gone, `life_fd` shows that to the child."""
    with suppress(BrokenPipeError):
        os.write(ready_fd, b"1")
    os.close(ready_fd)


def settle_memory() -> None:
    """Have the garbage collector check only young objects, and less often. Present objects stay, and requests leave no
    reference cycles. It may be off until then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    gc.enable()
