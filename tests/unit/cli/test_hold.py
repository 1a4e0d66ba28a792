"""`pointsman hold`: an order with a duration and a reason."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), env=ENV)


def test_provider_is_held_for_some_time_or_forced_in(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        done = invoke("hold", "openai", "--for", "90m", "--reason", "maintenance", "--url", url)
        assert done.exit_code == 0, done.output
        assert done.output.startswith("openai is held out of use until 20")
        forced = invoke("hold", "openai/gpt-4o", "--in", "--url", url)
        assert forced.output == "openai/gpt-4o is forced into use until it is released\n"
        shown = invoke("health", "--url", url).output
        rows = [line.split()[:2] for line in shown.splitlines()]
        assert ["openai", "out"] in rows
        assert ["openai/gpt-4o", "in"] in rows
        assert "maintenance" in shown


def test_unknown_name_is_an_error(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        done = invoke("hold", "nobody", "--url", url)
        assert done.exit_code == 1
        assert "no provider is named 'nobody'" in done.output


@pytest.mark.parametrize("duration", ["", "1", "h", "-1h", "0s", "infd", "1w"])
def test_duration_needs_a_number_and_a_unit(duration: str) -> None:
    done = invoke("hold", "openai", "--for", duration)
    assert done.exit_code == 2
    assert "is not a duration" in done.output
