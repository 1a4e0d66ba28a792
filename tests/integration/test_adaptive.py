"""The adaptive strategy in a whole gateway: requests go where answers come soon, and leave a provider that fails."""

from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

MODEL = "gpt-4o-mini"
NAMES = ("alpha", "beta", "gamma")


def adaptive(strategy: Any = "adaptive", **model: Any) -> Any:
    """Serve `chat` at three providers of different speed."""
    times = dict(zip(NAMES, (600.0, 20.0, 300.0), strict=True))
    return serving(
        providers={name: Settings(first_token_ms=ms, output_tokens=2.0) for name, ms in times.items()},
        models={"chat": {"strategy": strategy, "targets": [f"{name}/{MODEL}" for name in NAMES], **model}},
    )


async def served(gateway: Gateway, count: int, *, stream: bool = True) -> list[str]:
    found = []
    for _ in range(count):
        answer = await gateway.ask(chat(stream=stream, max_tokens=2))
        assert answer.status == 200
        found.append(answer.headers["x-pointsman-provider"])
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_requests_go_to_the_fastest_target_after_a_first_look_at_each(stream: bool) -> None:
    async def main() -> None:
        async with adaptive({"adaptive": {"policy": "latency"}}) as gateway:
            found = await served(gateway, 40, stream=stream)
            assert set(found) == set(NAMES), "each is tried"
            assert found[-20:].count("beta") >= 14

    run(main())


def test_requests_leave_a_target_that_becomes_slow() -> None:
    async def main() -> None:
        async with adaptive({"adaptive": {"policy": "latency"}}) as gateway:
            await served(gateway, 40)
            gateway.providers["beta"].set_fault("slow_start=1.2")
            found = await served(gateway, 16)
            assert found[-8:].count("beta") <= 2, found

    run(main())


def test_requests_leave_a_target_that_fails() -> None:
    async def main() -> None:
        async with adaptive({"adaptive": {"policy": "latency"}}) as gateway:
            await served(gateway, 30)
            gateway.providers["beta"].set_fault("status=500")
            before = len(gateway.providers["beta"].bill.entries)
            found = await served(gateway, 20)
            assert "beta" not in found
            assert len(gateway.providers["beta"].bill.entries) - before <= 12

    run(main())


def test_record_explains_the_order() -> None:
    async def main() -> None:
        async with adaptive() as gateway:
            await served(gateway, 5)
            records = await gateway.wait_for_records(5)
            notes = records[-1]["notes"]
            assert len(notes) == 3
            assert all("s expected" in note for note in notes)
            assert records[-1]["strategy"] == "adaptive"

    run(main())


def test_learned_times_outlive_a_change_of_the_configuration() -> None:
    async def main() -> None:
        async with adaptive({"adaptive": {"policy": "latency"}}) as gateway:
            await served(gateway, 30)
            live = gateway.live
            live.swap(live.snapshot)
            found = await served(gateway, 10)
            assert found.count("beta") >= 7

    run(main())
