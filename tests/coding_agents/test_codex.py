"""Codex, as released, works through the gateway with providers of every dialect."""

import json
from pathlib import Path
from typing import Any

import pytest

from coding_agents.scene import ADDRESS, CONTENT, FILE, KEY, Scene, in_guide, measure, scene, skip_unless_possible
from fakes.obedient import RETURNED, TYPES
from integration.gateway import run

pytestmark = pytest.mark.agents

UPSTREAMS = pytest.mark.parametrize("upstream", list(TYPES))


@pytest.fixture(autouse=True)
def _possible() -> None:
    skip_unless_possible("codex")


async def asked(found: Scene, prompt: str, *, is_direct: bool = False, searches: bool = False) -> list[dict[str, Any]]:
    """Run one prompt with the configuration of the guide. Return the events that Codex prints as JSON."""
    root, key = (found.provider.root, "another-key") if is_direct else (found.root, KEY)
    config = in_guide("Codex", "toml").replace(ADDRESS, root)
    if searches:
        config = config.replace('web_search = "disabled"\n', "")
    folder = found.home / ".codex"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(config)
    out = await found.run("codex", "exec", "--skip-git-repo-check", "--json", prompt, POINTSMAN_KEY=key)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def last_message(events: list[dict[str, Any]]) -> str:
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    text: str = next(item["text"] for item in reversed(items) if item["type"] == "agent_message")
    return text


READING = f"use exec_command with {json.dumps({'cmd': f'cat {FILE}'})}"


@UPSTREAMS
def test_session_reads_a_file(upstream: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            events = await asked(found, READING)
            assert last_message(events).startswith(RETURNED)
            assert CONTENT in last_message(events)
            assert events[-1]["type"] == "turn.completed"
            assert events[-1]["usage"]["input_tokens"] == 200
            session = events[0]["thread_id"]
            assert await found.statuses("/v1/responses", 2) == [(200, session)] * 2

    run(main())


@UPSTREAMS
def test_call_in_a_namespace_comes_back(upstream: str, tmp_path: Path) -> None:
    """An agent that does not exist is closed. Codex itself answers the call, so it has recognized it."""

    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            events = await asked(found, 'use multi_agent_v1__close_agent with {"target": "nobody"}')
            assert last_message(events).startswith(RETURNED)
            assert "unsupported call" not in last_message(events)
            last = found.provider.messages[-1].body
            assert "nobody" in json.dumps(last)
            assert {record["status"] for record in await found.gateway.wait_for_records(2)} == {200}

    run(main())


def test_fields_reach_openai_as_without_the_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        async with scene("openai", tmp_path) as found:
            await asked(found, READING, searches=True)
            await asked(found, READING, is_direct=True, searches=True)
            first, second, *direct = found.provider.messages
            assert len(direct) == 2
            measure("codex", direct[1])
            changing = {"model", "input", "client_metadata", "prompt_cache_key"}  # hold ids of the session
            for ours, theirs in zip((first, second), direct, strict=True):
                assert set(ours.body) == set(theirs.body)
                assert [tool["type"] for tool in ours.body["tools"]].count("namespace") == 1
                for name in set(ours.body) - changing:
                    assert ours.body[name] == theirs.body[name], name
                assert set(ours.body["client_metadata"]) == set(theirs.body["client_metadata"])

    run(main())
