"""The guide for clients is true: its configuration compiles, and its programs run."""

import asyncio
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from integration.gateway import run
from integration.sdks import EVERY_UPSTREAM, VIRTUAL_KEY, scene
from pointsman.config.compile import compile_file

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "clients.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
# Google's SDK has an environment of its own: `frameworks/test_google_genai.py` runs it.
PROGRAMS = [
    program
    for program in re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    if "from google" not in program
]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_configuration_of_the_guide_compiles(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text)
    environ = {name: f"value-of-{name}-for-the-test" for name in re.findall(r"\benv\.([A-Z_]+)", text)}
    checked = compile_file(path, environ)
    assert [str(problem) for problem in checked.problems if problem.severity == "error"] == []
    assert checked.compiled is not None


@EVERY_UPSTREAM
@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_of_the_guide_prints_answers(program: str, upstream: str) -> None:
    async def main() -> None:
        async with scene(upstream, models={"coder": [f"{upstream}/some-model"]}) as found:
            text = program.replace("http://127.0.0.1:8080", found.root)
            printed = io.StringIO()
            names: dict[str, Any] = {"key": VIRTUAL_KEY}
            with contextlib.redirect_stdout(printed):
                await asyncio.to_thread(exec, compile(text, "clients.md", "exec"), names)
            names["client"].close()
            assert len(printed.getvalue().splitlines()) == text.count("print(")

    run(main())


def test_guide_has_programs() -> None:
    assert len(PROGRAMS) == 2
    assert len(YAML) == 2
