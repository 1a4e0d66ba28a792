"""`pointsman demo`: passes on its options."""

import pytest
from typer.testing import CliRunner

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
