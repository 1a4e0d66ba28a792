"""One child of a supervisor in a process of its own, with what a supervisor gives it."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from fakes.clock import PATIENCE_S
from pointsman.runtime.tasks import ChildTask


class Running:
    """A child. It `is_ready` if it said so before it ended."""

    def __init__(self, process: "subprocess.Popen[str]", life: int, is_ready: bool) -> None:
        self.process, self.life, self.is_ready = process, life, is_ready

    def abandon(self) -> None:
        """End the supervisor, as far as it can tell."""
        os.close(self.life)
        self.life = -1

    def wait(self) -> tuple[int, str]:
        """The exit code, and what it wrote to standard error."""
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self.process.wait(PATIENCE_S), said


@contextmanager
def child(
    name: str, task: ChildTask, sockets: Sequence[socket.socket], environ: Mapping[str, str]
) -> Iterator[Running]:
    """Start it, with pipes in the place of those that the task has."""
    ready, their_ready = os.pipe()
    their_life, life = os.pipe()
    task = msgspec.structs.replace(task, ready_fd=their_ready, life_fd=their_life)
    process = subprocess.Popen(
        [sys.executable, "-m", "pointsman.runtime", name, msgspec.json.encode(task).decode()],
        pass_fds=[their_ready, their_life, *(one.fileno() for one in sockets)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    os.close(their_ready)
    os.close(their_life)
    running = Running(process, life, os.read(ready, 1) == b"1")
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


def get(port: int, path: str, token: str) -> tuple[int, object]:
    """Status and data of what the console's address answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
