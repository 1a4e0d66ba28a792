"""What tests do to processes of others."""

import os
import signal
from pathlib import Path
from time import monotonic, sleep

from fakes.clock import PATIENCE_S


def freeze(pid: int) -> None:
    """Stop a process. On return none of its threads runs any more, which takes the signal a moment."""
    os.kill(pid, signal.SIGSTOP)
    ends_at = monotonic() + PATIENCE_S
    while not all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert monotonic() < ends_at
        sleep(0.001)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][0]
    except OSError:  # it has just ended
        return "T"
