"""`pointsman pause`: of a team, a customer, a key or a provider."""

from pathlib import Path

from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), env=ENV)


def test_owners_and_providers_are_paused_and_released(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        for kind, name, hold in (
            ("team", "research", "team=research"),
            ("key", "me", "virtual_key=me"),
            ("provider", "openai", "openai"),
        ):
            done = invoke("pause", kind, name, "--for", "1h", "--reason", "spend check", "--url", url)
            assert done.exit_code == 0, done.output
            assert f"end it with `pointsman release {hold}`" in done.output
            assert hold in invoke("health", "--url", url).output
            assert invoke("release", hold, "--url", url).exit_code == 0
        unknown = invoke("pause", "team", "nobody", "--url", url)
        assert unknown.exit_code == 1
        assert "there is no team 'nobody'" in unknown.output
