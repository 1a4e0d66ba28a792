"""Prompts are counted before their bytes refuse them: more of them run at once, and no bill exceeds its reservation.

With `POINTSMAN_MEASURE` set, the numbers of simultaneous requests are written to docs/measurements.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from integration.client import Client
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd
from pointsman.simulate import Settings

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "measurements" / "tight_reservations.json"
PROSE = (ROOT / "LICENSE").read_text()
CODE = "".join(path.read_text() for path in sorted((ROOT / "src" / "pointsman" / "engine").glob("*.py")))
SIZE = 50_000  # bytes
PER_MINUTE = 200_000
BY_BYTES = 3  # prompts of `SIZE` that fit by their bytes: each needs 50,000 tokens, 512, and its answer


def prompt(text: str, size: int = SIZE) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": (text * (size // len(text) + 1))[:size]}], max_tokens=100)


def governed(keys: dict[str, Any], provider: Settings, **server: Any) -> Any:
    return serving(
        providers={"alpha": provider},
        models={"chat": ["alpha/gpt-4o-mini"]},
        governance=governance(keys),
        pricing=prices("alpha/gpt-4o-mini", output_tokens=500),
        server=server,
        as_process=True,
    )


async def run_at_once(gateway: Gateway, body: dict[str, Any], wanted: int) -> tuple[int, float]:
    """Send requests whose answers never come. Return how many of them run at once, and how many were counted."""
    provider = gateway.providers["alpha"]
    clients = [await Client.connect(gateway.port) for _ in range(wanted)]
    asking = [asyncio.create_task(client.ask(body, headers=bearer("me"))) for client in clients]
    await until(
        lambda: len(provider.requests) + sum(task.done() for task in asking) == wanted, "every request runs or failed"
    )
    running = len(provider.requests)
    assert all(task.result().status == 429 for task in asking if task.done())
    counted = (await gateway.metrics())["pointsman_prompts_counted_total"]
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    for client in clients:
        await client.close()
    return running, counted


@pytest.mark.parametrize(
    ("kind", "text", "at_least"), [("prose", PROSE, 10), ("code", CODE, 7), ("repeated", "=", BY_BYTES)]
)
def test_long_prompts_run_at_once_under_a_limit_of_tokens(kind: str, text: str, at_least: int) -> None:
    async def main() -> None:
        key = {"me": {"rate_limits": [{"tokens": PER_MINUTE, "per": "hour"}]}}
        async with governed(key, settings(kept_requests=100, schedule=())) as gateway:
            gateway.providers["alpha"].set_fault("hang")
            running, counted = await run_at_once(gateway, prompt(text), 14)
            assert at_least <= running < 14
            assert counted == 14, "each prompt would take a fourth of the limit"
        if "POINTSMAN_MEASURE" in os.environ:
            known = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
            known[kind] = {"at_once": running, "at_once_by_bytes": BY_BYTES, "counted": int(counted), "requests": 14}
            MEASURED.write_text(json.dumps(known, indent=1) + "\n")

    run(main())


@pytest.mark.parametrize("workers", [1, 3])
def test_bill_never_exceeds_a_budget_of_counted_prompts(workers: int) -> None:
    limit_usd = 0.02  # eight prompts of 12,500 tokens: their bytes reserve $0.0076 each, and they cost $0.0019

    async def main() -> None:
        key = {"me": {"budgets": usd(str(limit_usd))}}
        async with governed(key, settings(output_tokens=10.0, kept_requests=100), workers=workers) as gateway:

            async def ask() -> int:
                client = await Client.connect(gateway.port)
                try:
                    return (await client.ask(prompt(PROSE), headers=bearer("me"))).status
                finally:
                    await client.close()

            answers = await asyncio.gather(*(ask() for _ in range(20)))
            answers += [await ask() for _ in range(4)]
            assert set(answers) == {200, 402}
            assert billed_nano(gateway) <= limit_usd * NANO
            assert billed_nano(gateway) > limit_usd * NANO - 0.0026 * NANO * workers, "no prompt fits that was counted"
            found = await gateway.metrics()
            assert found.get("pointsman_overruns_total", 0) == 0
            records = await gateway.wait_for_records(len(answers))
            told = [record for record in records if "verdicts" in record and record["status"] == 200]
            assert told
            assert all(record["verdicts"][-1].endswith("tokens (counted)") for record in told)
            refused = next(record for record in records if record["status"] == 402)
            assert "(counted)" in refused["message"]

    run(main())


def test_requests_that_fit_are_not_counted() -> None:
    async def main() -> None:
        key = {"me": {"rate_limits": [{"tokens": 10 * PER_MINUTE, "per": "hour"}], "budgets": usd("1")}}
        async with governed(key, settings()) as gateway:
            for _ in range(3):
                client = await Client.connect(gateway.port)
                assert (await client.ask(prompt(PROSE), headers=bearer("me"))).status == 200
                await client.close()
            assert (await gateway.metrics())["pointsman_prompts_counted_total"] == 0

    run(main())
