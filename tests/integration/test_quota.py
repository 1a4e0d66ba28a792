"""Providers' own limits through a whole gateway: requests leave a key before it rejects them, or wait for its room."""

import re
from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings
from pointsman.simulate.settings import RateLimits

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
COUNT, LIMIT = 240, 60
LEFT = re.compile(rf"alpha/{MODEL}: about [0-3] of {LIMIT} requests a minute are left at the key only")


def limited(limits: RateLimits, *others: str, **settings: Any) -> Any:
    """Serve `chat` at `alpha`, which has limits, and then at the other providers."""
    providers = {"alpha": Settings(limits=limits, output_tokens=2.0, first_token_ms=20.0, **settings)}
    providers |= {name: Settings(output_tokens=2.0, first_token_ms=20.0) for name in others}
    targets = [f"{name}/{MODEL}" for name in providers]
    return serving(providers=providers, models={"chat": {"strategy": "priority", "targets": targets}})


async def ask_many(gateway: Gateway, count: int = COUNT, **fields: Any) -> list[str]:
    """Send requests, six at a time. Return the providers that served them."""
    answers = await gateway.ask_many(count, 6, chat(max_tokens=2, **fields))
    assert [one.status for one in answers] == [200] * count
    return [one.headers["x-pointsman-provider"] for one in answers]


@pytest.mark.parametrize("limits", [RateLimits(requests=LIMIT), RateLimits(tokens=900)], ids=["requests", "tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_storm_at_a_limited_provider_causes_few_rejections(limits: RateLimits, stream: bool) -> None:
    async def main() -> None:
        async with limited(limits, "beta", "gamma") as gateway:
            found = await ask_many(gateway, stream=stream)
            totals = gateway.providers["alpha"].bill.totals()
            assert totals.rate_limited <= 0.02 * COUNT, "the headers show its limit"
            assert found.count("alpha") == totals.complete
            assert totals.complete >= 25, "the limit is used"
            assert gateway.live.conditions == {}, "a limit is no matter of health"

    run(main())


def test_record_names_the_amount_that_is_left_and_needed() -> None:
    async def main() -> None:
        async with limited(RateLimits(requests=LIMIT), "beta") as gateway:
            await ask_many(gateway, 2 * LIMIT)
            records = await gateway.wait_for_records(2 * LIMIT)
            verdicts = {text for one in records for text in one.get("verdicts", ())}
            assert any(LEFT.fullmatch(text) for text in verdicts), verdicts

    run(main())


def test_requests_wait_for_room_if_nothing_else_is_left() -> None:
    async def main() -> None:
        async with limited(RateLimits(requests=120)) as gateway:
            await ask_many(gateway, 118)
            await ask_many(gateway, 6)
            totals = gateway.providers["alpha"].bill.totals()
            assert totals.complete == 124
            assert totals.rate_limited <= 1

    run(main())


def test_limit_of_one_of_two_keys_leaves_the_other_in_use() -> None:
    async def main() -> None:
        environ = {"SMALL": "sk-small-0123456789", "LARGE": "sk-large-0123456789"}
        small, large = environ.values()
        settings = Settings(keys={small: "", large: ""}, key_limits={small: RateLimits(requests=30)}, output_tokens=2.0)
        keys = {"small": {"value": "env.SMALL", "weight": 80}, "large": {"value": "env.LARGE", "weight": 20}}
        async with serving(
            providers={"alpha": settings},
            provider_settings={"alpha": {"keys": keys}},
            environ=environ,
            models={"chat": [f"alpha/{MODEL}"]},
        ) as gateway:
            await ask_many(gateway, 150)
            alpha = gateway.providers["alpha"]
            served = [one.key for one in alpha.bill.entries if one.status == 200]
            assert served.count(small) >= 20
            assert served.count(large) >= 100
            assert alpha.bill.totals().rate_limited <= 3

    run(main())


@pytest.mark.parametrize("headers", ["none", "unknown", "ample", "exhausted"])
def test_absent_or_false_reports_fail_no_request(headers: Any) -> None:
    async def main() -> None:
        async with limited(RateLimits(requests=LIMIT, headers=headers), "beta") as gateway:
            await ask_many(gateway)
            rejected = gateway.providers["alpha"].bill.totals().rate_limited
            assert rejected <= 0.2 * COUNT
            if headers == "unknown":
                assert all(not one.buckets for one in gateway.live.quotas.mirrors.values())

    run(main())


@pytest.mark.parametrize("skew_s", [0.0, 3600.0, -3600.0])
def test_anthropics_limits_are_read_by_its_own_clock(skew_s: float) -> None:
    async def main() -> None:
        limits = RateLimits(requests=LIMIT, input_tokens=1_000_000)
        providers = {
            "alpha": Settings(models=(CLAUDE,), limits=limits, clock_skew_s=skew_s, output_tokens=2.0),
            "beta": Settings(output_tokens=2.0),
        }
        async with serving(
            providers=providers,
            provider_settings={"alpha": {"type": "anthropic", "keys": {"only": "env.CLAUDE_KEY"}}},
            environ={"CLAUDE_KEY": "sk-ant-0123456789"},
            models={"chat": {"strategy": "priority", "targets": [f"alpha/{CLAUDE}", f"beta/{MODEL}"]}},
        ) as gateway:
            found = await ask_many(gateway, 120)
            totals = gateway.providers["alpha"].bill.totals()
            assert totals.rate_limited <= 3
            assert LIMIT - 5 <= found.count("alpha") <= 119
            (mirror,) = gateway.live.quotas.mirrors.values()
            assert mirror.buckets["requests"].rate == pytest.approx(1.0, rel=0.2), "a minute, whatever the clock says"

    run(main())
