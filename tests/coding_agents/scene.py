"""The scene of a coding agent: its own home, a folder with a file, and a gateway in front of obedient providers.

Agents call their makers' addresses, so they run only where no network exists but the machine's own.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.obedient import Obedient, Seen, obedient, sections
from integration.gateway import Gateway, serving

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".venv" / "agents" / "node_modules" / ".bin"
GUIDE = (ROOT / "docs" / "guides" / "clients.md").read_text()
KEY = "pm-a-virtual-key-of-24-characters"
MODEL = "coder"
FILE, CONTENT = "notes.txt", "buy milk"
MEASURED = ROOT / "docs" / "measurements" / "coding-agents.json"
_OF_TRANSPORT = frozenset({"host", "connection", "content-length", "accept-encoding"})
ADDRESS = "http://127.0.0.1:8080"  # in the examples of the guide


def skip_unless_possible(program: str) -> None:
    """Skip a test if the program is missing, or could reach the internet."""
    if not (PROGRAMS / program).exists() or [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.skip(f"{program} runs only in a network of its own: run `make test-agents`")


def in_guide(heading: str, language: str) -> str:
    """Return the first block of a language under a heading of the guide."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def measure(program: str, sent: Seen) -> None:
    """Write the parts of a request that a gateway has to pass on, if `POINTSMAN_MEASURE` is set."""
    if "POINTSMAN_MEASURE" not in os.environ:
        return
    versions = json.loads((ROOT / "tests" / "coding_agents" / "package.json").read_text())["dependencies"]
    table = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    table[program] = {
        "version": next(version for name, version in versions.items() if program in name),
        "path": sent.path,
        "headers": sorted(set(sent.headers) - _OF_TRANSPORT),
        "betas": sorted(filter(None, sent.headers.get("anthropic-beta", "").split(","))),
        "fields": sorted(sent.body),
        "tools": sorted({key for tool in sent.body["tools"] for key in tool}),
        "types_of_tools": sorted({tool.get("type", "custom") for tool in sent.body["tools"]}),
    }
    MEASURED.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


@dataclass
class Scene:
    """`work` is the folder in which the agent runs."""

    gateway: Gateway
    provider: Obedient
    home: Path
    work: Path

    @property
    def root(self) -> str:
        return self.gateway.base_url.removesuffix("/v1")

    async def run(self, *command: str, **environ: str) -> str:
        """Run a program to its end, and return its standard output."""
        variables = {"HOME": str(self.home), "PATH": f"{PROGRAMS}:{os.environ['PATH']}", **environ}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.work,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{out.decode()}\n{err.decode()}\n{json.dumps(self.gateway.records, indent=1)}"
        return out.decode()

    async def statuses(self, path: str, count: int) -> list[tuple[int, str]]:
        """Return the status and the session of each request for a path, of at least `count` requests."""
        records = await self.gateway.wait_for_records(count)
        return [(record["status"], record.get("session", "")) for record in records if record["path"] == path]


@contextlib.asynccontextmanager
async def scene(upstream: str, folder: Path) -> AsyncIterator[Scene]:
    """Run a gateway whose model `coder` is served by one obedient provider."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    (work / FILE).write_text(CONTENT + "\n")
    async with obedient() as provider:
        parts: dict[str, Any] = sections({upstream: provider})
        parts["models"] = {MODEL: [f"{upstream}/some-model"]}
        parts["environ"]["AGENT_KEY"] = KEY
        parts["governance"] = {"virtual_keys": {"agent": {"value": "env.AGENT_KEY"}}}
        async with serving(is_alone=False, **parts) as gateway:
            yield Scene(gateway, provider, home, work)
        assert not [seen for seen in provider.requests if KEY in str(seen.headers)]
    shutil.rmtree(home, ignore_errors=True)
