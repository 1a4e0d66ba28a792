"""An attempt is charged to the window it began in, and to no other. Tests compare with the provider's bill."""

import asyncio
import json
from time import time
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.simulated import finish_answers
from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import NANO, bearer, billed_nano, governance, prices, usd
from pointsman.engine import billing
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

OUTPUT_ONLY = Price(input_pico=0, output_pico=600_000, cached_pico=0)
MINUTE_S = 60
TOKENS = 30
HOUR_MS = 3_600_000.0  # between tokens: streams pause until the test lets them continue


def governed(limit_nano: int, gap_ms: float, **how: Any) -> Any:
    return serving(
        providers={"alpha": Settings(price=OUTPUT_ONLY, output_tokens="max_tokens", token_gap_ms=gap_ms)},
        models={"chat": ["alpha/gpt-4o-mini"]},
        governance=governance({"me": {"budgets": usd(f"{limit_nano / NANO:.9f}", "minute") + usd(1, "day")}}),
        pricing=prices("alpha/gpt-4o-mini", input_usd_per_million="0", cached_input_usd_per_million="0"),
        **how,
    )


async def ask(gateway: Gateway) -> Answer:
    return await gateway.ask(chat(stream=True, max_tokens=TOKENS), headers=bearer("me"))


def test_streams_that_outlast_a_window_use_nothing_of_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test moves the clock. Two streams fill the window in which they begin. They end in the next one, which again
    has room for exactly two."""
    fits_two = 2 * TOKENS * 600

    async def main() -> None:
        async with governed(fits_two, HOUR_MS) as gateway:
            edge = (int(time()) // MINUTE_S + 1) * MINUTE_S
            now = edge - 1.0
            monkeypatch.setattr(billing, "time", lambda: now)
            streams = [asyncio.create_task(ask(gateway)) for _ in range(2)]
            await until(lambda: len(gateway.providers["alpha"].bill.entries) == 2, "both streams run")
            assert (await ask(gateway)).status == 402
            now = edge + 1.0
            more = [asyncio.create_task(ask(gateway))]
            await until(lambda: len(gateway.providers["alpha"].bill.entries) == 3, "a third request is in progress")
            finish_answers(gateway.providers["alpha"])
            for answer in await asyncio.gather(*streams, *more):
                assert answer.is_done
            more = [asyncio.create_task(ask(gateway))]
            await until(lambda: len(gateway.providers["alpha"].bill.entries) == 4, "a fourth request is in progress")
            assert (await ask(gateway)).status == 402
            finish_answers(gateway.providers["alpha"])
            assert (await more[0]).is_done

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_stream_of_forty_seconds_is_charged_to_one_window(workers: int) -> None:
    async def main() -> None:
        async with governed(NANO, 40_000 / TOKENS, as_process=True, server={"workers": workers}) as gateway:
            await asyncio.sleep(max(0.0, MINUTE_S - time() % MINUTE_S - 20))
            began_at = time()
            before = asyncio.create_task(ask(gateway))
            edge = (int(began_at) // MINUTE_S + 1) * MINUTE_S
            await asyncio.sleep(edge - time() + 1)
            after = asyncio.create_task(ask(gateway))
            assert (await before).is_done
            assert edge < time()
            assert (await after).is_done
            rows: list[dict[str, Any]] = []
            async with asyncio.timeout(PATIENCE_S):
                while sum(row["posted"] for row in rows if row["period"] == "minute") != billed_nano(gateway):
                    rows = (await gateway.admin("/api/v1/budgets?past=true&owner=virtual_key:me")).json
            entries = gateway.providers["alpha"].bill.entries
            posted = {row["window_start"]: row["posted"] for row in rows if row["period"] == "minute" and row["posted"]}
            assert posted == {edge - MINUTE_S: entries[0].charged_nano, edge: entries[1].charged_nano}
            (day,) = [row["posted"] for row in rows if row["period"] == "day" and row["posted"]]
            assert day == billed_nano(gateway)
            print(json.dumps(posted))

    run(main())
