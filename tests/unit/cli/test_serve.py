"""`pointsman serve`: what it hands on."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli import build_app
from pointsman.runtime import start as serving


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is handed on, instead of serving."""
    made: list[tuple[object, ...]] = []

    def compile_or_exit(config: Path | None, environ: Mapping[str, str]) -> str:
        made.append((config, environ["A_VARIABLE"]))
        return "compiled"

    def serve(start: str, config: Path | None) -> int:
        made.append((start, config))
        return 7

    monkeypatch.setattr(serving, "compile_or_exit", compile_or_exit)
    monkeypatch.setattr(serving, "serve", serve)
    return made


@pytest.mark.parametrize(
    ("arguments", "config"),
    [([], None), (["--config", "a.yaml"], Path("a.yaml")), (["-c", "a.yaml"], Path("a.yaml"))],
)
def test_the_file_and_the_environment_reach_what_serves(
    arguments: list[str], config: Path | None, calls: list[tuple[object, ...]]
) -> None:
    result = CliRunner().invoke(build_app(), ["serve", *arguments], env={"A_VARIABLE": "x"})
    assert calls == [(config, "x"), ("compiled", config)]
    assert result.exit_code == 7


def test_the_options_become_variables_that_every_process_reads(
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


def test_what_it_does_not_know_is_refused(calls: list[tuple[object, ...]]) -> None:
    for arguments in (["a.yaml"], ["--port", "1"]):
        assert CliRunner().invoke(build_app(), ["serve", *arguments]).exit_code == 2
    assert calls == []
