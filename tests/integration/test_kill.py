"""Charges are exact if a process is killed at any moment. Tests compare them with the provider's bill."""

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration import limits
from integration.client import Client
from integration.gateway import MESSAGES, Gateway, chat, run, serving, until
from integration.governance import PRICE, bearer, governance, prices, settings, usd
from integration.kills import WORKERS, run_seed, wait_for_recovery
from pointsman.simulate.bill import Entry, charge_nano

RATE = 50  # requests per second
BEFORE_S, AFTER_S = 1.5, 1.5
MESSAGES_EACH = len(MESSAGES)  # of a chat; its overhead is estimated at one token more than billed


class Traffic:
    """Requests of every kind at a steady pace: whole, streamed, cancelled, and failing over. `in_flight` counts the
    unfinished ones."""

    def __init__(self, gateway: Gateway, dice: random.Random) -> None:
        self.gateway = gateway
        self.dice = dice
        self.statuses: list[int] = []
        self.in_flight = 0

    async def run(self, for_s: float) -> None:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(int(for_s * RATE)):
            tasks.append(asyncio.create_task(self._ask()))
            await asyncio.sleep(1 / RATE)
        await asyncio.gather(*tasks)

    async def _ask(self) -> None:
        kind = self.dice.choice(["whole", "whole", "stream", "stream", "cancelled"])
        try:
            client = await Client.connect(self.gateway.port)
        except OSError:
            return
        self.in_flight += 1
        client.send(chat(stream=kind != "whole", max_tokens=60), headers=bearer("me"))
        if kind == "cancelled":
            await asyncio.sleep(self.dice.random() * 0.2)
            client.reset()
            await asyncio.sleep(0.5)  # the gateway detects the disconnect meanwhile
        else:
            answer = await client.receive()
            self.statuses.append(answer.status if answer.ended == "complete" else 0)
            await client.close()
        self.in_flight -= 1


def stored(gateway: Gateway) -> tuple[dict[str, dict[str, Any]], dict[str, int], int]:
    """Return the store's contents: attempts by id, the charge of those without an outcome, and the total."""
    database = gateway.config_file.parent / "data" / "pointsman.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        records = [json.loads(row[0]) for row in connection.execute("select record from requests")]
        unsettled = dict(connection.execute("select attempt_id, nano from unsettled where source = 'reserved'"))
        total = connection.execute("select coalesce(sum(nano), 0) from usage").fetchone()[0]
    attempts: dict[str, dict[str, Any]] = {
        f"{record['request_id']}-{ordinal}": {"cost_nano": 0, "usage_source": "none", **attempt}
        for record in records
        for ordinal, attempt in enumerate(record.get("attempts", ()), 1)
    }
    return attempts, unsettled, total


async def wait_for_store(gateway: Gateway, state: str) -> None:
    """Wait until control runs and reports a state of the store that begins with `state`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError, ValueError, KeyError):
                if (await gateway.admin("/api/v1/status")).json["store"].startswith(state):
                    return
            await asyncio.sleep(0.05)


async def kill(gateway: Gateway, name: str) -> None:
    """Kill the process `name`. Restart a supervisor or a whole gateway that ended, as an operator would."""
    assert gateway.process is not None
    if name in gateway.children:
        os.kill(gateway.children[name], signal.SIGKILL)
        return
    gateway.process.send_signal(signal.SIGTERM if name == "all, by SIGTERM" else signal.SIGKILL)
    await gateway.process.wait()
    await gateway.start()


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 200))])
def test_kill_at_any_moment_neither_loses_nor_doubles_charges(seed: int) -> None:
    dice = random.Random(seed)

    async def main() -> None:
        pace = {"first_token_ms": 20.0, "token_gap_ms": 5.0, "output_tokens": 30.0, "kept_requests": 5000}
        targets = ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]
        sections = limits.background(
            {"alpha": settings(**pace), "beta": settings(**pace)},
            {"chat": {"strategy": "weighted", "targets": targets}},
            {"me": {"budgets": usd(1000)}},
            *targets,
        )
        async with serving(**sections, server={"workers": WORKERS}, as_process=True) as gateway:
            await limits.spend(gateway, 0.3)
            warm = await gateway.ask_many(20, 20, chat(), headers=bearer("me"))  # every worker has a lease
            assert all(answer.status == 200 for answer in warm)
            gateway.providers["alpha"].set_fault("status=500")
            asyncio.get_running_loop().call_later(0.5, gateway.providers["alpha"].set_fault, None)
            traffic = Traffic(gateway, random.Random(seed))
            running = asyncio.create_task(traffic.run(BEFORE_S + AFTER_S))
            await asyncio.sleep(BEFORE_S * dice.random())
            # Each event in turn, so that none is omitted by chance.
            name = ["worker 0", "control", "supervisor", "all, by SIGTERM", "admin"][seed % 5]
            in_flight = traffic.in_flight
            await kill(gateway, name)
            await wait_for_recovery(gateway)
            await running
            entries = await bill_entries(gateway)
            await until(lambda: entries.keys() <= stored(gateway)[0].keys(), "the store has every attempt")
            check(entries, *stored(gateway), in_flight)
            if name in ("control", "admin"):
                assert traffic.statuses == [200] * len(traffic.statuses)
            elif name in gateway.children:
                assert traffic.statuses.count(200) >= len(traffic.statuses) - in_flight
            unsettled = stored(gateway)[1]
            summary = f"{name}: {len(entries)} attempts, {in_flight} in flight, {len(unsettled)} without an outcome"
            print(f"{summary}; answers by status: {dict(Counter(traffic.statuses))}")
            assert any("killed by SIGKILL" in line for line in gateway.stderr) == (name in gateway.children)
            await limits.spend_to_the_limit(gateway)

    run(main())


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 60))])
def test_limit_holds_over_kills_and_upgrades_in_any_order(seed: int, store: str) -> None:
    """The limit can be used up, and is never exceeded."""
    print(run(run_seed(seed, store)))


def test_control_process_waits_for_the_previous_one_to_end() -> None:
    """Records ingested by two control processes would count twice."""

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"free": {}, "me": {"budgets": usd(1000)}}),
            pricing=prices("alpha/gpt-4o-mini"),
            server={"workers": WORKERS},
            as_process=True,
        ) as gateway:
            warm = await gateway.ask_many(20, 20, chat(), headers=bearer("me"))
            assert all(answer.status == 200 for answer in warm)
            with (gateway.config_file.parent / "data" / "control.lock").open("r+b") as lock:
                await kill(gateway, "control")
                fcntl.flock(lock, fcntl.LOCK_EX)
                await until(lambda: "control" in gateway.children, "control is restarted")
                for name in ("free", "me"):
                    assert (await gateway.ask(chat(), headers=bearer(name))).status == 200
                await wait_for_store(gateway, "another control process still uses")
            await wait_for_recovery(gateway)

    run(main())


async def bill_entries(gateway: Gateway) -> dict[str, Entry]:
    """Return the providers' work by the id of the attempt, after all of it has ended."""
    bills = [provider.bill for provider in gateway.providers.values()]
    await until(lambda: all(entry.outcome != "open" for bill in bills for entry in bill.entries), "no entry is open")
    entries = {entry.attempt_id or "": entry for bill in bills for entry in bill.entries}
    assert len(entries) == sum(len(bill.entries) for bill in bills), "an attempt was sent twice"
    return entries


def check_counted(attempt: dict[str, Any], entry: Entry) -> None:
    """Check an unfinished attempt: the prompt is estimated, and the received pieces count; some may have been in
    flight."""
    tokens_in, tokens_out = attempt["tokens_in"], attempt.get("tokens_out", 0)
    assert attempt["cost_nano"] == charge_nano(PRICE, tokens_in, 0, tokens_out)
    assert entry.tokens_in <= tokens_in, (attempt, entry)
    if entry.tokens_in:  # otherwise the client left before the provider had read the request
        assert tokens_in <= entry.tokens_in + MESSAGES_EACH, (attempt, entry)
    assert 0 <= tokens_out <= entry.tokens_sent, (attempt, entry)


def check(
    entries: dict[str, Entry],
    attempts: dict[str, dict[str, Any]],
    unsettled: dict[str, int],
    total: int,
    in_flight: int,
) -> None:
    """Compare the store with the bill."""
    for name, entry in entries.items():
        charged, source = attempts[name]["cost_nano"], attempts[name]["usage_source"]
        if name in unsettled:
            assert unsettled[name] == charged >= entry.charged_nano
        elif source == "estimated":  # the provider reported no usage
            check_counted(attempts[name], entry)
        else:
            assert charged == entry.charged_nano, (name, entry, attempts[name])
    assert len(unsettled) <= in_flight, (len(unsettled), in_flight, set(unsettled) - entries.keys())
    assert total == sum(one["cost_nano"] for one in attempts.values())
