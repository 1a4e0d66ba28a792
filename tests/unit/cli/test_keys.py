"""`pointsman keys`: make, list, change and revoke."""

import json
from pathlib import Path
from time import sleep

import pytest
from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["keys", *arguments], env=ENV)


def test_key_is_made_changed_and_revoked(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:

        def keys(*arguments: str, code: int = 0) -> str:
            for _ in range(200):
                done = invoke(*arguments, "--url", url)
                if "retry in a moment" not in done.output:
                    break
                sleep(0.02)
            assert done.exit_code == code, done.output
            return done.output

        options = ("--team", "research", "--budget", "5/day", "--rate", "600requests/minute", "--from", "10.0.0.0/8")
        made = keys("create", "app", *options, "--label", "tier=free", "--for", "30d", "--note", "a test")
        assert made.startswith("pm-")
        shown = json.loads(keys("show", "app"))
        assert shown["settings"] == {
            "team": "research",
            "budgets": [{"limit_usd": 5, "per": "day"}],
            "rate_limits": [{"requests": 600, "per": "minute"}],
            "from": ["10.0.0.0/8"],
            "labels": {"tier": "free"},
        }
        assert [line.split()[:3] for line in keys("list", "--team", "research").splitlines() if "app" in line] == [
            ["app", "active", "research"]
        ]
        assert "is disabled" in keys("disable", "app")
        assert "is active" in keys("enable", "app")
        keys("set", "app", "--unset", "budgets", "--unset", "team", "--expires", "never", "--note", "other")
        shown = json.loads(keys("show", "app"))
        assert (shown["team"], shown["expires_at"], shown["note"]) == (None, None, "other")
        keys("move", "app", "--team", "research")
        assert keys("rotate", "app", "--grace", "1h").splitlines()[0] != made.splitlines()[0]
        assert keys("delete", "app") == "the key app is revoked\n"
        assert "there is no key" in keys("show", "app", code=1)
        assert "no keys found" in keys("list")
        assert "in the file" in keys("list", "--file")
        assert json.loads(keys("show", "me"))["managed_by"] == "file"
        assert "unknown team" in keys("create", "b", "--team", "nope", code=1)


@pytest.mark.parametrize(
    "options",
    [
        ("--budget", "5"),
        ("--budget", "x/day"),
        ("--rate", "600/minute"),
        ("--label", "free"),
        ("--for", "1h", "--expires", "2030-01-01"),
    ],
)
def test_faulty_option_is_an_error(options: tuple[str, ...]) -> None:
    assert invoke("create", "app", *options).exit_code == 2
