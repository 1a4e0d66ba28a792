"""`pointsman demo`: passes on its options."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fakes.processes import free_ports
from pointsman.cli import build_app
from pointsman.runtime import demo


@pytest.mark.parametrize(
    ("arguments", "ports"),
    [([], (8080, 8081)), (["--port", "90", "--console-port", "91"], (90, 91)), (["--port", "90"], (90, 8081))],
)
def test_the_ports_reach_the_demonstration(
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


def test_the_tour_shows_a_failover_a_refusal_and_the_money() -> None:
    ports = [str(port) for port in free_ports(2)]
    command = [
        sys.executable,
        "-P",
        "-m",
        "pointsman",
        "demo",
        "--tour",
        "--port",
        ports[0],
        "--console-port",
        ports[1],
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "x-pointsman-attempts: 2" in done.stdout
    assert "Then status 402:" in done.stdout
    assert "the budget of $0.01 per day of virtual key notebook" in done.stdout
    assert "total $0.0" in done.stdout
