"""The gateways that the scenarios are played against, each in a process of its own.

LiteLLM has its defaults, and the settings that its documentation gives for failover: a fallback for each name. Its
cooldowns, retries and timeouts are its own.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from bench.failover.scenarios import DEAD, FALLBACK, FALLBACK_MODEL, PRIMARY_MODEL, SCENARIOS
from bench.processes import free_ports

from pointsman.simulate import SimulatedProvider

START_S = 300.0  # time for a gateway to become ready; a proxy may take a minute on a busy machine
LITELLM = "litellm"

Providers = Mapping[str, SimulatedProvider]


@asynccontextmanager
async def pointsman(
    folder: Path, providers: Providers, models: Mapping[str, object], routing: Mapping[str, object]
) -> AsyncIterator[str]:
    """Run a gateway of this environment with these public names and routing settings. Yield the address of its API. Its
    request log is `requests.log` in the folder."""
    port, console = free_ports(2)
    endpoints = {
        name: {"type": "openai-compatible", "base_url": one.base_url, "keys": {"only": ""}}
        for name, one in providers.items()
    }
    sections: dict[str, object] = {
        "version": 1,
        "server": {"listen": f"127.0.0.1:{port}"},
        "console": {"listen": f"127.0.0.1:{console}"},
        "logging": {"file": "requests.log"},
        "providers": endpoints,
        "models": models,
        "governance": {"require_key": False},
    }
    file = folder / "pointsman.yaml"
    file.write_text(json.dumps(sections | ({"routing": routing} if routing else {})))
    program = Path(sys.executable).with_name("pointsman")
    command = [str(program), "serve", "--config", str(file)]
    async with _running(command, folder, f"http://127.0.0.1:{port}/readyz"):
        yield f"http://127.0.0.1:{port}/v1"


def litellm_settings(providers: Providers) -> dict[str, object]:
    """Return the configuration of LiteLLM for the scenarios: a fallback for each name."""
    models = [litellm_entry("well", FALLBACK_MODEL, providers[FALLBACK])]
    models.append(litellm_entry("burst", PRIMARY_MODEL, providers[DEAD[0]]))
    models += [litellm_entry(name, PRIMARY_MODEL, providers[name]) for name in DEAD[1:]]
    models += [litellm_entry(one.name, PRIMARY_MODEL, providers[one.name.lower()]) for one in SCENARIOS]
    fallbacks = [{one.name: ["well"]} for one in SCENARIOS]
    return {
        "model_list": models,
        "litellm_settings": {
            "fallbacks": [*fallbacks, {"burst": [*DEAD[1:], "well"]}],
            "context_window_fallbacks": [{"S12": ["well"]}],
        },
    }


def litellm_entry(name: str, model: str, provider: SimulatedProvider) -> dict[str, object]:
    """Return one deployment of LiteLLM."""
    address = {"api_base": provider.base_url, "api_key": "none"}
    return {"model_name": name, "litellm_params": {"model": f"openai/{model}", **address}}


@asynccontextmanager
async def litellm(folder: Path, environment: Path, settings: Mapping[str, object]) -> AsyncIterator[str]:
    """Run the proxy of LiteLLM from a virtual environment. Yield the address of its API."""
    (port,) = free_ports(1)
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(settings))
    program = environment / "bin" / LITELLM
    command = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    async with _running(command, folder, f"http://127.0.0.1:{port}/health/readiness"):
        yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def _running(command: list[str], folder: Path, probe: str) -> AsyncIterator[None]:
    """Run a program until the caller is done. Wait until its probe answers."""
    variables = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the proxy must not fetch it
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with (folder / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=variables, stdout=output, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with httpx.AsyncClient() as client, asyncio.timeout(START_S):
                while not await _is_ready(client, probe):
                    if process.returncode is not None:
                        raise RuntimeError(f"{command[0]} ended: {(folder / 'output').read_text()[-2000:]}")
                    await asyncio.sleep(0.1)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _is_ready(client: httpx.AsyncClient, probe: str) -> bool:
    try:
        return (await client.get(probe)).status_code == 200
    except httpx.HTTPError:
        return False
