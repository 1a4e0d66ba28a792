"""`pointsman carry`: amounts of a file, each once, with precise errors."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["carry", *arguments], env={"POINTSMAN_ADMIN_TOKEN": TOKEN})


def test_amounts_of_a_file_are_carried_once(tmp_path: Path) -> None:
    file = tmp_path / "carried.json"
    one = {"owner": "virtual_key:me", "per": "day", "usd": "1.25"}
    file.write_text(json.dumps([one, {**one, "owner": "team:nobody"}]))
    (tmp_path / "plane").mkdir()
    with served(tmp_path / "plane", lambda _: None) as url:
        first = invoke(str(file), "--url", url)
        assert first.exit_code == 1
        assert first.output == "team:nobody per day: team:nobody has no budget per day\ncarried 1 of 2 amounts\n"
        again = json.loads(invoke(str(file), "--url", url, "--json").stdout)
        assert (again["carried"], len(again["refused"])) == (0, 2)


@pytest.mark.parametrize(("text", "expected"), [("{", "it is not JSON"), ("[]", "no list of amounts")])
def test_unusable_file_is_named(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "carried.json"
    file.write_text(text)
    result = invoke(str(file))
    assert (result.exit_code, expected in " ".join(result.output.split())) == (2, True)
