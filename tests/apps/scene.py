"""The scene of a program that people host: a gateway as a process, in front of an obedient provider.

Such programs look for updates at their makers, so they run only where no network exists but the machine's own.
"""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.obedient import TYPES, Obedient, obedient, sections
from integration.gateway import Gateway, serving

ROOT = Path(__file__).parents[2]
APPS = ROOT / ".venv" / "apps"
GUIDE = (ROOT / "docs" / "guides" / "clients.md").read_text()
KEY = "pm-a-virtual-key-of-24-characters"
MODELS = tuple(f"{name}-model" for name in TYPES)  # each served in another dialect
ADDRESS = "http://pointsman:8080"  # in the examples of the guide


def skip_unless_possible(program: Path) -> None:
    """Skip a test if the program is missing, or could reach the internet."""
    if not program.exists() or [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.skip(f"{program.name} runs only in a network of its own: run `make test-apps`")


def in_guide(heading: str, language: str) -> str:
    """Return the first block of a language under a heading of the guide."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@dataclass
class Scene:
    """`folder` is empty, for the files of the program."""

    gateway: Gateway
    provider: Obedient
    folder: Path

    @property
    def root(self) -> str:
        return self.gateway.base_url.removesuffix("/v1")

    @contextlib.asynccontextmanager
    async def running(self, *command: str, **environ: str) -> AsyncIterator["Running"]:
        """Run a program until the end of the block, with its output in a file."""
        variables = {"HOME": str(self.folder), "PATH": os.environ["PATH"], **environ}
        log = self.folder / "output.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, env=variables, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            yield Running(process, log)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@dataclass
class Running:
    """A process, and the file with its output."""

    process: asyncio.subprocess.Process
    log: Path

    def ensure(self) -> None:
        """Fail with the output if the process has ended."""
        assert self.process.returncode is None, self.log.read_text()


@contextlib.asynccontextmanager
async def scene(folder: Path, governance: Mapping[str, Any], **environ: str) -> AsyncIterator[Scene]:
    """Run a gateway in front of an obedient provider, which serves `MODELS` at a price, in each dialect."""
    async with obedient() as provider:
        parts: dict[str, Any] = sections(dict.fromkeys(TYPES, provider))
        parts["environ"] |= environ
        price = {"model": "*/some-model", "input_usd_per_million": 1, "output_usd_per_million": 5}
        parts["pricing"] = {"overrides": [{**price, "max_output_tokens": 1000}]}
        async with serving(as_process=True, is_alone=False, governance=governance, **parts) as gateway:
            yield Scene(gateway, provider, folder)
        assert not [seen for seen in provider.requests if KEY in str(seen.headers)]
