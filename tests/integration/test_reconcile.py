"""Amounts that limits hold for missing answers are released by the provider's bill, and can then be spent."""

import asyncio

import pytest

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd

LIMIT_USD = "0.02"
MODELS = ("alpha/gpt-4o-mini",)


async def spend_to_the_limit(gateway: Gateway) -> None:
    """Send requests until the limit has no room for one more."""
    body = chat(max_tokens=200)
    async with asyncio.timeout(PATIENCE_S):
        while any([answer.status != 402 for answer in await gateway.ask_many(20, 5, body, headers=bearer("me"))]):  # noqa: C419
            pass


async def unsettled(gateway: Gateway, count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = (await gateway.admin("/api/v1/unsettled")).json
            if len(found) >= count:
                return [one["attempt_id"] for one in found]
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_reconciled_limit_can_be_used_up(workers: int) -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings(output_tokens=60.0, bill_failed="full")},
            models={"chat": list(MODELS)},
            governance=governance({"me": {"budgets": usd(LIMIT_USD)}}),
            pricing=prices(*MODELS, output_tokens=16_384),
            routing={"max_attempts": 1},
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("close_at=700")
            lost = 0
            while (await gateway.ask(chat(), headers=bearer("me"))).status != 402:
                lost += 1
            assert lost >= 1
            alpha.set_fault(None)
            bill = {entry.attempt_id: entry.charged_nano for entry in alpha.bill.entries}
            assert sum(bill.values()) < int(float(LIMIT_USD) * NANO) // 10, "the bill is not far below the limit"
            attempts = await unsettled(gateway, lost)
            assert sorted(attempts) == sorted(str(name) for name in bill)
            amounts = [{"attempt_id": name, "usd": f"{bill[name] / NANO:.9f}"} for name in attempts]
            done = await gateway.admin("/api/v1/reconcile", "POST", {"attempts": amounts})
            assert (done.status, sorted(done.json["taken"])) == (200, sorted(attempts)), done
            await spend_to_the_limit(gateway)
            billed, limit = billed_nano(gateway), int(float(LIMIT_USD) * NANO)
            assert 0.97 * limit <= billed <= limit, (billed, limit)
            total = (await gateway.admin("/api/v1/usage?group_by=key")).json["total"]
            async with asyncio.timeout(PATIENCE_S):
                while total["cost_nano"] != billed:  # after control has ingested the journal
                    await asyncio.sleep(0.1)
                    total = (await gateway.admin("/api/v1/usage?group_by=key")).json["total"]
            assert (total["estimated_nano"], total["held_nano"]) == (0, 0)

    run(main())
