"""The admin process alone: it prints its token once, ends with its supervisor, and reports that control is away."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.children import Child, child, get
from pointsman.runtime.tasks import ChildTask

TOKEN = "a-token-of-the-tests-for-admins"
AWAY = "the control process is away"


@contextmanager
def admin(folder: Path, **environ: str) -> Iterator[tuple[Child, int]]:
    """Run an admin process without control. Yield the process and the port of the console."""
    with socket.create_server(("127.0.0.1", 0)) as console:
        task = ChildTask(
            listen_fds=[console.fileno()],
            snapshot="",
            link=str(folder / "link"),
            ready_fd=-1,
            life_fd=-1,
            data_dir=str(folder),
            log_level="error",
        )
        with child("admin", task, [console], environ) as running:
            yield running, console.getsockname()[1]


def test_first_start_prints_the_token_once_at_any_log_level(tmp_path: Path) -> None:
    with admin(tmp_path) as (running, _):
        assert running.is_ready
        running.process.send_signal(signal.SIGTERM)
        code, stderr = running.wait()
        assert code == 0
        token = stderr.partition("admin token, shown only once: ")[2].split()[0]
        assert stderr.count(token) == 1
    with admin(tmp_path) as (running, port):
        assert running.is_ready
        assert get(port, "/api/v1/status", token)[0] == 503
        assert get(port, "/api/v1/status", "another")[0] == 401
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == (0, "")


def test_process_ends_with_its_supervisor(tmp_path: Path) -> None:
    with admin(tmp_path, POINTSMAN_ADMIN_TOKEN=TOKEN) as (running, _):
        assert running.is_ready
        running.abandon()
        assert running.wait() == (0, "")


@pytest.mark.parametrize("name", ["POINTSMAN_ADMIN_TOKEN", "POINTSMAN_METRICS_TOKEN"])
def test_weak_token_prevents_the_start(name: str, tmp_path: Path) -> None:
    with admin(tmp_path, **{"POINTSMAN_ADMIN_TOKEN": TOKEN, name: "hunter2"}) as (running, _):
        assert not running.is_ready
        code, stderr = running.wait()
        assert code == 1
        assert f"{name} has fewer than 20 characters" in stderr
        assert "hunter2" not in stderr


def test_missing_control_and_store_are_reported(tmp_path: Path) -> None:
    with admin(tmp_path, POINTSMAN_ADMIN_TOKEN=TOKEN) as (_, port):
        assert get(port, "/readyz", "") == (200, {"status": "degraded", "control": AWAY})
        for path in ("/api/v1/status", "/api/v1/budgets", "/metrics"):
            status, problem = get(port, path, TOKEN)
            assert (status, problem["code"], problem["detail"]) == (503, "control_unavailable", AWAY)
        status, answer = get(port, "/api/v1/requests", TOKEN)
        assert status == 503
        assert "the store cannot be used" in str(answer)
        assert not list(tmp_path.iterdir()), "it creates no database"
