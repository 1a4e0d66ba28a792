"""A test that kills and replaces processes in any order within one window of a limit. The limit must hold.

`PYTHONPATH=tests python -m integration.kills --seeds 60` tries many orders and writes the results to
`docs/measurements/limits-under-kills.json`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration import limits
from integration.databases import database
from integration.gateway import Gateway, run, serving, until
from integration.governance import bearer, governance

WORKERS = 2
EVENTS = ("worker", "control", "supervisor", "all", "upgrade")
MEASURED = Path(__file__).parents[2] / "docs" / "measurements" / "limits-under-kills.json"
RECOVERY_S = 5.0


async def wait_for_recovery(gateway: Gateway) -> None:
    """Wait until all workers serve and control has a store."""
    ends_at = asyncio.get_running_loop().time() + gateway.within_s(RECOVERY_S)
    while True:
        assert asyncio.get_running_loop().time() < ends_at, "".join(gateway.stderr)
        try:
            status = (await gateway.admin("/api/v1/status")).json
            if len(status["workers"]) == WORKERS and status["store"] == "ok":
                return
        except (OSError, ValueError, KeyError):
            pass
        await asyncio.sleep(0.05)


async def upgrade(gateway: Gateway) -> None:
    """Upgrade the gateway, which replaces every process."""
    assert gateway.process is not None
    before = set(gateway.children.values())
    gateway.process.send_signal(signal.SIGUSR2)
    await until(
        lambda: len(gateway.children) == WORKERS + 2 and not before & set(gateway.children.values()),
        "all processes are replaced",
    )


async def cause(gateway: Gateway, event: str, dice: random.Random) -> None:
    """Cause one of `EVENTS`. The supervisor restarts a dead child; this function restarts a dead supervisor."""
    assert gateway.process is not None
    children = gateway.children
    if event == "upgrade":
        await upgrade(gateway)
    elif event in ("supervisor", "all"):
        gateway.process.kill()
        for pid in children.values() if event == "all" else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await gateway.process.wait()
        await gateway.start()
    else:
        pids = [pid for name, pid in children.items() if name.startswith(event)]
        if pids:  # otherwise the process is already dead
            os.kill(dice.choice(pids), signal.SIGKILL)


async def traffic(gateway: Gateway, count: int) -> None:
    """Send requests. A request may fail if its process is killed."""

    async def ask(number: int) -> None:
        with contextlib.suppress(OSError):
            await gateway.ask(limits.body(stream=number % 2 == 0), headers=bearer(limits.LIMITED_KEY))

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(ask(number))
            await asyncio.sleep(0.02)


async def run_events(events: Sequence[str], dice: random.Random, url: str | None = None) -> dict[str, Any]:
    """Spend a part of a limit during each event. Then spend the rest of the limit."""
    store: dict[str, Any] = {} if url is None else {"store": {"url": "env.TEST_STORE"}, "environ": {"TEST_STORE": url}}
    async with serving(
        providers=limits.provider(first_token_ms=20.0, token_gap_ms=3.0),
        models=limits.MODEL,
        governance=governance(limits.KEY),
        pricing={"overrides": [limits.PRICE]},
        server={"workers": WORKERS},
        as_process=True,
        is_alone=False,
        **store,
    ) as gateway:
        for event in events:
            running = asyncio.create_task(traffic(gateway, dice.randint(8, 14)))
            await asyncio.sleep(0.3 * dice.random())
            await cause(gateway, event, dice)
            await running
            if dice.random() < 0.7:  # otherwise the next event happens during the recovery
                await wait_for_recovery(gateway)
        await wait_for_recovery(gateway)
        bill, unsettled = await limits.spend_to_the_limit(gateway)
        await limits.check_limits_are_shown_once(gateway)
        return {
            "events": list(events),
            "billed": round(bill / limits.LIMIT_NANO, 4),
            "unsettled": round(unsettled / limits.LIMIT_NANO, 4),
        }


def order_of(seed: int) -> list[str]:
    """Return every event once, and up to two more events, in an order that depends on the seed."""
    dice = random.Random(seed)
    events = [*EVENTS, *dice.choices(EVENTS, k=seed % 3)]
    dice.shuffle(events)
    return events


async def run_seed(seed: int, store: str) -> dict[str, Any]:
    if store == "sqlite":
        return {"seed": seed, **await run_events(order_of(seed), random.Random(seed))}
    async with database() as url:
        return {"seed": seed, **await run_events(order_of(seed), random.Random(seed), url)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m integration.kills", description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--write", type=Path, default=MEASURED)
    arguments = parser.parse_args()
    for store in arguments.store or ["sqlite", "postgresql"]:
        run(_all(range(arguments.first, arguments.first + arguments.seeds), store, arguments.at_once, arguments.write))


async def _all(seeds: Sequence[int], store: str, at_once: int, file: Path) -> None:
    """Run these seeds. Write the results after each seed."""
    semaphore = asyncio.Semaphore(at_once)
    rows: list[dict[str, Any]] = []

    async def run_one(seed: int) -> None:
        async with semaphore:
            try:
                row = await run_seed(seed, store)
            except (Exception, ExceptionGroup) as error:  # noqa: BLE001 -- any failure is a result
                row = {"seed": seed, "events": order_of(seed), "failed": f"{error!r:.300} … {str(error)[-3000:]}"}
            print(row, flush=True)
            rows.append(row)
            write(file, store, sorted(rows, key=lambda row: int(row["seed"])))

    await asyncio.gather(*map(run_one, seeds))


def write(file: Path, store: str, rows: list[dict[str, Any]]) -> None:
    """Replace the results for a store in the file."""
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    whole = [row for row in rows if "failed" not in row]
    results[store] = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "limit_usd": limits.LIMIT_USD,
        "seeds": len(rows),
        "failed": len(rows) - len(whole),
        "most_billed": max((row["billed"] for row in whole), default=None),
        "least_billed_and_unsettled": min((round(row["billed"] + row["unsettled"], 4) for row in whole), default=None),
        "runs": rows,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
