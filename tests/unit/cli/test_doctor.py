"""`pointsman doctor`: its output and exit status."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.configuration import ENVIRON
from fakes.examined import CONFIG
from pointsman.cli import build_app
from pointsman.doctor import catalog
from pointsman.runtime.sockets import lock_data_dir


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pointsman.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


def examined(file: Path, *arguments: str) -> Result:
    command = ["doctor", "--offline", "--config", str(file), *arguments]
    return CliRunner().invoke(build_app(), command, env={**ENVIRON, "POINTSMAN_ADMIN_TOKEN": None})


def test_findings_are_printed_by_check(file: Path) -> None:
    result = examined(file)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert f"configuration  ok      {file} has no problem" in lines
    assert lines[-1].startswith("0 errors, ")


def test_error_sets_the_exit_status(file: Path) -> None:
    file.write_text(CONFIG.replace("console", "consle"))
    result = examined(file, "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.output)["checks"]["configuration"]
    assert found["level"] == "error"


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:1", "http://127.0.0.1:1"), ("127.0.0.1:2", "http://127.0.0.1:2"), ("'[::1]:3'", "http://[::1]:3")],
)
def test_console_is_asked_at_the_address_in_the_file(
    listen: str, address: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.journal.lock.is_locked", lambda _: True)
    text = "\n".join(line for line in CONFIG.splitlines() if not line.startswith("console"))
    file.write_text(f"{text}\nconsole: {{listen: {listen}}}\n")
    command = ["doctor", "--offline", "--config", str(file)]
    environ = {**ENVIRON, "POINTSMAN_ADMIN_TOKEN": "a-token", "COLUMNS": "200"}
    result = CliRunner().invoke(build_app(), command, env=environ)
    assert f"cannot reach {address}" in result.output.replace("\n", " "), result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--url", "http://127.0.0.1:1"], 1, "cannot reach http://127.0.0.1:1: Connection refused"),
        (["--url", "ftp://here"], 2, "must begin with http:// or https://"),
        (["--token-file", "/nowhere"], 2, "cannot read /nowhere"),
    ],
)
def test_console_that_cannot_be_asked_is_no_fault_of_a_check(
    arguments: list[str], code: int, message: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.journal.lock.is_locked", lambda _: True)
    command = ["doctor", "--offline", "--config", str(file), *arguments]
    environ = {**ENVIRON, "POINTSMAN_ADMIN_TOKEN": "a-token", "COLUMNS": "200"}
    result = CliRunner().invoke(build_app(), command, env=environ)
    assert result.exit_code == code
    assert message in result.output
    assert "fault of the gateway" not in result.output


def test_broken_check_hides_no_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(catalog, "check", broken)
    result = examined(file, "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)["checks"]
    assert found["catalog"][0]["text"] == "the check itself failed: RuntimeError: out of order"
    assert found["configuration"][0]["level"] == "ok"


def test_lock_of_the_data_folder_shows_a_running_gateway(file: Path) -> None:
    def gateway() -> str:
        found = json.loads(examined(file, "--json").output)["checks"]
        return str(found["gateway"][0]["text"])

    assert gateway().startswith("no gateway uses this data folder")
    fd = lock_data_dir(file.parent / "data")
    assert gateway().startswith("runs, but its state needs the admin token")
    os.close(fd)
    lock = file.parent / "data" / "lock"
    lock.unlink()
    lock.symlink_to(lock)  # it cannot be opened
    assert gateway().startswith("no gateway uses this data folder")
