"""Refusals in answers: counted, charged, passed on untouched, or answered by a declared fallback instead."""

import re
from typing import Any

import pytest

from integration.client import Answer
from integration.dialects import DIALECTS, PATHS, TYPES, Dialect
from integration.gateway import Gateway, run, serving
from integration.governance import bearer, billed_nano, governance, key_value, prices, usd
from integration.loops import begin
from pointsman.simulate.settings import Settings

MODEL = "gpt-4o-mini"
PAIRS = [(ours, theirs) for ours in DIALECTS for theirs in DIALECTS]
OURS = {"refused": "refusal", "filtered": "content_filter"}
REFUSAL = "I'm sorry, but I can't help with that."
# Each request gets its own ids, times and lengths of padding.
VARYING = re.compile(rb'(?:chatcmpl-|msg_|resp_|call_)\w+|"created(?:_at)?":\d+')


def gateway_for(theirs: Dialect, **fields: Any) -> Any:
    settings = {"output_tokens": 20.0, **fields}
    targets = {"strategy": "priority", "targets": [f"alpha/{MODEL}"]}
    declared = {"refusal": [f"beta/{MODEL}"], "content_filter": [f"beta/{MODEL}"]}
    from integration.governance import PRICE

    return serving(
        providers={name: Settings(price=PRICE, **settings) for name in ("alpha", "beta")},
        provider_settings={"alpha": {"type": TYPES[theirs]}, "beta": {"type": TYPES["chat"]}},
        models={
            "chat": {**targets, "fallbacks_for": declared},
            "plain": targets,
            "general": {**targets, "fallbacks": [f"beta/{MODEL}"]},
        },
        governance=governance({"me": {"budgets": usd("1")}}),
        pricing=prices("*"),
    )


async def ask(gateway: Gateway, ours: Dialect, *, stream: bool, model: str = "chat") -> Answer:
    headers = bearer("me")
    if ours == "messages":
        headers = {"x-api-key": key_value("me"), "anthropic-version": "2023-06-01"}
    body = {**begin(ours, stream=stream, tools=False), "model": model}
    if ours == "messages":
        body["max_tokens"] = 100
    answer = await gateway.ask(body, path=f"/v1{PATHS[ours]}", headers=headers)
    assert (answer.status, answer.ended) == (200, "complete"), answer.body
    return answer


async def check(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """Check that every attempt is charged as it was billed. Return the records."""
    records = await gateway.wait_for_records(count)
    assert len(records) == count
    assert sum(record["cost_nano"] for record in records) == billed_nano(gateway) > 0
    for record in records:
        assert "code" not in record
        assert all(attempt["usage_source"] == "provider" for attempt in record["attempts"])
    assert not gateway.live.conditions
    return records


@pytest.mark.parametrize("fault", ["refused", "filtered"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_refusal_is_replaced_by_the_declared_fallback(ours: Dialect, theirs: Dialect, fault: str) -> None:
    async def main() -> None:
        async with gateway_for(theirs) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            for stream in (False, True):
                answer = await ask(gateway, ours, stream=stream)
                assert answer.headers["x-pointsman-provider"] == "beta"
                assert answer.headers["x-pointsman-attempts"] == "2"
                assert b"sorry" not in answer.body
            outcome = "refused" if theirs == "messages" else fault
            for record in await check(gateway, 2):
                assert [one["outcome"] for one in record["attempts"]] == [outcome, "ok"]
                assert record["attempts"][0]["tokens_in"] > 0
            metrics = await gateway.metrics()
            (count,) = [value for name, value in metrics.items() if _is_count(name, outcome)]
            assert count == 2

    run(main())


def _is_count(name: str, outcome: str) -> bool:
    return name.startswith("pointsman_attempts_total") and f'outcome="{outcome}"' in name


@pytest.mark.parametrize("fault", ["refused", "filtered=3"])
@pytest.mark.parametrize("theirs", DIALECTS)
def test_refusal_is_passed_on_untouched_without_a_fallback_for_it(theirs: Dialect, fault: str) -> None:
    """The fallback for all purposes is for other failures."""

    async def main() -> None:
        async with gateway_for(theirs) as gateway:
            alpha = gateway.providers["alpha"]
            for model in ("plain", "general"):
                for stream in (False, True):
                    alpha.set_fault(fault)
                    answer = await ask(gateway, theirs, stream=stream, model=model)
                    assert answer.headers["x-pointsman-provider"] == "alpha"
                    assert b"refus" in answer.body or b"content_filter" in answer.body
            records = await check(gateway, 4)
            outcome = "refused" if theirs == "messages" or fault == "refused" else "filtered"
            assert [one["outcome"] for record in records for one in record["attempts"]] == [outcome] * 4
            assert all(record["flags"] == ["refused"] for record in records)

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_refusal_is_served_if_every_fallback_fails(ours: Dialect) -> None:
    """Nobody is worse off for a declared fallback: the client gets the refusal that was held back."""

    async def main() -> None:
        async with gateway_for(ours) as gateway:
            gateway.providers["alpha"].set_fault("refused")
            plain = [await ask(gateway, ours, stream=stream, model="plain") for stream in (False, True)]
            gateway.providers["beta"].set_fault("status=400")
            held = [await ask(gateway, ours, stream=stream) for stream in (False, True)]
            for one, other in zip(plain, held, strict=True):
                assert other.headers["x-pointsman-provider"] == "alpha"
                assert other.headers["content-type"] == one.headers["content-type"]
                assert VARYING.sub(b"", other.body) == VARYING.sub(b"", one.body)
            records = await gateway.wait_for_records(4)
            assert sum(record["cost_nano"] for record in records) == billed_nano(gateway)
            for record in records[2:]:
                assert (record["status"], record["provider"]) == (200, "alpha")
                assert [one["outcome"] for one in record["attempts"]] == ["refused", "upstream_refused"]

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_refusal_after_content_is_passed_on(ours: Dialect) -> None:
    """The stream has committed by then. A whole answer has not."""

    async def main() -> None:
        async with gateway_for(ours, token_gap_ms=20.0) as gateway:
            gateway.providers["alpha"].set_fault("filtered=3")
            streamed = await ask(gateway, ours, stream=True)
            assert streamed.headers["x-pointsman-provider"] == "alpha"
            whole = await ask(gateway, ours, stream=False)
            assert whole.headers["x-pointsman-provider"] == "beta"
            first, second = await check(gateway, 2)
            assert first["flags"] == ["refused"]
            assert "flags" not in second

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_hidden_reasoning_before_a_refusal_does_not_commit(stream: bool) -> None:
    async def main() -> None:
        async with gateway_for("responses", reasoning_tokens=20.0) as gateway:
            gateway.providers["alpha"].set_fault("refused")
            for ours in DIALECTS:
                body = {**begin(ours, stream=stream, tools=False), "model": "chat"}
                efforts: dict[str, dict[str, Any]] = {
                    "chat": {"reasoning_effort": "low"},
                    "responses": {"reasoning": {"effort": "low"}},
                    "messages": {
                        "max_tokens": 2000,
                        "output_config": {"effort": "low"},
                        "thinking": {"type": "adaptive"},
                    },
                }
                body |= efforts[ours]
                headers = {**bearer("me"), "anthropic-version": "2023-06-01"}
                answer = await gateway.ask(body, path=f"/v1{PATHS[ours]}", headers=headers)
                assert answer.status == 200, answer.body
                assert answer.headers["x-pointsman-provider"] == "beta", (ours, answer.body)

    run(main())
