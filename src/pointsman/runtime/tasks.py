"""The task that a supervisor gives to a child, as one argument of JSON; all descriptors are inherited. And functions
that all children use."""

import gc
import logging
import os
import sys
from contextlib import suppress

from msgspec import Struct

STORE_URL = "POINTSMAN_STORE_OF_ADMIN"  # the variable by which the admin process learns the address of the store
GC_THRESHOLD = 20_000  # objects made and not freed


class ChildTask(Struct, frozen=True, kw_only=True):
    """The task of a child, whichever it is. `ready_fd` takes a byte when it serves; `life_fd` ends when the supervisor
    does. `listen_fds` are a worker's sockets, control's socket at the path `link`, or the console's.

    A worker waits for control for `patience_s` before it serves without. `config` is the configuration file, if there
    is one. A control process that `must_own` the store does not start if another gateway has it: nobody is served yet.
    `hosts` are the names by which the console may be called; none means any."""

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


def log_to_stderr(level: str = "warning", process: str = "") -> None:
    """Write messages of this level and above to standard error. `process` begins each, and ends with a space."""
    logging.basicConfig(
        level=level.upper(), format=f"%(asctime)s %(levelname)s {process}%(message)s", stream=sys.stderr
    )


def say_ready(ready_fd: int) -> None:
    """Tell the supervisor. It may be gone by now: of that a child hears by its `life_fd`."""
    with suppress(BrokenPipeError):
        os.write(ready_fd, b"1")
    os.close(ready_fd)


def settle_memory() -> None:
    """Have the garbage collector look at young objects only, and less often: what there is now stays, and requests
    leave nothing behind that refers to itself. It may be off until then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    gc.enable()
