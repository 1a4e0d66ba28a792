"""Claude Code, as released, works through the gateway with providers of every dialect."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from coding_agents.scene import (
    ADDRESS,
    CONTENT,
    FILE,
    KEY,
    MODEL,
    Scene,
    in_guide,
    measure,
    scene,
    skip_unless_possible,
)
from fakes.obedient import RETURNED, TYPES
from integration.gateway import run

pytestmark = pytest.mark.agents

UPSTREAMS = pytest.mark.parametrize("upstream", list(TYPES))


@pytest.fixture(autouse=True)
def _possible() -> None:
    skip_unless_possible("claude")


async def asked(found: Scene, prompt: str, tool: str, *, is_direct: bool = False) -> dict[str, Any]:
    """Run one prompt with the environment of the guide. Return the result that Claude Code prints as JSON."""
    root, key = (found.provider.root, "another-key") if is_direct else (found.root, KEY)
    lines = in_guide("Claude Code", "sh").replace(ADDRESS, root).replace("$POINTSMAN_KEY", key)
    environ = dict(re.findall(r"^export (\w+)=(\S+)$", lines, re.MULTILINE))
    assert environ["ANTHROPIC_MODEL"] == MODEL
    command = ("claude", "-p", prompt, "--output-format", "json", "--allowedTools", tool)
    result: dict[str, Any] = json.loads(await found.run(*command, **environ))
    return result


def reading(found: Scene) -> str:
    return f"use Read with {json.dumps({'file_path': str(found.work / FILE)})}"


@UPSTREAMS
def test_session_reads_a_file(upstream: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            result = await asked(found, reading(found), "Read")
            assert result["result"].startswith(RETURNED)
            assert CONTENT in result["result"]
            assert (result["is_error"], result["num_turns"]) == (False, 2)
            assert result["usage"]["input_tokens"] == 200
            assert await found.statuses("/v1/messages", 2) == [(200, result["session_id"])] * 2
            assert {record["status"] for record in found.gateway.records} == {200}

    run(main())


@UPSTREAMS
def test_deferred_tools_are_loaded(upstream: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            result = await asked(found, 'use ToolSearch with {"query": "select:WebFetch"}', "ToolSearch")
            assert result["is_error"] is False
            assert {record["status"] for record in await found.gateway.wait_for_records(2)} == {200}
            assert '"WebFetch"' in json.dumps(found.provider.messages[-1].body["tools"])

    run(main())


def test_headers_and_fields_reach_anthropic_as_without_the_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        async with scene("anthropic", tmp_path) as found:
            await asked(found, reading(found), "Read")
            await asked(found, reading(found), "Read", is_direct=True)
            first, second, *direct = found.provider.messages
            assert len(direct) == 2
            measure("claude-code", direct[1])
            for ours, theirs in zip((first, second), direct, strict=True):
                headers = {name: value for name, value in theirs.headers.items() if name.startswith("anthropic-")}
                assert headers["anthropic-beta"].count(",") >= 3
                assert headers.items() <= ours.headers.items()
                assert list(ours.body) == list(theirs.body)
                for name in set(ours.body) - {"model", "messages", "metadata", "system"}:
                    assert ours.body[name] == theirs.body[name], name

    run(main())
