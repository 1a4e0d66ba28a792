"""`pointsman budgets`: lists every limit, used or not."""

import json
from pathlib import Path

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def fill(plane: ControlPlane) -> None:
    plane.write(1, nano=1_250_000_000)


def test_unused_limits_are_listed(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: None) as url:
        done = CliRunner().invoke(build_app(), ["budgets", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line.split() for line in done.output.splitlines()]
        assert any(line[:6] == ["virtual_key:me", "day", "$5.00", "$0.00", "$0.00", "$5.00"] for line in lines)
        assert any(line[:3] == ["team:research", "month", "$100.00"] for line in lines)


def test_used_and_remaining_amounts_are_shown(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["budgets", "--url", url, "--owner", "virtual_key:me"], env=ENV)
        lines = [line.split() for line in done.output.splitlines()]
        assert any(line[:6] == ["virtual_key:me", "day", "$5.00", "$1.25", "$0.00", "$3.75"] for line in lines)
        assert "team:research" not in done.output
        done = CliRunner().invoke(build_app(), ["budgets", "--url", url, "--json", "--limit", "1"], env=ENV)
        assert len(json.loads(done.output)) == 1
        for owner, message in (("entry:me/openai", "no limits found"), ("team:nobody", "there is no team")):
            done = CliRunner().invoke(build_app(), ["budgets", "--url", url, "--owner", owner], env=ENV)
            assert message in done.output
            assert done.exit_code == (1 if owner == "team:nobody" else 0)
