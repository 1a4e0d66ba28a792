"""Batches for tests: their files, their keys, and the comparison of the provider's bill with the books.

`PYTHONPATH=tests python -m integration.batching` kills processes while a batch of 1,000 lines is in progress. It writes
the bill and the books to `docs/measurements/batches.json`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fakes.clock import PATIENCE_S
from integration.client import Answer
from integration.databases import database
from integration.gateway import Gateway, run, serving
from integration.governance import NANO, bearer, governance, usd
from pointsman.simulate import Settings

MEASURED = Path(__file__).parents[2] / "docs" / "measurements" / "batches.json"
CHAT: Final = "/v1/chat/completions"
MODELS = {"small": ["alpha/gpt-4o-mini"], "large": ["alpha/gpt-4o"]}
PRICE = {
    "model": "alpha/*",
    "input_usd_per_million": "0.15",
    "output_usd_per_million": "0.6",
    "cached_input_usd_per_million": "0.075",
    "batch_percent": 50,
    "max_output_tokens": 50,
}
FORM = {"content-type": "multipart/form-data; boundary=B"}
_PART = b'--B\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
LINES = 1000
KILLS = ("worker, before the answer to its request", "control, while it is in progress", "all processes, at its end")


def line(number: int, model: str = "small", url: str = CHAT, **fields: Any) -> dict[str, Any]:
    """Return a line of a file."""
    body = {"model": model, "messages": [{"role": "user", "content": f"Question {number}?"}], **fields}
    return {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}


def jsonl(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def form(data: bytes, purpose: bytes = b"batch") -> bytes:
    """Return the form that uploads a file."""
    file = _PART % (b"file", b'; filename="lines.jsonl"', data)
    return _PART % (b"purpose", b"", purpose) + file + b"--B--\r\n"


def settings(**fields: Any) -> Settings:
    """Return a provider whose prices are those of `PRICE`."""
    return Settings(output_tokens=7.0, kept_requests=3, **fields)


def gateway(provider: Settings, limit_usd: str = "1", url: str | None = None, **sections: Any) -> Any:
    """Return a gateway with a hard budget, in front of one provider."""
    store: dict[str, Any] = {} if url is None else {"store": {"url": "env.TEST_STORE"}, "environ": {"TEST_STORE": url}}
    keys: dict[str, Any] = {
        "me": {"budgets": usd(limit_usd), "team": "red"},
        "mini": {"allow_models": ["small"], "team": "red"},
        "narrow": {"providers": {"alpha": {"allow_models": ["gpt-4o-mini"]}}, "team": "red"},
    }
    return serving(
        providers={"alpha": provider},
        governance=governance({**keys, "other": {}}, teams={"red": {"budgets": usd(limit_usd)}}),
        pricing={"overrides": [PRICE]},
        **{"as_process": True, "models": MODELS, **store, **sections},
    )


async def upload(running: Gateway, data: bytes, key: str = "me") -> Answer:
    return await running.ask(form(data), path="/v1/files", headers={**bearer(key), **FORM})


async def create(running: Gateway, file: str, key: str = "me", **fields: Any) -> Answer:
    body = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", **fields}
    return await running.ask(body, path="/v1/batches", headers=bearer(key))


async def ask_for(running: Gateway, path: str, key: str = "me", method: str = "GET") -> Answer:
    return await running.ask(None, method=method, path=path, headers=bearer(key))


def billed(running: Gateway) -> int:
    """Return the provider's charges for lines of batches, in nano-dollars."""
    return sum(one.charged_nano for one in running.providers["alpha"].bill.entries if one.method == "BATCH")


async def open_batches(running: Gateway) -> list[dict[str, Any]]:
    """Return the open batches, as soon as control answers."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError, ValueError):
                answer = await running.admin("/api/v1/batches")
                if answer.status == 200:
                    found: list[dict[str, Any]] = answer.json
                    return found
            await asyncio.sleep(0.1)


async def settled(running: Gateway) -> list[dict[str, Any]]:
    """Return the records of the requests whose batches are settled."""
    found = (await running.admin("/api/v1/records?limit=100")).json
    return [one for one in found if any(each.get("usage_source") == "provider" for each in one["attempts"])]


async def books(running: Gateway, batches: int = 1) -> dict[str, int]:
    """Return the amounts of the books once so many batches are settled, in nano-dollars: the cost in the reports, and
    the spending of each budget."""
    async with asyncio.timeout(PATIENCE_S):
        while await open_batches(running) or len(await settled(running)) < batches:
            await asyncio.sleep(0.1)
    total = (await running.admin("/api/v1/usage?group_by=key")).json["total"]
    limits = (await running.admin("/api/v1/budgets")).json
    return {
        "cost": total["cost_nano"],
        "held": total["held_nano"],
        **{one["owner"]: one["posted"] for one in limits if one["metric"] == "usd"},
    }


def kill(running: Gateway, *names: str) -> None:
    for name, pid in running.children.items():
        if name.startswith(names):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def kill_everything(running: Gateway) -> None:
    """Kill all processes, and start the gateway again."""
    assert running.process is not None
    running.process.kill()
    kill(running, "worker", "control", "admin")
    await running.process.wait()
    await running.start()


async def until_open(running: Gateway, state: str) -> dict[str, Any]:
    """Wait until the first open batch is in this state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await open_batches(running)
            if found and found[0]["state"] == state:
                return found[0]
            await asyncio.sleep(0.1)


async def play_kills(lines: int, batch_s: float, url: str | None = None) -> dict[str, Any]:
    """Request a batch under a hard budget, kill processes at three moments, and compare the bill with the books."""
    provider = settings(batch_s=batch_s, batch_failed_share=0.05, path_faults={"/v1/batches": "slow_answer=1.5"})
    data = jsonl([line(number, "large" if number % 3 == 0 else "small") for number in range(lines)])
    async with gateway(provider, url=url) as running:
        alpha = running.providers["alpha"]
        uploaded = await upload(running, data)
        assert uploaded.status == 200, uploaded
        requested = asyncio.create_task(create(running, uploaded.json["id"]))
        async with asyncio.timeout(PATIENCE_S):
            while not any(one.path == "/v1/batches" for one in alpha.bill.entries):
                await asyncio.sleep(0.01)
        kill(running, "worker")
        with contextlib.suppress(OSError):
            await requested
        lost = await until_open(running, "sent")
        made = await until_open(running, "made")
        held = made["held_nano"]
        assert lost["attempt_id"] == made["attempt_id"]
        kill(running, "control")
        await open_batches(running)
        async with asyncio.timeout(PATIENCE_S + batch_s):
            while sum(one.method == "BATCH" for one in alpha.bill.entries) < 0.9 * lines:
                await asyncio.sleep(0.05)
        await kill_everything(running)
        found = await books(running)
        return {"lines": lines, "kills": list(KILLS), "reserved_nano": held, "billed_nano": billed(running), **found}


def check(result: Mapping[str, Any]) -> None:
    """Check that all books agree with the bill, and that the reservation covered it."""
    bill = result["billed_nano"]
    assert bill > 0
    assert bill <= result["reserved_nano"] <= NANO
    assert {result["cost"], result["virtual_key:me"], result["team:red"]} == {bill}, result
    assert result["held"] == 0, result


async def _measure(store: str, lines: int) -> dict[str, Any]:
    if store == "sqlite":
        return await play_kills(lines, batch_s=6.0)
    async with database() as url:
        return await play_kills(lines, batch_s=6.0, url=url)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m integration.batching", description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--write", type=Path, default=MEASURED)
    arguments = parser.parse_args()
    results = {}
    for store in arguments.store or ["sqlite", "postgresql"]:
        result = run(_measure(store, arguments.lines))
        check(result)
        results[store] = {"at": f"{datetime.now(UTC):%Y-%m-%d}", **result}
        print(store, result)
    with tempfile.NamedTemporaryFile("w", dir=arguments.write.parent, delete=False) as file:
        file.write(json.dumps(results, indent=1) + "\n")
    Path(file.name).replace(arguments.write)


if __name__ == "__main__":
    main()
