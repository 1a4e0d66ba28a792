"""Vercel's AI SDK, as released, works through the gateway with providers of every dialect."""

import shutil
from pathlib import Path

import pytest

from coding_agents.scene import KEY, PROGRAMS, scene, skip_unless_possible
from fakes.obedient import RETURNED, TYPES
from integration.gateway import run

pytestmark = pytest.mark.agents

PROGRAM = Path(__file__).with_name("with_vercel_ai.mjs")
PATHS = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "compatible": "/v1/chat/completions",
    "anthropic": "/v1/messages",
}


@pytest.mark.parametrize("upstream", list(TYPES))
@pytest.mark.parametrize("provider", PATHS)
def test_answers_streams_tools_and_objects(provider: str, upstream: str, tmp_path: Path) -> None:
    skip_unless_possible("opencode")  # it is installed with the packages of the program

    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            program = shutil.copy(PROGRAM, PROGRAMS.parents[1])  # beside its packages
            out = await found.run("node", str(program), found.root, provider, POINTSMAN_KEY=KEY)
            lines = [line for line in out.splitlines() if not line.startswith("AI SDK Warning")]
            assert lines == ["cheese", "cheese", f"{RETURNED}notes.txt says buy milk", '{"name":"Ann","age":42}']
            records = await found.gateway.wait_for_records(5)
            assert {(record["path"], record["status"]) for record in records} == {(PATHS[provider], 200)}

    run(main())
