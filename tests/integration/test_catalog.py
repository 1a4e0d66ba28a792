"""The model catalog in a gateway: names without a provider, siblings, prices, lists, updates, and
no connections at the start.

With `POINTSMAN_MEASURE` set, the times of `docs/measurements/catalog_add.json` are written.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import monotonic
from typing import Any

import pytest
from openai import AsyncOpenAI

from integration.gateway import chat, run, serving, until
from pointsman.config.catalog import install
from pointsman.simulate import Settings

# The same model under the names of two providers of the catalog.
PROVIDERS = {"alpha": Settings(), "beta": Settings(models=("openai/gpt-4o-mini",))}
FIELDS = {"alpha": {"catalog": "openai"}, "beta": {"catalog": "openrouter"}}


WITH_SIBLINGS = {"public": {"targets": ["alpha/gpt-4o-mini"], "siblings": True}}


@pytest.mark.parametrize("model", ["gpt-4o-mini", "GPT-4o-mini", "public"])
def test_sibling_serves_after_a_failure(model: str) -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, provider_settings=FIELDS, models=WITH_SIBLINGS) as gateway:
            assert (await gateway.ask(chat(model))).headers["x-pointsman-provider"] == "alpha"
            gateway.providers["alpha"].set_fault("status=500")
            answer = await gateway.ask(chat(model))
            assert answer.status == 200
            assert answer.headers["x-pointsman-provider"] == "beta"
            assert answer.headers["x-pointsman-model"] == "openai/gpt-4o-mini"
            records = await gateway.wait_for_records(2)
            assert all(record["cost_nano"] > 0 for record in records), "the price of the catalog was not used"

    run(main())


def test_explicit_targets_have_no_siblings() -> None:
    async def main() -> None:
        sections: dict[str, Any] = {"models": {"public": ["alpha/gpt-4o-mini"]}, "routing": {"max_attempts": 2}}
        async with serving(providers=PROVIDERS, provider_settings=FIELDS, **sections) as gateway:
            gateway.providers["alpha"].set_fault("status=500")
            assert (await gateway.ask(chat("public"))).status == 502
            assert (await gateway.ask(chat("alpha/gpt-4o-mini"))).status == 502
            assert not gateway.providers["beta"].counters.requests_received
            assert (await gateway.ask(chat("gpt-4o-mini"))).status == 200, "a name without a provider was not served"

    run(main())


def test_official_client_lists_models_with_price_and_context() -> None:
    async def main() -> None:
        async with (
            serving(providers=PROVIDERS, provider_settings=FIELDS) as gateway,
            AsyncOpenAI(base_url=gateway.base_url, api_key="none") as client,
        ):
            models = {model.id: model async for model in client.models.list()}
            extension = (models["gpt-4o-mini"].model_extra or {})["pointsman"]
            assert extension["context"] == 128_000
            assert [one["provider"] for one in extension["providers"]] == ["alpha", "beta"]
            assert extension["providers"][0]["input_usd_per_million"] == 0.15
            assert (await client.models.retrieve("gpt-4o-mini")).owned_by == "alpha, beta"

    run(main())


def test_update_takes_effect_in_a_running_gateway() -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, provider_settings=FIELDS, as_process=True) as gateway:
            assert (await gateway.ask(chat("brand-new"))).status == 404
            await gateway.watches()
            entry = {"name": "brand-new", "from": 0}
            file = {"format": 1, "date": "9999-01-01", "sources": {}, "provenance": [{}]}
            file |= {"providers": {"openai": {"hosts": [], "models": {"gpt-4o-mini": entry}}}}
            file |= {"names": {"brand-new": ["brand-new", "openai/gpt-4o-mini"]}}
            install(gateway.config_file.parent / "data", json.dumps(file).encode(), force=True)
            await until(lambda: any("is in force" in line for line in gateway.stderr), "the catalog is in force")
            assert (await gateway.ask(chat("brand-new"))).status == 200

    run(main())


HOOK = """
import os, sys
def hook(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "localhost"):
        note(f"{event} {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] != "127.0.0.1":
        note(f"{event} {arguments[1]}")
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\\n")
sys.addaudithook(hook)
note(f"began {' '.join(sys.argv[:2])}")
"""


def test_start_opens_no_connection(tmp_path: Path) -> None:
    """All providers are reached through this test's proxy, which counts connections. Uses of Python's own sockets are
    recorded in every process. A final request shows that both would be detected."""
    notes = tmp_path / "notes"
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    connections: list[bytes] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.readline())
        writer.close()

    async def main() -> None:
        proxy = await asyncio.start_server(count, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        environ = {"PYTHONPATH": str(tmp_path), "NOTES": str(notes), "SOME_KEY": "sk-some-provider-key"}
        fields = {name: {"type": name, "keys": {"only": "env.SOME_KEY"}} for name in ("openai", "groq", "mistral")}
        sections: dict[str, Any] = {"egress": {"proxy": f"http://127.0.0.1:{port}"}, "as_process": True}
        sections["routing"] = {"max_attempts": 1}
        async with proxy, serving(provider_settings=fields, environ=environ, **sections) as gateway:
            await gateway.ask(path="/v1/models", method="GET")
            await gateway.admin("/readyz")
            await asyncio.sleep(1)
            assert not connections
            assert (await gateway.ask(chat("openai/gpt-4o-mini"))).status in (502, 503)
            assert connections[0].startswith(b"CONNECT api.openai.com:443")

    run(main())
    lines = notes.read_text().splitlines()
    assert sum(line.startswith("began") for line in lines) >= 3, (
        "supervisor, worker or control did not record its start"
    )
    assert [line for line in lines if not line.startswith("began")] == []


MEASUREMENTS = Path(__file__).parents[2] / "docs" / "measurements"
RUNS = 10 if "POINTSMAN_MEASURE" in os.environ else 1


async def _added(gateway: Any, model: str) -> tuple[float, float, float]:
    """Add a model, and request it until it is served. Return the seconds of the command, those until the answer, and
    those of CPU time that the command took."""
    begin, before = monotonic(), getrusage(RUSAGE_CHILDREN)
    arguments = [model, "--provider", "alpha", "--price-input", "2", "--price-output", "8", "--like", "gpt-4o-mini"]
    command = [sys.executable, "-m", "pointsman", "catalog", "add", *arguments]
    process = await asyncio.create_subprocess_exec(*command, "--config", str(gateway.config_file), stdout=DEVNULL)
    assert await process.wait() == 0
    command_s, after = monotonic() - begin, getrusage(RUSAGE_CHILDREN)
    while (answer := await gateway.ask(chat(model))).status == 404:
        await asyncio.sleep(0.02)
    assert answer.status == 200
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return command_s, monotonic() - begin, cpu_s


def test_added_model_is_served_at_its_price_without_a_restart() -> None:
    """One command is enough. The price is that of the record, which the budgets of virtual keys count."""

    async def main() -> None:
        models = tuple(f"brand-new-{number}" for number in range(RUNS))
        fields = {"alpha": {"catalog": "openai"}}
        providers = {"alpha": Settings(models=models)}
        async with serving(providers=providers, provider_settings=fields, as_process=True) as gateway:
            await gateway.watches()
            times = [await _added(gateway, model) for model in models]
            records = await gateway.wait_for_records(RUNS, status=200)
            assert len(records) == RUNS
            assert all(record["cost_nano"] > 0 for record in records)
            if "POINTSMAN_MEASURE" in os.environ:
                commands, totals, cpu = zip(*times, strict=True)
                figures = {
                    "runs": RUNS,
                    "first_priced_request_s": sorted(round(one, 2) for one in totals),
                    "of_that_the_command_s": sorted(round(one, 2) for one in commands),
                    "cpu_of_the_command_s": sorted(round(one, 2) for one in cpu),
                    "load_average": round(os.getloadavg()[0], 1),
                    "cores": os.cpu_count(),
                }
                (MEASUREMENTS / "catalog_add.json").write_text(json.dumps(figures, indent=1) + "\n")

    run(main())
