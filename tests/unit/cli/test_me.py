"""`pointsman me`: keys of one's own."""

import json
from pathlib import Path
from time import sleep

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN
from pointsman.cli import build_app


def pointsman(token: str, url: str, *arguments: str, code: int = 0) -> str:
    for _ in range(200):
        done = CliRunner().invoke(build_app(), [*arguments, "--url", url], env={"POINTSMAN_ADMIN_TOKEN": token})
        if "retry in a moment" not in done.output:
            break
        sleep(0.02)
    assert done.exit_code == code, done.output
    return done.output


def test_member_makes_rotates_and_revokes_a_key(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        member = pointsman(TOKEN, url, "tokens", "create", "tina", "--role", "member@team:research").split()[0]

        def me(*arguments: str, code: int = 0) -> str:
            return pointsman(member, url, "me", *arguments, code=code)

        assert json.loads(me("show"))["permissions"]["keys:own"] == ["team:research"]
        assert "there is no access template for you" in me("templates")
        fields = ("team=research", "at_most=2", "budgets=[{limit_usd: 5, per: day}]")
        pointsman(TOKEN, url, "access-templates", "create", "members", *fields)
        assert "members  research  2" in " ".join(me("templates").split()).replace(" ", "  ")
        assert "you have no keys" in me("keys")
        made = me("create", "own", "--for", "1h", "--note", "a test")
        assert made.startswith("pm-")
        assert "$0" in me("keys")
        assert "virtual_key:own 0 % of usd/day" in me("keys")
        assert me("rotate", "own", "--grace", "1h").splitlines()[0] != made.splitlines()[0]
        assert json.loads(me("keys", "--json"))["keys"][0]["note"] == "a test"
        assert me("revoke", "own") == "the key own is revoked\n"
        assert "there is no key" in me("revoke", "own", code=1)
