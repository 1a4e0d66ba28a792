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


def test_race_finds_out_that_a_provider_is_well_again_while_the_next_one_serves() -> None:
    async def main() -> None:
        async with adaptive({"adaptive": {"policy": "latency"}}, duplicates={"race": {"share": 0.3}}) as gateway:
            await served(gateway, 30)
            beta = gateway.providers["beta"]
            beta.set_fault("slow_start=1.5")
            await served(gateway, 12)
            beta.set_fault(None)
            for _ in range(60):
                found = await served(gateway, 5)
                if found.count("beta") == 5:
                    break
            assert found.count("beta") == 5, "it is back"
            records = await gateway.wait_for_records(1)
            races = [one for record in records for one in record["attempts"] if one.get("race")]
            assert races
            assert all(len(record["attempts"]) <= 3 for record in records)
            raced = next(one for one in records if any(attempt.get("race") for attempt in one["attempts"]))
            assert any("probed" in note for note in raced["notes"])
            metrics = await gateway.metrics()
            counted = sum(value for name, value in metrics.items() if name.startswith("pointsman_races_total"))
            assert counted == len(races)

    run(main())
