"""`pointsman statement`: the spending of a month."""

import json
import time
from pathlib import Path

from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["statement", *arguments], env=ENV)


def test_statement_is_printed_and_exported(tmp_path: Path) -> None:
    month = time.strftime("%Y-%m", time.gmtime())
    with served(tmp_path, lambda plane: plane.write(1, nano=70_000)) as url:
        shown = invoke("--month", month, "--url", url).output
        assert "acme" in shown
        assert "total: $0.000070000; the month goes on" in shown
        assert json.loads(invoke("--month", month, "--json", "--url", url).output)["total"]["cost_nano"] == 70_000
        text = invoke("--month", month, "--format", "csv", "--url", url).output
        assert text.splitlines()[1].startswith(f"{month},acme,research,me,openai,gpt-4o,1,")
        assert invoke("--month", month, "--format", "focus", "--url", url).output.startswith("BilledCost,")
        assert invoke("--month", month, "--format", "pdf", "--url", url).exit_code == 2
        assert "month" in invoke("--month", "2026", "--url", url).output
