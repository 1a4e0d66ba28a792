"""Gemini CLI, as released, works through the gateway with providers of every dialect."""

import json
import re
from pathlib import Path

import pytest

from coding_agents.scene import ADDRESS, CONTENT, FILE, KEY, in_guide, scene, skip_unless_possible
from fakes.obedient import RETURNED, TYPES
from integration.gateway import run

pytestmark = pytest.mark.agents

STREAM = "/genai/v1beta/models/coder:streamGenerateContent"


@pytest.mark.parametrize("upstream", list(TYPES))
def test_session_reads_a_file(upstream: str, tmp_path: Path) -> None:
    skip_unless_possible("gemini")

    async def main() -> None:
        async with scene(upstream, tmp_path) as found:
            variables = dict(re.findall(r"^export (\w+)=(.*)$", in_guide("Gemini CLI", "sh"), re.MULTILINE))
            environ = {name: value.replace(ADDRESS, found.root) for name, value in variables.items()}
            environ |= {"GEMINI_API_KEY": KEY, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
            (found.home / ".gemini").mkdir()
            (found.home / ".gemini" / "settings.json").write_text(in_guide("Gemini CLI", "json"))
            asked = f"use read_file with {json.dumps({'file_path': FILE})}"
            out = await found.run("gemini", "--model", "coder", "--prompt", asked, **environ)
            text = out.strip()
            assert RETURNED in text
            assert CONTENT in text
            records = await found.gateway.wait_for_records(2)
            assert {(record["path"], record["status"]) for record in records} == {(STREAM, 200)}

    run(main())
