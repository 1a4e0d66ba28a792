"""Failover as its settings shape it, through a whole gateway. The providers' bills show what was sent."""

import json
from time import monotonic
from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, billed_nano, governance, prices, settings, usd
from pointsman.simulate.settings import ScheduledFault

MODEL = "gpt-4o-mini"
TARGETS = [f"alpha/{MODEL}", f"beta/{MODEL}"]
STREAM = chat(stream=True, max_tokens=20, stream_options={"include_usage": True})
WHOLE_TEXT = "".join(f" {number}" for number in range(20))


def shaped(alpha: dict[str, Any], model: dict[str, Any], *, beta: dict[str, Any] | None = None, key: Any = None) -> Any:
    """Serve `chat` at alpha, then at beta."""
    return serving(
        providers={
            "alpha": settings(**{"text": "numbered", **alpha}),
            "beta": settings(**{"text": "numbered", **(beta or {})}),
        },
        models={"chat": {"strategy": "priority", "targets": TARGETS, **model}},
        governance=governance({"me": {"budgets": usd(1), **(key or {})}}),
        pricing=prices(*TARGETS),
    )


def text_of(events: list[str]) -> str:
    deltas = [choice["delta"] for event in events if event != "[DONE]" for choice in json.loads(event)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def once(fault: str) -> dict[str, Any]:
    return {"schedule": (ScheduledFault(fault=fault, to_request=1),)}


async def outcomes(gateway: Gateway, count: int = 1) -> list[tuple[str, str]]:
    records = await gateway.wait_for_records(count)
    return [(one["provider"], one["outcome"]) for one in records[-1]["attempts"]]


def test_short_retry_after_is_waited_for_at_the_same_target() -> None:
    async def main() -> None:
        failover = {"failover": {"retry_after_wait_s": 2}}
        async with shaped(once("rate_limit=1"), failover) as gateway:
            began_at = monotonic()
            answer = await gateway.ask(chat(), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "alpha")
            assert monotonic() - began_at >= 1
            assert await outcomes(gateway) == [("alpha", "upstream_rate_limited"), ("alpha", "ok")]
        async with shaped(once("rate_limit=3"), failover) as gateway:
            answer = await gateway.ask(chat(), headers=bearer("me"))
            assert answer.headers["x-pointsman-provider"] == "beta"

    run(main())


def test_target_is_retried_before_the_next_one() -> None:
    async def main() -> None:
        async with shaped(once("status=500"), {"failover": {"same_target_retries": 1}}) as gateway:
            answer = await gateway.ask(chat(), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "alpha")
            assert await outcomes(gateway) == [("alpha", "upstream_error"), ("alpha", "ok")]
            assert not gateway.providers["beta"].bill.entries

    run(main())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("fault", ["die_mid_stream=10", "error_mid_stream=10", "hang_mid_stream=10"])
def test_buffered_stream_that_breaks_off_is_replaced(fault: str, path: str) -> None:
    async def main() -> None:
        model = {"failover": {"stream_recovery": "buffer"}, "timeouts": {"stall_s": 0.5}}
        body: dict[str, Any] = STREAM if path.endswith("completions") else chat(stream=True, max_tokens=20)
        if path.endswith("responses"):
            body = {"model": "chat", "input": "hi", "stream": True}
        async with shaped(once(fault), model) as gateway:
            answer = await gateway.ask(body, headers=bearer("me"), path=path)
            assert answer.status == 200
            assert (answer.headers["x-pointsman-provider"], answer.headers["x-pointsman-attempts"]) == ("beta", "2")
            found = await outcomes(gateway)
            assert found[0][0] == "alpha"
            assert found[-1] == ("beta", "ok")
            if path.endswith("completions"):
                assert text_of(answer.events) == WHOLE_TEXT
                assert answer.events[-1] == "[DONE]"
            (record,) = gateway.records
            assert record["cost_nano"] >= billed_nano(gateway), "a failed answer is charged as far as it came"

    run(main())


def test_client_gets_no_byte_of_a_buffered_stream_before_its_end() -> None:
    async def main() -> None:
        pace = {"token_gap_ms": 20.0}
        for recovery in ("buffer", "error"):
            async with shaped(pace, {"failover": {"stream_recovery": recovery}}) as gateway:
                client = await gateway.connect()
                client.send(STREAM, headers=bearer("me"))
                early = await client.receive(quiet_s=0.15)
                if recovery == "buffer":
                    assert (early.status, early.body) == (0, b"")
                    answer = await client.receive()
                    (entry,) = gateway.providers["alpha"].bill.entries
                    assert entry.outcome == "complete"
                    assert text_of(answer.events) == WHOLE_TEXT
                else:
                    assert early.body
                await client.close()

    run(main())


def test_buffered_stream_without_another_candidate_ends_with_an_error_status() -> None:
    async def main() -> None:
        model = {"targets": TARGETS[:1], "failover": {"stream_recovery": "buffer"}}
        fault = {"schedule": (ScheduledFault(fault="die_mid_stream=10"),)}
        async with shaped(fault, model) as gateway:
            answer = await gateway.ask(STREAM, headers=bearer("me"))
            assert (answer.status, answer.json["error"]["code"]) == (502, "connection_lost")

    run(main())


def test_whole_answer_that_takes_longer_than_any_is_abandoned() -> None:
    async def main() -> None:
        pace = {"token_gap_ms": 5.0, "schedule": (ScheduledFault(fault="hang", from_request=10),)}
        async with shaped(pace, {"failover": {"first_token_s": 0.5}}) as gateway:
            for _ in range(10):
                assert (await gateway.ask(chat(max_tokens=20), headers=bearer("me"))).status == 200
            began_at = monotonic()
            answer = await gateway.ask(chat(max_tokens=20), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "beta")
            assert 0.5 <= monotonic() - began_at <= 60
            assert await outcomes(gateway, 11) == [("alpha", "upstream_timeout"), ("beta", "ok")]

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_slow_attempt_gets_a_rival_and_both_are_charged(stream: bool) -> None:
    async def main() -> None:
        slow = {"schedule": (ScheduledFault(fault="slow_start=20" if stream else "hang"),)}
        async with shaped(slow, {"duplicates": {"hedge": {"after_s": 0.2, "share": 1}}}) as gateway:
            answer = await gateway.ask(chat(stream=stream, max_tokens=20), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "beta")
            assert answer.headers["x-pointsman-attempts"] == "2"
            timing = answer.headers["server-timing"]
            assert f'attempt;desc="alpha/{MODEL}";dur=' in timing
            assert f'hedge;desc="beta/{MODEL}";dur=' in timing
            (record,) = await gateway.wait_for_records(1)
            first, second = sorted(record["attempts"], key=lambda one: one["start_us"])
            assert (first["provider"], first["outcome"], first.get("hedge")) == ("alpha", "superseded", None)
            assert (second["provider"], second["outcome"], second["hedge"]) == ("beta", "ok", True)
            assert second["start_us"] - first["start_us"] >= 0.2e6
            (entry,) = gateway.providers["alpha"].bill.entries
            await until(lambda: entry.outcome == "cancelled", "the slow provider was disconnected")
            assert gateway.worker is not None
            ledger = gateway.worker.plane.ledger
            assert not ledger.open_attempts
            budget = ledger.counters["virtual_key:me|usd|year"].window
            held = sum(one.get("held_nano", 0) for one in record["attempts"])
            assert budget.settled == record["cost_nano"] + held
            found = await gateway.metrics()
            series = f'pointsman_hedges_total{{model="{MODEL}",provider="beta",result="won"}}'
            assert found[series] == 1

    run(main())


def test_rival_waits_for_the_percentile_of_what_was_seen() -> None:
    async def main() -> None:
        slow = {"first_token_ms": 30.0, "schedule": (ScheduledFault(fault="slow_start=20", from_request=25),)}
        hedge = {"hedge": {"after_percentile": 80, "at_least_s": 0.05, "share": 1}}
        async with shaped(slow, {"duplicates": hedge}) as gateway:
            served = [
                (await gateway.ask(chat(stream=True, max_tokens=2), headers=bearer("me"))).headers for _ in range(26)
            ]
            assert served[-1]["x-pointsman-provider"] == "beta"
            assert served[0]["x-pointsman-attempts"] == "1"

    run(main())


@pytest.mark.parametrize(
    ("headers", "body", "key", "is_hedged"),
    [
        ({}, {}, {}, True),
        ({"x-pointsman-max-usd": "1"}, {}, {}, False),
        ({}, {"tools": [{"type": "web_search"}]}, {"budgets": [], "provider_tools": ["web_search"]}, False),
        ({}, {"store": True}, {}, False),
        ({}, {}, {"rate_limits": [{"requests": 1, "per": "year"}]}, False),
        ({}, {}, {"providers": {"alpha": {}}}, False),
        ({"x-pointsman-require": "region=eu"}, {}, {}, False),
    ],
)
def test_request_that_forbids_it_is_sent_once(
    headers: dict[str, str], body: dict[str, Any], key: Any, is_hedged: bool
) -> None:
    async def main() -> None:
        slow = {"schedule": (ScheduledFault(fault="slow_start=1"),)}
        async with serving(
            providers={"alpha": settings(**slow), "beta": settings(first_token_ms=2000.0)},
            provider_settings={"alpha": {"tags": {"region": "eu"}}},
            models={
                "chat": {
                    "strategy": "priority",
                    "targets": TARGETS,
                    "duplicates": {"hedge": {"after_s": 0.1, "share": 1}},
                }
            },
            governance=governance({"me": {"budgets": usd(1), **key}}),
            pricing=prices(*TARGETS),
        ) as gateway:
            answer = await gateway.ask(chat(stream=True, max_tokens=5, **body), headers={**bearer("me"), **headers})
            assert answer.status == 200, answer.body
            assert answer.headers["x-pointsman-provider"] == "alpha"
            assert bool(gateway.providers["beta"].bill.entries) is is_hedged

    run(main())
