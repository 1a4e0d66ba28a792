"""`pointsman serve`: its options reach the gateway."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli import build_app
from pointsman.runtime import start as serving


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Record the arguments instead of serving."""
    made: list[tuple[object, ...]] = []

    def start_or_exit(config: Path | None, environ: Mapping[str, str]) -> str:
        made.append((config, environ["A_VARIABLE"]))
        return "compiled"

    def serve(start: str, config: Path | None) -> int:
        made.append((start, config))
        return 7

    monkeypatch.setattr(serving, "start_or_exit", start_or_exit)
    monkeypatch.setattr(serving, "serve", serve)
    return made


@pytest.mark.parametrize(
    ("arguments", "config"),
    [([], None), (["--config", "a.yaml"], Path("a.yaml")), (["-c", "a.yaml"], Path("a.yaml"))],
)
def test_file_and_environment_reach_the_start(
    arguments: list[str], config: Path | None, calls: list[tuple[object, ...]]
) -> None:
    result = CliRunner().invoke(build_app(), ["serve", *arguments], env={"A_VARIABLE": "x"})
    assert calls == [(config, "x"), ("compiled", config)]
    assert result.exit_code == 7


def test_options_become_variables_for_every_process(
    calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"A_VARIABLE": "x"}
    monkeypatch.setattr(os, "environ", environ)
    arguments = ["serve", "--listen", ":1", "--console", "127.0.0.1:2", "--data-dir", "there"]
    assert CliRunner().invoke(build_app(), arguments).exit_code == 7
    assert environ == {
        "A_VARIABLE": "x",
        "POINTSMAN_LISTEN": ":1",
        "POINTSMAN_CONSOLE_LISTEN": "127.0.0.1:2",
        "POINTSMAN_DATA_DIR": "there",
    }


def test_unknown_options_are_rejected(calls: list[tuple[object, ...]]) -> None:
    for arguments in (["a.yaml"], ["--port", "1"]):
        assert CliRunner().invoke(build_app(), ["serve", *arguments]).exit_code == 2
    assert calls == []
