"""Limits on connections to a provider, and the requests beyond them."""

import asyncio
from typing import Any

from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

SLOW = Settings(first_token_ms=200.0, token_gap_ms=50.0)
TARGETS = ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]
ONE_EACH: dict[str, Any] = {"providers": {"alpha": SLOW, "beta": SLOW}, "egress": {"connections": 1}}


async def while_busy(gateway: Gateway, model: str) -> tuple[Any, Any]:
    """Run one stream of alpha, and send another request during it."""
    alpha = gateway.providers["alpha"]
    first = asyncio.create_task(gateway.ask(chat(stream=True)))
    await until(lambda: alpha.counters.requests_received, "alpha is busy")
    second = await gateway.ask(chat(model))
    return await first, second


def test_request_without_a_free_connection_goes_to_another_candidate() -> None:
    async def main() -> None:
        async with serving(models={"chat": TARGETS}, **ONE_EACH) as gateway:
            first, second = await while_busy(gateway, "chat")
            assert (first.status, first.headers["x-pointsman-provider"]) == (200, "alpha")
            assert (second.status, second.headers["x-pointsman-provider"]) == (200, "beta")
            assert second.headers["x-pointsman-attempts"] == "1"
            records = await gateway.wait_for_records(2)
            (verdict,) = next(record["verdicts"] for record in records if record["provider"] == "beta")
            assert "every connection to alpha is in use" in verdict
            assert not gateway.live.saturated

    run(main())


def test_request_waits_if_there_is_no_other_candidate() -> None:
    async def main() -> None:
        async with serving(models={"chat": TARGETS[:1]}, **ONE_EACH) as gateway:
            first, second = await while_busy(gateway, "alpha/gpt-4o-mini")
            assert (first.status, second.status) == (200, 200)
            assert gateway.providers["alpha"].counters.connections_accepted == 1

    run(main())


def test_timeout_of_a_wait_is_no_failure_of_a_provider() -> None:
    async def main() -> None:
        async with serving(
            models={"chat": TARGETS[:1]}, routing={"timeouts": {"response_s": 0.2}, "max_attempts": 1}, **ONE_EACH
        ) as gateway:
            first, second = await while_busy(gateway, "alpha/gpt-4o-mini")
            assert first.status == 200
            assert second.status == 503
            assert second.json["error"]["code"] == "gateway_overloaded"
            assert "127.0.0.1" not in second.json["error"]["message"]
            assert not gateway.live.conditions

    run(main())
