"""`pointsman sessions`: sessions with their cost, and the tree of one."""

import json
import time
from pathlib import Path

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane
from pointsman.cli import build_app
from pointsman.cli.sessions import tree

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}
NOW = float(int(time.time()))


def fill(plane: ControlPlane) -> None:
    for number, (agent, parent) in enumerate([(None, None), ("a", None), ("b", "a"), (None, None)]):
        plane.write(number, NOW + number, session="s/1", agent=agent, parent_agent=parent)
    plane.write(9, NOW, session="[red]other", status=429, code="rate_limited")


def test_sessions_and_the_tree_of_one_are_printed(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["sessions", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line.rstrip() for line in done.output.splitlines() if " me " in line]
        assert [line.split()[-1] for line in lines] == ["s/1", "[red]other"]
        assert "$0.00000028" in lines[0]

        one = CliRunner().invoke(build_app(), ["sessions", "s/1", "--url", url], env=ENV)
        assert one.exit_code == 0, one.output
        found = one.output.splitlines()
        at = found.index("agents and requests, the oldest first")
        assert [line[: line.index(":")] for line in found[at + 3 :] if "agent " in line] == ["  agent a", "    agent b"]
        assert [len(line) - len(line.lstrip()) for line in found[at + 1 :]] == [2, 2, 2, 4, 4, 6]

        whole = CliRunner().invoke(build_app(), ["sessions", "s/1", "--url", url, "--json"], env=ENV)
        assert len(json.loads(whole.output)["requests"]) == 4
        none = CliRunner().invoke(build_app(), ["sessions", "other", "--url", url], env=ENV)
        assert none.exit_code == 1
        assert "there is no session 'other'" in none.stderr


def test_agents_that_name_each_other_are_printed_once() -> None:
    sums = {"requests": 1, "cost_nano": 1}
    agents = [{"agent": one, "parent_agent": parent, **sums} for one, parent in (("a", "b"), ("b", "a"), ("c", "c"))]
    lines = tree({"agents": agents, "requests": []})
    assert sorted(line.strip()[:7] for line in lines) == ["agent a", "agent b", "agent c"]
