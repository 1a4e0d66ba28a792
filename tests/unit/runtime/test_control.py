"""The control process by itself: it comes up, says its token once, and ends with its supervisor."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fakes.clock import PATIENCE_S
from fakes.configuration import accept
from fakes.control import ENVIRON
from pointsman.runtime.tasks import ControlTask

CONFIG = """\
server: {listen: "127.0.0.1:0"}
console: {listen: "127.0.0.1:0"}
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {me: env.ME}}
"""


class Running:
    def __init__(self, process: "subprocess.Popen[str]", port: int, life: int, is_ready: bool) -> None:
        self.process, self.port, self.life, self.is_ready = process, port, life, is_ready

    def get(self, path: str, token: str) -> object:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def abandon(self) -> None:
        """End the supervisor, as far as it can tell."""
        os.close(self.life)
        self.life = -1

    def wait(self) -> tuple[int, str]:
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self.process.wait(PATIENCE_S), said


@contextmanager
def control(folder: Path, log_level: str = "error", **environ: str) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    snapshot = folder / "snapshot"
    accept(snapshot, CONFIG, ENVIRON)
    console, link = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    (folder / "link").unlink(missing_ok=True)
    link.bind(str(folder / "link"))
    link.listen()
    ready, their_ready = os.pipe()
    their_life, life = os.pipe()
    fds = (console.fileno(), link.fileno(), their_ready, their_life)
    task = ControlTask(
        config=None,
        console_fds=[fds[0]],
        link_fd=fds[1],
        ready_fd=fds[2],
        life_fd=fds[3],
        data_dir=str(folder),
        snapshot=str(snapshot),
        log_level=log_level,
        public_is_loopback=True,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pointsman.runtime", "control", msgspec.json.encode(task).decode()],
        pass_fds=fds,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRON, **environ},
    )
    os.close(their_ready)
    os.close(their_life)
    running = Running(process, console.getsockname()[1], life, os.read(ready, 1) == b"1")
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
        console.close()
        link.close()


def test_the_first_start_says_the_token_once_at_any_log_level(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        assert running.is_ready
        running.process.send_signal(signal.SIGTERM)
        code, said = running.wait()
        assert code == 0
        token = said.partition("admin token, shown this once: ")[2].split()[0]
        assert said.count(token) == 1
    with control(tmp_path) as running:
        assert running.is_ready
        status = running.get("/api/v1/status", token)
        assert isinstance(status, dict)
        assert status["store"] == "ok"
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == (0, "")


def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    with control(tmp_path, POINTSMAN_ADMIN_TOKEN="a-token-of-the-tests-for-admins") as running:
        assert running.is_ready
        running.abandon()
        assert running.wait() == (0, "")


def test_a_token_that_could_be_guessed_keeps_it_from_starting(tmp_path: Path) -> None:
    with control(tmp_path, POINTSMAN_ADMIN_TOKEN="hunter2") as running:
        assert not running.is_ready
        code, said = running.wait()
        assert code == 1
        assert "POINTSMAN_ADMIN_TOKEN has fewer than 20 characters" in said
        assert "hunter2" not in said


def test_without_its_store_it_serves_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "pointsman.db").mkdir(parents=True)
    with control(tmp_path, POINTSMAN_ADMIN_TOKEN="a-token-of-the-tests-for-admins") as running:
        assert running.is_ready
        ready = running.get("/readyz", "")
        assert isinstance(ready, dict)
        assert ready["status"] == "degraded"
        running.process.send_signal(signal.SIGKILL)
        running.wait()
