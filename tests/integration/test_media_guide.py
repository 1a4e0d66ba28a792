"""The guide for media is true: its configurations compile, and its commands work."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from integration.gateway import run, serving
from integration.governance import governance, key_value
from integration.test_media import provider, wav
from pointsman.config.compile import compile_file

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "media.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
COMMANDS = [text for text in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) if "curl" in text]
MODELS = {
    "painter": ["alpha/gpt-image-1"],
    "voice": ["alpha/tts-1"],
    "ears": ["alpha/whisper-1"],
    "judge": ["alpha/omni-moderation-latest"],
    "ranker": ["alpha/rerank-v3.5"],
    "reader": ["alpha/mistral-ocr-latest"],
}


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_configuration_of_the_guide_compiles(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text)
    environ = {name: f"value-of-{name}-for-the-test" for name in re.findall(r"\benv\.([A-Z_]+)", text)}
    checked = compile_file(path, environ)
    assert [str(problem) for problem in checked.problems if problem.severity == "error"] == []
    assert checked.compiled is not None
    assert not [problem for problem in checked.problems if "price of" in str(problem)], "every price is known"


def test_every_path_has_a_command() -> None:
    assert len(YAML) == 2
    assert len(COMMANDS) == 7


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands need curl")
def test_commands_of_the_guide_work(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "sound.wav").write_bytes(wav(2))

    async def main() -> None:
        async with serving(
            providers={"alpha": provider()}, models=MODELS, governance=governance({"me": {}})
        ) as gateway:
            for command in COMMANDS:
                process = await asyncio.create_subprocess_shell(
                    command.replace("http://127.0.0.1:8080/v1", gateway.base_url).replace("curl ", "curl -sS --fail "),
                    cwd=tmp_path,
                    env={**os.environ, "STUDIO_KEY": key_value("me")},
                    stderr=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
                _, problem = await process.communicate()
                assert process.returncode == 0, (command, problem)
            assert (tmp_path / "speech.mp3").stat().st_size == 12 * 256
            assert all(entry.status == 200 for entry in gateway.providers["alpha"].bill.entries)
            assert len(gateway.providers["alpha"].bill.entries) == len(COMMANDS)

    run(main())
