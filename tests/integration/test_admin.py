"""Faults of the admin process or of control affect neither the other process nor requests."""

import asyncio
import os
import signal
from contextlib import AbstractAsyncContextManager

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration import limits
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, settings, usd


def governed() -> AbstractAsyncContextManager[Gateway]:
    sections = limits.background(
        {"alpha": settings(kept_requests=1000)},
        {"chat": ["alpha/gpt-4o-mini"]},
        {"me": {"budgets": usd(1000)}},
        "alpha/gpt-4o-mini",
    )
    return serving(**sections, server={"workers": 2}, as_process=True, is_alone=False)


async def serves(gateway: Gateway) -> None:
    answers = await gateway.ask_many(20, 10, chat(), headers=bearer("me"))
    assert [answer.status for answer in answers] == [200] * 20, "".join(gateway.stderr)


def test_console_request_waits_for_the_next_admin_process() -> None:
    async def main() -> None:
        async with governed() as gateway:
            before = gateway.children
            freeze(before["admin"])
            await serves(gateway)
            request = asyncio.create_task(gateway.admin("/api/v1/status"))
            await asyncio.sleep(0.2)
            os.kill(before["admin"], signal.SIGKILL)
            await serves(gateway)
            async with asyncio.timeout(PATIENCE_S):
                answer = await request
            assert answer.status == 200, answer
            assert {worker["pid"] for worker in answer.json["workers"]} == {before["worker 0"], before["worker 1"]}
            after = gateway.children
            assert after.pop("admin") != before.pop("admin")
            assert after == before

    run(main())


def test_console_reports_a_hanging_control_process_and_shows_the_store() -> None:
    async def main() -> None:
        async with governed() as gateway:
            await serves(gateway)

            async def spent() -> int:
                return sum(row["attempts"] for row in (await gateway.admin("/api/v1/usage")).json["rows"])

            async with asyncio.timeout(PATIENCE_S):
                while await spent() < 20:
                    await asyncio.sleep(0.1)
            control = gateway.children["control"]
            freeze(control)
            answer = await gateway.admin("/api/v1/status")
            assert answer.status == 503
            detail = "the control process does not answer"
            assert (answer.json["code"], answer.json["detail"]) == ("control_unavailable", detail)
            assert answer.headers["content-type"] == "application/problem+json"
            assert await spent() == 20
            assert (await gateway.admin("/readyz")).json["control"] == detail
            os.kill(control, signal.SIGKILL)
            await until(lambda: gateway.children.get("control", control) != control, "control is restarted")
            async with asyncio.timeout(PATIENCE_S):
                while (await gateway.admin("/readyz")).json["status"] != "ok":
                    await asyncio.sleep(0.1)

    run(main())
