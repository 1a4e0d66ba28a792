"""`pointsman demo`: the ports, and the tour."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from fakes.processes import free_ports
from pointsman.cli import build_app
from pointsman.runtime import demo


@pytest.mark.parametrize(
    ("arguments", "ports"),
    [([], (8080, 8081)), (["--port", "90", "--console-port", "91"], (90, 91)), (["--port", "90"], (90, 8081))],
)
def test_ports_are_passed_to_the_demonstration(
    arguments: list[str], ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    def run(port: int, console_port: int) -> int:
        calls.append((port, console_port))
        return 3

    monkeypatch.setattr(demo, "run", run)
    assert CliRunner().invoke(build_app(), ["demo", *arguments]).exit_code == 3
    assert calls == [ports]


def test_port_must_be_a_number() -> None:
    assert CliRunner().invoke(build_app(), ["demo", "--port", "http"]).exit_code == 2


def tour(port: int, console_port: int) -> "subprocess.CompletedProcess[str]":
    ports = ["--port", str(port), "--console-port", str(console_port)]
    command = [sys.executable, "-P", "-m", "pointsman", "demo", "--tour", *ports]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


class _Ready(BaseHTTPRequestHandler):
    """Another program, which answers every request with 200."""

    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.requests.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name in the base class
        pass


def test_tour_sends_no_request_to_another_program_on_its_port() -> None:
    with HTTPServer(("127.0.0.1", 0), _Ready) as other:
        thread = Thread(target=other.serve_forever)
        thread.start()
        try:
            (console_port,) = free_ports(1)
            done = tour(other.server_port, console_port)
        finally:
            other.shutdown()
            thread.join()
    assert done.returncode == 1
    assert f"127.0.0.1:{other.server_port} is in use by another process" in done.stderr
    assert "\\x0a" not in done.stderr
    assert _Ready.requests == []


def test_tour_shows_a_failover_a_rejection_and_the_spending() -> None:
    done = tour(*free_ports(2))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "x-pointsman-attempts: 2" in done.stdout
    assert "Then status 402:" in done.stdout
    assert "the budget of $0.01 per day of virtual key notebook" in done.stdout
    assert "total $0.0" in done.stdout
