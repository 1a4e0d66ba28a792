"""Two worker processes share their view of health, and take the orders of operators."""

import asyncio
import os
import signal
from typing import Any

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration.client import Client
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

MODEL = "gpt-4o-mini"
NAMES = ("alpha", "beta")
LIMIT = 10  # failures in a row that open the breaker of one worker
CLIENTS = 16  # connections: enough to reach both workers almost always


def two_workers(strategy: Any = "priority", **sections: Any) -> Any:
    return serving(
        providers={name: Settings(first_token_ms=5.0, output_tokens=2.0) for name in NAMES},
        models={"chat": {"strategy": strategy, "targets": [f"{name}/{MODEL}" for name in NAMES]}},
        routing={"health": {"failures": LIMIT}},
        server={"workers": 2},
        as_process=True,
        **sections,
    )


async def on_new_connections(gateway: Gateway, count: int = CLIENTS) -> list[str]:
    """Return the providers that served requests on connections of their own."""
    answers = [await gateway.ask(chat(max_tokens=2)) for _ in range(count)]
    assert [answer.status for answer in answers] == [200] * count
    return [answer.headers["x-pointsman-provider"] for answer in answers]


async def states(gateway: Gateway) -> dict[str, int]:
    """Return the number of workers by the state of `alpha`."""
    found = (await gateway.admin("/api/v1/health")).json
    workers = [row["workers"] for row in found["states"] if row["provider"] == "alpha"]
    return workers[0] if workers else {}


async def until_states(gateway: Gateway, **expected: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (found := await states(gateway)) != expected:
            assert sum(found.values()) <= 2
            await asyncio.sleep(0.02)


async def fail_at_one_worker(gateway: Gateway) -> Client:
    """Let the breaker of one worker open, by requests on one connection."""
    client = await gateway.connect()
    for _ in range(LIMIT):
        assert (await client.ask(chat(max_tokens=2))).status == 200
    return client


def test_second_worker_diverts_sooner_than_by_its_own_failures() -> None:
    async def main() -> None:
        async with two_workers() as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("status=500")
            client = await fail_at_one_worker(gateway)
            assert len(alpha.bill.entries) == LIMIT
            await until_states(gateway, failed=1, degraded=1)
            async with asyncio.timeout(PATIENCE_S):
                while (await states(gateway)).get("degraded"):
                    await on_new_connections(gateway, 4)
            assert len(alpha.bill.entries) < 2 * LIMIT, "by its own failures alone, it would need ten of them"
            row = (await gateway.admin("/api/v1/health")).json["states"][0]
            assert (row["operation"], row["model"]) == ("chat", MODEL)
            assert "500" in row["reason"] or "error" in row["reason"]
            alpha.set_fault("")
            async with asyncio.timeout(PATIENCE_S):
                while set(await states(gateway)) != {"healthy"}:
                    await on_new_connections(gateway, 4)
            await client.close()

    run(main())


def test_workers_serve_on_their_own_without_control() -> None:
    async def main() -> None:
        async with two_workers() as gateway:
            await on_new_connections(gateway)
            assert gateway.process is not None
            supervisor, control = gateway.process.pid, gateway.children["control"]
            freeze(supervisor)  # else it would start another one at once
            os.kill(control, signal.SIGKILL)
            try:
                gateway.providers["alpha"].set_fault("status=500")
                for _ in range(3):
                    assert set(await on_new_connections(gateway)) == {"beta"}
                assert len(gateway.providers["alpha"].bill.entries) >= LIMIT
            finally:
                os.kill(supervisor, signal.SIGCONT)
            gateway.providers["alpha"].set_fault("")
            await until(lambda: gateway.children.get("control", control) != control, "control is restarted")
            async with asyncio.timeout(PATIENCE_S):
                while (await gateway.admin("/api/v1/health")).status != 200:
                    await asyncio.sleep(0.05)

    run(main())


def weights(records: list[dict[str, Any]]) -> list[float]:
    """Return the number of answers that each decision had as evidence about its best target."""
    notes = [record["notes"][0] for record in records]
    return [float(note.partition("(from ")[2].partition(" ")[0] or 0) for note in notes]


def test_new_worker_knows_what_the_others_have_learned() -> None:
    async def main() -> None:
        async with two_workers({"adaptive": {"policy": "latency"}}) as gateway:
            client = await gateway.connect()
            for _ in range(60):
                assert (await client.ask(chat(max_tokens=2))).status == 200
            await client.close()

            async def all_know(name: str) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        before = len(await gateway.wait_for_records(0))
                        await on_new_connections(gateway)
                        records = (await gateway.wait_for_records(before + CLIENTS))[before:]
                        if min(weights(records)) > 4.0:
                            return

            await all_know("both workers")
            worker = gateway.children["worker 1"]
            os.kill(worker, signal.SIGKILL)
            await until(lambda: gateway.children.get("worker 1", worker) != worker, "the worker is replaced")
            await all_know("the new worker")

    run(main())


async def hold(gateway: Gateway, name: str, **order: Any) -> None:
    answer = await gateway.admin("/api/v1/health/holds", "POST", {"name": name, **order})
    assert answer.status == 200, answer.body


async def until_served_by(gateway: Gateway, provider: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while set(await on_new_connections(gateway)) != {provider}:
            await asyncio.sleep(0.02)


def test_hold_reaches_all_workers_and_survives_restarts() -> None:
    async def main() -> None:
        async with two_workers() as gateway:
            await until_served_by(gateway, "alpha")
            await hold(gateway, "alpha", reason="maintenance")
            await until_served_by(gateway, "beta")
            control = gateway.children["control"]
            os.kill(control, signal.SIGKILL)
            await until(lambda: gateway.children.get("control", control) != control, "control is restarted")
            await until_served_by(gateway, "beta")
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGTERM)
            await gateway.process.wait()
            await gateway.start()
            assert set(await on_new_connections(gateway)) == {"beta"}, "it starts with the hold"
            await hold(gateway, "beta:only", reason="leaked")
            async with asyncio.timeout(PATIENCE_S):
                while (answer := await gateway.ask(chat())).status == 200:
                    await asyncio.sleep(0.02)
            assert answer.status == 503
            message = answer.json["error"]["message"]
            assert "an operator holds alpha out of use until it is released: maintenance" in message
            assert "an operator holds beta:only out of use until it is released: leaked" in message
            for name in ("alpha", "beta:only"):
                released = await gateway.admin(f"/api/v1/health/holds?name={name}", "DELETE")
                assert released.status == 200
            async with asyncio.timeout(PATIENCE_S):
                while any([(await gateway.ask(chat())).status != 200 for _ in range(CLIENTS)]):
                    await asyncio.sleep(0.02)
            await until_served_by(gateway, "alpha")

    run(main())
