"""Limits of attempts in progress at a self-hosted engine, through a whole gateway."""

import asyncio
from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

MODEL = "gpt-4o-mini"
BUSY = Settings(first_token_ms=400.0, output_tokens=2.0)
QUICK = Settings(output_tokens=2.0)


def engine_and_hosted(setting: Any, *, targets: tuple[str, ...] = ("engine", "hosted")) -> Any:
    """Serve `chat` at a vLLM engine with a setting of `max_concurrency`, and then at a hosted provider."""
    fields = {"type": "vllm"} if setting is None else {"type": "vllm", "max_concurrency": setting}
    return serving(
        providers={"engine": BUSY, "hosted": QUICK},
        provider_settings={"engine": fields},
        models={"chat": {"strategy": "priority", "targets": [f"{name}/{MODEL}" for name in targets]}},
    )


async def together(gateway: Gateway, count: int, *, stream: bool) -> list[str]:
    """Send requests at once. Return the providers that served them."""
    asked = [asyncio.create_task(gateway.ask(chat(stream=stream, max_tokens=2))) for _ in range(count)]
    answers = await asyncio.gather(*asked)
    assert [one.status for one in answers] == [200] * count
    return sorted(one.headers["x-pointsman-provider"] for one in answers)


@pytest.mark.parametrize("stream", [False, True])
def test_requests_beyond_the_limit_prefer_another_target(stream: bool) -> None:
    async def main() -> None:
        async with engine_and_hosted(3) as gateway:
            found = await together(gateway, 10, stream=stream)
            assert found.count("engine") == 3
            records = await gateway.wait_for_records(10)
            verdicts = {text for one in records if one["provider"] == "hosted" for text in one["verdicts"]}
            assert verdicts == {
                f"engine/{MODEL}: 3 attempts are in progress, and its max_concurrency is 3, a worker's part"
            }
            assert await together(gateway, 1, stream=stream) == ["engine"], "there is room again"

    run(main())


def test_request_beyond_the_limit_goes_to_the_engine_if_no_other_target_is_left() -> None:
    async def main() -> None:
        async with engine_and_hosted(1, targets=("engine",)) as gateway:
            assert await together(gateway, 4, stream=True) == ["engine"] * 4

    run(main())


def test_request_beyond_the_limit_returns_to_the_engine_if_the_other_target_fails() -> None:
    async def main() -> None:
        async with engine_and_hosted(1) as gateway:
            gateway.providers["hosted"].set_fault("status=500")
            assert await together(gateway, 3, stream=True) == ["engine"] * 3

    run(main())


def test_engine_without_a_limit_gets_all_requests() -> None:
    async def main() -> None:
        async with engine_and_hosted("none") as gateway:
            assert await together(gateway, 30, stream=True) == ["engine"] * 30

    run(main())


def test_limit_of_an_engine_is_learned_from_the_times_of_its_answers() -> None:
    async def main() -> None:
        async with engine_and_hosted(None) as gateway:
            engine, live = gateway.providers["engine"], gateway.live
            item = live.snapshot.models["chat"].targets[0]
            first = live.most_in_progress(item)
            assert first is not None
            await together(gateway, 4, stream=True)
            engine.set_fault("slow_start=3")  # as if twenty requests were more than it can serve at once
            found = await together(gateway, 30, stream=True)
            assert found.count("engine") == first
            await until(lambda: not live.in_progress, "all attempts are settled")
            learned = live.most_in_progress(item)
            assert learned is not None
            assert learned < first

    run(main())
