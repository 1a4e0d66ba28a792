"""A child of a supervisor in its own process, with the pipes that a supervisor passes to it."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from fakes.clock import PATIENCE_S
from pointsman.runtime.tasks import ChildTask


class Child:
    """A child process. `is_ready` is true if it reported that it is ready."""

    def __init__(self, process: "subprocess.Popen[str]", life: int, is_ready: bool) -> None:
        self.process, self.life, self.is_ready = process, life, is_ready

    def abandon(self) -> None:
        """Close the pipe whose end means to the child that its supervisor has died."""
        os.close(self.life)
        self.life = -1

    def wait(self) -> tuple[int, str]:
        """Wait for the end. Return the exit code and the text of standard error."""
        assert self.process.stderr is not None
        text = self.process.stderr.read()
        return self.process.wait(PATIENCE_S), text


@contextmanager
def child(name: str, task: ChildTask, sockets: Sequence[socket.socket], environ: Mapping[str, str]) -> Iterator[Child]:
    """Start a child, with new pipes in place of those of `task`."""
    ready, their_ready = os.pipe()
    their_life, life = os.pipe()
    task = msgspec.structs.replace(task, ready_fd=their_ready, life_fd=their_life)
    process = subprocess.Popen(
        [sys.executable, "-m", "pointsman.runtime", name, msgspec.json.encode(task).decode()],
        pass_fds=[their_ready, their_life, *(sock.fileno() for sock in sockets)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    os.close(their_ready)
    os.close(their_life)
    running = Child(process, life, os.read(ready, 1) == b"1")
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        os.close(ready)
        if running.life >= 0:
            os.close(running.life)


def get(port: int, path: str, token: str) -> tuple[int, Any]:
    """Return the status and the data of an answer from the console's address."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
