"""`pointsman top`: one page of a running gateway."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane
from pointsman.cli import build_app


def page(url: str, *arguments: str) -> Result:
    command = ["top", "--every", "0.5", "--url", url, *arguments]
    return CliRunner().invoke(build_app(), command, env={"POINTSMAN_ADMIN_TOKEN": TOKEN})


def fill(plane: ControlPlane) -> None:
    plane.write(1, 1_700_000_000.0)
    plane.writer.close()


def test_page_has_traffic_and_limits(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        shown = page(url, "--once")
        assert shown.exit_code == 0, shown.output
        assert shown.output.startswith("0.0 requests/s   0.0% failed   0 in progress")
        assert "no attempt in this time" in shown.output
        assert "team:research" in shown.output
        data = json.loads(page(url, "--json").output)
        assert data["rates"]["targets"] == []
        assert data["status"]["store"] == "ok"


def test_gateway_that_does_not_run_is_told() -> None:
    shown = page("http://127.0.0.1:1", "--once")
    assert shown.exit_code == 1
    assert "is the gateway running?" in shown.output
