"""Keys made by API at several workers: usable at once, and revoked everywhere, also after crashes."""

import asyncio
import os
import signal
from typing import Any

import pytest

from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

WORKERS = 3
GOVERNANCE = {
    "teams": {"research": {"budgets": [{"limit_usd": 100, "per": "month"}]}},
    "virtual_keys": {"me": {"value": "env.ME", "child_keys": {"at_most": 10}}},
}
PRICES = {"overrides": [{"model": "a/*", "input_usd_per_million": "1", "output_usd_per_million": "1000"}]}
ME = {"ME": "pm-key-of-the-tests-0123456789"}


def gateway() -> Any:
    return serving(
        providers={"a": Settings(models=("sim-1",))},
        models={"chat": ["a/sim-1"]},
        governance=GOVERNANCE,
        pricing=PRICES,
        server={"workers": WORKERS, "trusted_proxies": ["127.0.0.1"]},  # wrong keys of a proxy are not throttled
        as_process=True,
        environ=ME,
    )


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


async def make(one: Gateway, **fields: Any) -> dict[str, Any]:
    answer = await one.admin("/api/v1/keys", "POST", fields)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


async def statuses(one: Gateway, value: str, count: int) -> set[int]:
    """Return the statuses of requests on connections of their own, which all workers accept."""
    answers: list[Answer] = []
    for _ in range(0, count, 10):
        asking = (one.ask(chat(max_tokens=1), headers=bearer(value)) for _ in range(10))
        answers += await asyncio.gather(*asking)
    return {answer.status for answer in answers}


async def load(one: Gateway, value: str) -> None:
    """Send requests on one connection until cancelled."""
    client = await one.connect()
    try:
        while True:
            await client.ask(chat(max_tokens=1), headers=bearer(value))
    finally:
        await client.close()


@pytest.mark.parametrize("calls", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_revoked_key_is_rejected_by_all_workers_though_control_dies(calls: int) -> None:
    async def main() -> None:
        async with gateway() as one:
            value = (await make(one, name="app", settings={"team": "research"}))["key"]
            assert await statuses(one, value, 30) == {200}
            loading = [asyncio.create_task(load(one, value)) for _ in range(3)]
            try:
                await asyncio.sleep(0.2)
                answer = await one.admin("/api/v1/keys/app", "DELETE")
                os.kill(one.children["control"], signal.SIGKILL)
                assert answer.status == 200, answer.body
                assert await statuses(one, value, calls) == {401}
            finally:
                for task in loading:
                    task.cancel()
                await asyncio.gather(*loading, return_exceptions=True)
            before = {name: pid for name, pid in one.children.items() if name.startswith("worker")}
            for pid in before.values():
                os.kill(pid, signal.SIGKILL)
            await until(lambda: not set(before.values()) & set(one.children.values()), "the workers were replaced")
            assert await statuses(one, value, 30) == {401}
            assert await statuses(one, ME["ME"], 10) == {200}

    run(main())


def test_key_is_usable_at_all_workers_when_it_is_made() -> None:
    async def main() -> None:
        async with gateway() as one:
            for number in range(5):
                made = await make(one, name=f"app-{number}", settings={"team": "research"})
                assert await statuses(one, made["key"], 20) == {200}
            await one.admin("/api/v1/keys/app-0", "PATCH", {"settings": {"from": ["10.0.0.0/8"]}})
            await one.admin("/api/v1/keys/app-1", "PATCH", {"is_enabled": False})
            values = [(await one.admin(f"/api/v1/keys/app-{number}")).json["state"] for number in range(3)]
            assert values == ["active", "disabled", "active"]

    run(main())


def test_child_spends_its_own_budget_and_that_of_its_parent() -> None:
    async def main() -> None:
        async with gateway() as one:
            settings = {"budgets": [{"limit_usd": "0.05", "per": "year"}], "child_keys": {}}
            parent = (await make(one, name="app", settings=settings))["key"]
            child = {"expires_in_s": 600, "budgets": [{"limit_usd": 0.02, "per": "year"}]}
            answers = [await one.ask(child, path="/v1/keys", headers=bearer(parent)) for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200], answers[0].body
            first, second = (answer.json["key"] for answer in answers)

            async def spend(value: str) -> list[int]:
                return [(await one.ask(chat(max_tokens=5), headers=bearer(value))).status for _ in range(8)]

            for value in (first, second):
                found = await spend(value)
                assert 200 in found
                assert found[-1] == 402
            assert 402 in await spend(parent)
            budgets = (await one.admin("/api/v1/budgets?owner=virtual_key:app")).json
            assert budgets[0]["posted"] <= 50_000_000
            assert (await one.ask(child, path="/v1/keys", headers=bearer(first))).status == 403
            await one.admin("/api/v1/keys/app", "DELETE")
            assert await statuses(one, second, 10) == {401}

    run(main())


def test_paused_team_is_rejected_by_all_workers_until_it_is_released() -> None:
    async def main() -> None:
        async with gateway() as one:
            value = (await make(one, name="app", settings={"team": "research"}))["key"]
            assert await statuses(one, value, 10) == {200}
            pause = {"name": "team=research", "reason": "spend check", "for_s": 600}
            assert (await one.admin("/api/v1/health/holds", "POST", pause)).status == 200
            async with asyncio.timeout(10):
                while await statuses(one, value, 10) != {403}:
                    await asyncio.sleep(0.01)
            assert (await one.admin("/api/v1/health/holds?name=team%3Dresearch", "DELETE")).status == 200
            async with asyncio.timeout(10):
                while await statuses(one, value, 10) != {200}:
                    await asyncio.sleep(0.01)

    run(main())
