"""`pointsman audit`: the log listed, exported, verified and accepted."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import CONFIG, ENVIRON, TOKEN
from pointsman.cli import build_app

ENV = {**ENVIRON, "POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), env=ENV)


def config(folder: Path) -> str:
    path = folder / "verify.yaml"
    path.write_text(f"data_dir: {folder}\n{CONFIG}")
    return str(path)


def test_log_is_listed_exported_and_verified(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: None) as url:
        assert invoke("teams", "create", "new", "--url", url).exit_code == 0
        listed = invoke("audit", "list", "--kind", "team", "--url", url)
        assert "admin-token (127.0.0.1)" in listed.output
        assert "team new" in listed.output
        assert json.loads(invoke("audit", "list", "--json", "--url", url).output)[0]["name"] == "new"
        assert "no record" in invoke("audit", "list", "--actor", "nobody", "--url", url).output
        exported = invoke("audit", "export", "--url", url).output
        syslog = invoke("audit", "export", "--format", "syslog", "--after", "1", "--url", url).output
        assert syslog.startswith("<109>1 ")
        assert invoke("audit", "export", "--format", "csv", "--url", url).exit_code == 2
        verified = invoke("audit", "verify", "--config", config(tmp_path))
        assert (verified.exit_code, "the log is intact: 2 records" in verified.output) == (0, True), verified.output
        file = tmp_path / "export.jsonl"
        file.write_text(exported)
        assert invoke("audit", "verify", "--file", str(file)).exit_code == 0
        file.write_text(exported.replace("admin-token", "user:ann"))
        assert "was changed" in invoke("audit", "verify", "--file", str(file)).output


@pytest.mark.parametrize("statement", ["DELETE FROM audit WHERE number = 2", "UPDATE audit SET actor = 'x'"])
def test_tampering_is_found_until_it_is_accepted(tmp_path: Path, statement: str) -> None:
    with served(tmp_path, lambda _: None) as url:
        assert invoke("teams", "create", "new", "--url", url).exit_code == 0
        with sqlite3.connect(tmp_path / "pointsman.db") as database:
            database.execute(statement)
        found = invoke("audit", "verify", "--config", config(tmp_path), "--json")
        assert found.exit_code == 1
        assert json.loads(found.output)["intact"] is False
        if "DELETE" in statement:
            assert "the fault was: the anchor has 2 records" in invoke("audit", "accept", "--url", url).output
            assert invoke("audit", "verify", "--config", config(tmp_path)).exit_code == 0
            assert "there was no fault" in invoke("audit", "accept", "--url", url).output
