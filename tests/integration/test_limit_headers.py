"""With `server.limit_headers`, answers report the remainders of a virtual key's limits."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, governance, prices, settings, usd

BODY = chat(max_tokens=50)
REQUESTS = 20
LIMITED: dict[str, Any] = {
    "budgets": usd("0.01"),
    "rate_limits": [
        {"requests": REQUESTS, "per": "year"},
        {"requests": 500, "per": "month"},
        {"tokens": 90_000, "per": "year"},
    ],
}
DURATION = re.compile(r"(?:\d+h)?(?:\d+m)?\d+s")


def limited(workers: int, **server: Any) -> AbstractAsyncContextManager[Gateway]:
    return serving(
        as_process=True,
        providers={"alpha": settings(output_tokens=37.0)},
        models={"chat": ["alpha/gpt-4o-mini"]},
        governance=governance({"me": LIMITED, "free": {}}),
        pricing=prices("alpha/gpt-4o-mini"),
        server={"workers": workers, **server},
    )


def limit_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ratelimit" in name or "remaining" in name}


def test_single_worker_reports_exact_remainders() -> None:
    async def main() -> None:
        async with limited(1, limit_headers=True) as gateway:
            answer = await gateway.ask(BODY, headers=bearer("me"))
            headers, spent = limit_headers(answer.headers), gateway.providers["alpha"].bill.totals().charged_nano
            resets = {name: headers.pop(name) for name in list(headers) if "reset" in name}
            assert all(DURATION.fullmatch(text) for text in resets.values()), resets
            assert resets.keys() == {"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"}
            assert headers == {
                "x-ratelimit-limit-requests": str(REQUESTS),
                "x-ratelimit-remaining-requests": str(REQUESTS - 1),
                "x-ratelimit-limit-tokens": "90000",
                "x-ratelimit-remaining-tokens": str(90_000 - answer.json["usage"]["total_tokens"]),
                "x-pointsman-budget-remaining-usd": f"{(NANO // 100 - spent) / NANO:.9f}".rstrip("0"),
            }
            streamed = await gateway.ask({**BODY, "stream": True}, headers=bearer("me"))
            assert streamed.headers["x-ratelimit-remaining-requests"] == str(REQUESTS - 2)
            wrong = await gateway.ask(chat("no-such-model"), headers=bearer("me"))
            assert (wrong.status, wrong.headers["x-ratelimit-remaining-requests"]) == (404, str(REQUESTS - 2))
            assert limit_headers((await gateway.ask(BODY, headers=bearer("free"))).headers) == {}

    run(main())


def test_two_workers_soon_report_the_spending_of_both() -> None:
    async def main() -> None:
        async with limited(2, limit_headers=True) as gateway, asyncio.timeout(PATIENCE_S):
            bill, kept = gateway.providers["alpha"].bill, await gateway.connect()
            for count in range(1, 9):  # on separate connections, so that each worker serves some
                answer = await gateway.ask(BODY, headers=bearer("me"))
                left = answer.headers.get("x-ratelimit-remaining-requests")
                if left is not None:  # the first answers of a worker may come before it knows the remainder
                    assert REQUESTS - count <= int(left) < REQUESTS, "the reported remainder is out of bounds"
            while True:  # on one connection, so by one worker, which asks control once a second
                answer = await kept.ask(BODY, headers=bearer("me"))
                if answer.headers.get("x-ratelimit-remaining-requests") == str(REQUESTS - len(bill.entries)):
                    break
                assert answer.status == 200, "no answer reported the spending of both workers"
                await asyncio.sleep(1.1)
            assert answer.status == 200
            await kept.close()
            while (answer := await gateway.ask(BODY, headers=bearer("me"))).status == 200:
                pass
            assert (answer.status, len(bill.entries)) == (429, REQUESTS)
            while answer.headers.get("x-ratelimit-remaining-requests") != "0":
                await asyncio.sleep(0.2)
                answer = await gateway.ask(BODY, headers=bearer("me"))
                assert answer.status == 429, answer

    run(main())


@pytest.mark.parametrize("server", [{}, {"limit_headers": False}])
def test_limit_headers_are_off_by_default(server: dict[str, Any]) -> None:
    async def main() -> None:
        async with limited(1, **server) as gateway:
            answer = await gateway.ask(BODY, headers=bearer("me"))
            assert (answer.status, limit_headers(answer.headers)) == (200, {})

    run(main())
