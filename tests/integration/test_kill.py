"""Money is exact when a process is killed at any moment. The provider's bill is the oracle."""

import asyncio
import os
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from integration.client import Client
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, governance, prices, settings, usd

RATE = 50  # requests per second
BEFORE_S, AFTER_S = 1.5, 1.5
RECOVERY_S = 5.0


def children(pid: int) -> list[int]:
    """The processes of a supervisor."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Traffic:
    """Requests of every kind at a steady pace: whole, streamed, left early, and such that fail over."""

    def __init__(self, gateway: Gateway, dice: random.Random) -> None:
        self.gateway = gateway
        self.dice = dice
        self.statuses: list[int] = []

    async def run(self, for_s: float) -> None:
        asks: list[asyncio.Task[None]] = []
        for _ in range(int(for_s * RATE)):
            asks.append(asyncio.create_task(self._ask()))
            await asyncio.sleep(1 / RATE)
        await asyncio.gather(*asks)

    async def _ask(self) -> None:
        kind = self.dice.choice(["whole", "whole", "stream", "stream", "left"])
        try:
            client = await Client.connect(self.gateway.port)
        except OSError:
            return
        client.send(chat(stream=kind != "whole", max_tokens=60), headers=bearer("me"))
        if kind == "left":
            await asyncio.sleep(self.dice.random() * 0.2)
            client.reset()
            return
        answer = await client.receive(quiet_s=20)
        self.statuses.append(answer.status if answer.ended == "complete" else 0)
        await client.close()


def stored(gateway: Gateway) -> tuple[dict[str, dict[str, Any]], dict[str, int], int]:
    """What the store has: attempts with an outcome by id, the charge of attempts without one, and the sum of all."""
    import json

    database = gateway.config_file.parent / "data" / "pointsman.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        records = [json.loads(row[0]) for row in connection.execute("select record from requests")]
        unsettled = dict(connection.execute("select attempt_id, nano from unsettled"))
        total = connection.execute("select coalesce(sum(nano), 0) from usage").fetchone()[0]
    attempts = {
        f"{record['request_id']}-{ordinal}": attempt
        for record in records
        for ordinal, attempt in enumerate(record.get("attempts", ()), 1)
    }
    return attempts, unsettled, total


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 200))])
def test_a_process_killed_at_any_moment_loses_and_doubles_nothing(seed: int) -> None:
    dice = random.Random(seed)

    async def main() -> None:
        pace = {"first_token_ms": 20.0, "token_gap_ms": 5.0, "output_tokens": 30.0, "kept_requests": 5000}
        flaky = settings(**pace, schedule=(), bill_failed="none")
        async with serving(
            providers={"alpha": flaky, "beta": settings(**pace)},
            models={"chat": {"strategy": "weighted", "targets": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]}},
            governance=governance({"me": {"budgets": usd(1000)}}),
            pricing=prices("alpha/gpt-4o-mini", "beta/gpt-4o-mini"),
            server={"workers": 2},
            as_process=True,
        ) as gateway:
            assert gateway.process is not None
            gateway.providers["alpha"].set_fault("status=500", for_s=0.5)
            traffic = Traffic(gateway, dice)
            running = asyncio.create_task(traffic.run(BEFORE_S + AFTER_S))
            await asyncio.sleep(BEFORE_S * dice.random())
            victim = dice.choice(children(gateway.process.pid))
            in_flight = len([e for one in gateway.providers.values() for e in one.bill.entries if e.outcome == "open"])
            os.kill(victim, signal.SIGKILL)
            killed_at = asyncio.get_running_loop().time()

            async def recovered() -> bool:
                try:
                    status = (await gateway.admin("/api/v1/status")).json
                except (OSError, ValueError):
                    return False
                return len(status["workers"]) == 2 and status["store"] == "ok"

            while not await recovered():
                assert asyncio.get_running_loop().time() - killed_at < RECOVERY_S, "".join(gateway.stderr)
                await asyncio.sleep(0.05)
            await running
            bills = [one.bill for one in gateway.providers.values()]
            await until(lambda: all(entry.outcome != "open" for bill in bills for entry in bill.entries), "all is over")
            entries = {entry.attempt_id: entry for bill in bills for entry in bill.entries}
            assert len(entries) == sum(len(bill.entries) for bill in bills), "an attempt was sent twice"

            def is_all_stored() -> bool:
                return entries.keys() <= stored(gateway)[0].keys()

            await until(is_all_stored, "the store has every attempt", timeout_s=RECOVERY_S)
            attempts, unsettled, total = stored(gateway)
            for name, entry in entries.items():
                assert name is not None
                if name in unsettled:
                    assert unsettled[name] == attempts[name]["cost_nano"] >= entry.charged_nano
                elif attempts[name].get("usage_source") == "provider":
                    assert attempts[name]["cost_nano"] == entry.charged_nano, (name, entry, attempts[name])
            never_sent = set(unsettled) - entries.keys()
            assert len(unsettled) <= in_flight + 10, (len(unsettled), in_flight, never_sent)
            assert total == sum(one.get("cost_nano", 0) for one in attempts.values())
            assert gateway.stderr  # it says that a process died
            gateway.stderr[:] = [line for line in gateway.stderr if "Traceback" not in line]

    run(main())
