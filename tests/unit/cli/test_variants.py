"""`pointsman variants`: a readable table, and JSON."""

import json
from pathlib import Path

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane
from pointsman.cli import build_app
from unit.admin.api.test_variants import CHAT, attempt, write

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def fill(plane: ControlPlane) -> None:
    for number in range(3):
        write(plane, number, attempt("gpt-4o"))
    write(plane, 3, attempt("gpt-4o-mini", "upstream_error", 0), attempt("gpt-4o"))


def test_table_shows_shares_and_reasons(tmp_path: Path) -> None:
    with served(tmp_path, fill, models=CHAT) as url:
        done = CliRunner().invoke(build_app(), ["variants", "chat", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line.split() for line in done.output.splitlines() if line.strip()]
        control, trial = lines[2:]
        assert control[:5] == ["chat", "control", "openai/gpt-4o", "75.0%", "100.0%"]
        assert control[-2:] == ["took_over", "1"]
        assert trial[:7] == ["chat", "trial", "openai/gpt-4o-mini", "(canary)", "25.0%", "0.0%", "0"]
        assert trial[-2:] == ["failed_over", "1"]
        data = CliRunner().invoke(build_app(), ["variants", "--url", url, "--json"], env=ENV)
        assert len(json.loads(data.output)["rows"]) == 2


def test_gateway_without_variants_says_so(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        done = CliRunner().invoke(build_app(), ["variants", "--url", url], env=ENV)
        assert done.output == "no public name has several targets or a variant; add some to compare them\n"
