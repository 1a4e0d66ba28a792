"""OpenCode, as released, works through the gateway with providers of every dialect."""

import json
from pathlib import Path

import pytest

from coding_agents.scene import ADDRESS, CONTENT, FILE, KEY, in_guide, scene, skip_unless_possible
from fakes.obedient import RETURNED, TYPES
from integration.gateway import run

pytestmark = pytest.mark.agents

QUIET = dict.fromkeys(("OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE"), "1")


@pytest.mark.parametrize("upstream", list(TYPES))
def test_session_reads_a_file(upstream: str, tmp_path: Path) -> None:
    skip_unless_possible("opencode")

    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            (found.work / "opencode.json").write_text(in_guide("OpenCode", "json").replace(ADDRESS, found.root))
            asked = ("use", "read", "with", json.dumps({"filePath": str(found.work / FILE)}, separators=(",", ":")))
            out = await found.run("opencode", "run", "--format", "json", *asked, POINTSMAN_KEY=KEY, **QUIET)
            events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
            text = [event["part"]["text"] for event in events if event["type"] == "text"][-1]
            assert text.startswith(RETURNED)
            assert CONTENT in text
            records = await found.gateway.wait_for_records(2)
            assert {(record["path"], record["status"]) for record in records} == {("/v1/chat/completions", 200)}

    run(main())
