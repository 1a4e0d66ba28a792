"""Google's own SDK works through the gateway with providers of every dialect."""

import asyncio
import os

import pytest

from fakes.clock import PATIENCE_S
from fakes.obedient import RETURNED
from frameworks.test_frameworks import HERE, PYTHON
from integration.gateway import run
from integration.sdks import EVERY_UPSTREAM, VIRTUAL_KEY, Scene, scene

pytestmark = pytest.mark.frameworks

MODEL = "vendor/gpt-5"  # a name with a slash


async def program(found: Scene, name: str) -> list[str]:
    """Run a program with the address of the gateway, and return the lines that it prints."""
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), str(HERE / name), found.root, VIRTUAL_KEY, MODEL),
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    return out.decode().splitlines()


@EVERY_UPSTREAM
def test_sdk(upstream: str) -> None:
    if not PYTHON.exists():
        pytest.skip("the SDK is not installed: run `make test-frameworks`")

    async def main() -> None:
        async with scene(upstream, models={MODEL: [f"{upstream}/some-model"]}) as found:
            lines = await program(found, "with_google_genai.py")
            assert [line.strip() for line in lines] == [
                "cheese 100 20 STOP",
                "cheese STOP True",
                f"{RETURNED}notes.txt says buy milk",
                f"{RETURNED}notes.txt says buy milk",
                "thanks",
                "Person(name='Ann', age=42)",
                "thinking hard hm",
                "cheese",
                "True",
                "True",
                f"models/{MODEL}",
                "cheese",
                '[404, "NOT_FOUND", ["MODEL_NOT_FOUND"]]',
                '[401, "UNAUTHENTICATED", ["INVALID_API_KEY"]]',
                "cheese",
            ]

    run(main())
