"""Shares of the traffic follow the weights at any scale; a weight of 0 gets no traffic."""

from collections import Counter
from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

CONCURRENCY = 16
SHORT = Settings(output_tokens=1.0)
TWO = {"alpha": SHORT, "beta": SHORT}
THREE = {**TWO, "gamma": SHORT}
# Almost four standard deviations of a share among this many requests lie within these points.
SIZES = [(2_000, 3.6), pytest.param((10_000, 1.5), marks=pytest.mark.slow)]


def weighted(*targets: tuple[str, float] | tuple[str, float, str]) -> dict[str, Any]:
    entries = []
    for model, weight, *variant in targets:
        entries.append({"model": model, "weight": weight, **({"variant": variant[0]} if variant else {})})
    return {"strategy": "weighted", "targets": entries}


def arrivals(gateway: Gateway) -> Counter[str]:
    return Counter({name: provider.counters.requests_received for name, provider in gateway.providers.items()})


def check_share(share: float, expected: float, points: float) -> None:
    assert abs(share - expected) * 100 <= points, f"{share:.2%} instead of {expected:.0%}"


async def ask(gateway: Gateway, count: int, **fields: Any) -> None:
    for answer in await gateway.ask_many(count, CONCURRENCY, chat(**fields)):
        assert answer.status == 200, answer


def test_weights_of_eighty_and_twenty_give_these_shares() -> None:
    """Log and metrics distinguish the variants."""
    models = {"chat": weighted(("alpha/gpt-4o-mini", 80, "control"), ("beta/gpt-4o-mini", 20, "trial"))}

    async def main() -> None:
        async with serving(providers=TWO, models=models) as gateway:
            await ask(gateway, 10_000)
            counts = arrivals(gateway)
            assert counts.total() == 10_000
            check_share(counts["alpha"] / 10_000, 0.8, 1.5)
            print(f"alpha {counts['alpha'] / 100:.2f} %, beta {counts['beta'] / 100:.2f} %")
            variants = Counter(record["variant"] for record in await gateway.wait_for_records(10_000))
            assert variants == {"control": counts["alpha"], "trial": counts["beta"]}
            metrics = await gateway.metrics()
            for variant, count in variants.items():
                name = f'pointsman_variant_requests_total{{public_model="chat",status="200",variant="{variant}"}}'
                assert metrics[name] == count

    run(main())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("first", "second"), [(0.8, 0.2), (4000, 1000), (0.0008, 0.0002), (8, 2)])
def test_weights_may_have_any_scale(first: float, second: float, size: tuple[int, float]) -> None:
    count, points = size
    models = {"chat": weighted(("alpha/gpt-4o-mini", first), ("beta/gpt-4o-mini", second))}

    async def main() -> None:
        async with serving(providers=TWO, models=models) as gateway:
            await ask(gateway, count)
            check_share(arrivals(gateway)["alpha"] / count, 0.8, points)

    run(main())


@pytest.mark.parametrize("size", SIZES)
def test_keys_share_by_their_weights(size: tuple[int, float]) -> None:
    count, points = size
    environ = {f"KEY_{number}": f"sk-{number}-0123456789abcdef" for number in range(3)}
    weights = {"many": 3, "few": 1, "none": 0}
    keys = {
        name: {"value": f"env.KEY_{number}", "weight": weight} for number, (name, weight) in enumerate(weights.items())
    }

    async def main() -> None:
        async with serving(
            providers={"alpha": SHORT},
            provider_settings={"alpha": {"keys": keys}},
            environ=environ,
            models={"chat": ["alpha/gpt-4o-mini"]},
        ) as gateway:
            await ask(gateway, count)
            used = Counter(entry.key for entry in gateway.providers["alpha"].bill.entries)
            assert set(used) == {environ["KEY_0"], environ["KEY_1"]}
            check_share(used[environ["KEY_0"]] / count, 0.75, points * 1.1)

    run(main())


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", ["status=500", "status=401", "rate_limit=20", "refuse"])
def test_weight_of_zero_gets_no_traffic_even_if_the_others_fail(fault: str, count: int) -> None:
    """This holds for targets and keys of weight 0."""
    models = {
        "chat": {
            **weighted(("alpha/gpt-4o-mini", 1), ("gamma/gpt-4o-mini", 0)),
            "fallbacks": ["beta/gpt-4o-mini"],
        },
        "alone": weighted(("alpha/gpt-4o-mini", 1), ("gamma/gpt-4o-mini", 0)),
    }
    environ = {"USED_KEY": "sk-used-0123456789abcdef", "DRAINED_KEY": "sk-drained-0123456789abcdef"}
    keys = {"used": {"value": "env.USED_KEY", "weight": 1}, "drained": {"value": "env.DRAINED_KEY", "weight": 0}}

    async def main() -> None:
        async with serving(
            providers=THREE, models=models, provider_settings={"alpha": {"keys": keys}}, environ=environ
        ) as gateway:
            alpha = gateway.providers["alpha"]
            await ask(gateway, 20)
            alpha.set_fault(fault)
            await ask(gateway, count)
            for answer in await gateway.ask_many(4, 4, chat("alone"), headers={"x-pointsman-timeout-ms": "2000"}):
                assert answer.status in (429, 502, 503, 504), answer
            assert arrivals(gateway)["gamma"] == 0
            assert {entry.key for entry in alpha.bill.entries} == {environ["USED_KEY"]}
            (verdict,) = (await gateway.wait_for_records(20))[0]["verdicts"]
            assert verdict == "gamma/gpt-4o-mini: its weight is 0"
            alpha.set_fault(None)

    run(main())


@pytest.mark.parametrize("kept", ["header:x-user", "session", "tag:user"])
def test_sticky_values_always_get_the_same_target_over_one_connection(kept: str) -> None:
    """Requests with equal heads share the result of reading them, and different values must not."""
    header = {"header:x-user": "x-user", "session": "x-pointsman-session", "tag:user": "x-pointsman-tag-user"}[kept]
    targets = weighted(("alpha/gpt-4o-mini", 1), ("beta/gpt-4o-mini", 1))
    models = {"chat": {**targets, "strategy": {"weighted": {"sticky": kept}}}}

    async def main() -> None:
        async with serving(providers=TWO, models=models) as gateway:
            client = await gateway.connect()
            for _ in range(4):
                for user in range(30):
                    answer = await client.ask(chat(), headers={header: f"user-{user}"})
                    assert answer.status == 200
            await client.close()
            records = await gateway.wait_for_records(120)
            served = [record["provider"] for record in sorted(records, key=lambda one: one["request_id"])]
            assert served[:30] * 4 == served
            assert set(served) == {"alpha", "beta"}
            assert {record["kept_by"] for record in records} == {kept}

    run(main())
