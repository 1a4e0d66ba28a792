"""Frameworks on their default paths work through the gateway with providers of every dialect."""

import asyncio
import os
from pathlib import Path

import pytest

from fakes.clock import PATIENCE_S
from fakes.obedient import RETURNED
from integration.gateway import run
from integration.sdks import EVERY_UPSTREAM, VIRTUAL_KEY, scene

pytestmark = pytest.mark.frameworks

HERE = Path(__file__).parent
VENV = HERE.parents[1] / ".venv"
PYTHON = VENV / "frameworks" / "bin" / "python"
LLAMA_INDEX = VENV / "llama-index" / "bin" / "python"  # it needs another version of OpenAI's SDK than LangChain
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
USES = [
    ("with_langchain_openai.py", "default", CHAT),
    ("with_langchain_openai.py", "responses", RESPONSES),
    ("with_langchain_anthropic.py", "", MESSAGES),
    ("with_pydantic_ai.py", "openai", RESPONSES),
    ("with_pydantic_ai.py", "openai-chat", CHAT),
    ("with_pydantic_ai.py", "anthropic", MESSAGES),
    ("with_openai_agents.py", "", RESPONSES),
    ("with_llama_index.py", "", CHAT),
]
TAKE_THE_ADDRESS = ("langchain", "llama_index")


@EVERY_UPSTREAM
@pytest.mark.parametrize(
    ("program", "argument", "path"), USES, ids=[f"{name}-{argument}".strip("-") for name, argument, _ in USES]
)
def test_framework(program: str, argument: str, path: str, upstream: str) -> None:
    python = LLAMA_INDEX if "llama_index" in program else PYTHON
    if not python.exists():
        pytest.skip("the frameworks are not installed: run `make test-frameworks`")

    async def main() -> None:
        async with scene(upstream, models={"coder": [f"{upstream}/some-model"]}) as found:
            environ = {
                "PATH": os.environ["PATH"],
                "OPENAI_BASE_URL": found.gateway.base_url,
                "OPENAI_API_KEY": VIRTUAL_KEY,
                "ANTHROPIC_BASE_URL": found.root,
                "ANTHROPIC_API_KEY": VIRTUAL_KEY,
            }
            arguments = [found.root] if any(name in program for name in TAKE_THE_ADDRESS) else []
            process = await asyncio.create_subprocess_exec(
                *(str(python), str(HERE / program), *arguments, *([argument] if argument else [])),
                env=environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
            assert process.returncode == 0, err.decode()
            assert out.decode().splitlines() == [
                "cheese",
                "cheese",
                f"{RETURNED}notes.txt says buy milk",
                "Person(name='Ann', age=42)" if "langchain" not in program else "name='Ann' age=42",
            ]
            records = await found.gateway.wait_for_records(5)
            assert {(record["path"], record["status"]) for record in records} == {(path, 200)}

    run(main())
