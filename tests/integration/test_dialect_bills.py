"""The gateway charges what the provider bills, for clients and providers of every dialect. The simulated providers
share no code with the gateway. With `POINTSMAN_MEASURE` set, the table is written to docs/measurements."""

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from integration.dialects import DIALECTS, PATHS, TYPES, Dialect, Spoken
from integration.gateway import Gateway, run, serving, until
from integration.governance import bearer, billed_nano, governance, key_value, prices, usd
from integration.loops import Reply, begin, read, resume
from pointsman.simulate.model import CALL_OVERHEAD
from pointsman.simulate.settings import Price, Settings

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "dialect_bills.json"
SEED = 13
MODEL = "gpt-4o-mini"
CACHING = Price(input_pico=150_000, output_pico=600_000, cached_pico=15_000, cache_write_pico=187_500)
RATES = {"cached_input_usd_per_million": "0.015", "cache_write_usd_per_million": "0.1875"}
BOUND = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
# The fields that switch on reasoning, and mark a part of a prompt for a cache.
REASONING: dict[Dialect, dict[str, Any]] = {
    "chat": {"reasoning_effort": "low"},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "responses": {"reasoning": {"effort": "low", "summary": "auto"}},
}
SPOKEN: tuple[Spoken, ...] = (*DIALECTS, "gemini")
PAIRS = [(ours, theirs) for ours in DIALECTS for theirs in SPOKEN]


def governed(
    theirs: Spoken, limit_usd: str = "1", *, most: int | None = None, stall_s: float = 10.0, **fields: Any
) -> Any:
    """Run a gateway with one provider. `most` is the longest answer of its model."""
    given = {"output_tokens": 60.0, "parallel_calls": 2, "price": CACHING, **fields}
    return serving(
        providers={"alpha": Settings(**given)},
        provider_settings={"alpha": {"type": TYPES[theirs], "bills_unfinished": "full"}},
        models={"chat": [f"alpha/{MODEL}"]},
        governance=governance({"me": {"budgets": usd(limit_usd) if limit_usd else []}}),
        pricing=prices(f"alpha/{MODEL}", output_tokens=most, **RATES),
        routing={"max_attempts": 1, "health": {"failures": 1000}, "timeouts": {"stall_s": stall_s}},
    )


async def ask(gateway: Gateway, ours: Dialect, body: dict[str, Any]) -> Reply:
    answer = await gateway.ask(body, path=f"/v1{PATHS[ours]}", headers=headers_of(ours))
    return read(ours, answer)


def headers_of(ours: Dialect) -> dict[str, str]:
    if ours == "messages":
        return {"x-api-key": key_value("me"), "anthropic-version": "2023-06-01"}
    return bearer("me")


async def check_bill(gateway: Gateway, replies: list[Reply]) -> None:
    """Check that every attempt is charged as it was billed, and that the client sees the billed tokens."""
    records = await gateway.wait_for_records(len(replies))
    entries = gateway.providers["alpha"].bill.entries
    assert len(records) == len(entries) == len(replies)
    for record, entry, reply in zip(records, entries, replies, strict=True):
        (attempt,) = record["attempts"]
        assert (attempt["outcome"], attempt["usage_source"]) == ("ok", "provider")
        assert (attempt["tokens_in"], attempt["tokens_out"]) == (entry.tokens_in, entry.tokens_out)
        assert (reply.tokens_in, reply.tokens_out) == (entry.tokens_in, entry.tokens_out)
        assert attempt["cost_nano"] == record["cost_nano"] == entry.charged_nano > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_charges_of_a_loop_with_tools_equal_the_bill(ours: Dialect, theirs: Spoken, stream: bool) -> None:
    async def main() -> None:
        async with governed(theirs, cached_share=0.5, cache_write_share=0.5) as gateway:
            marked = {"cache_control": {"type": "ephemeral"}} if ours == "messages" else {}
            fields: dict[str, Any] = {BOUND[ours]: 2000, **REASONING[ours], **marked}
            body = begin(ours, stream=stream, **fields)
            first = await ask(gateway, ours, body)
            assert [name for _, name in first.calls] == ["get_weather", "get_time"]
            second = await ask(gateway, ours, resume(ours, body, first))
            assert second.text
            assert not second.calls
            await check_bill(gateway, [first, second])
            if ours == theirs == "messages":
                assert all(entry.tokens_cache_write for entry in gateway.providers["alpha"].bill.entries)

    run(main())


def bound_of(gateway: Gateway, theirs: Spoken) -> list[Any]:
    """Return the bounds on the answers that the provider was asked for."""
    bodies = [json.loads(request.body) for request in gateway.providers["alpha"].requests]
    if theirs == "gemini":
        return [body["generationConfig"].get("maxOutputTokens") for body in bodies]
    return [body.get(BOUND[theirs]) for body in bodies]


async def spend_limit(ours: Dialect, theirs: Spoken) -> float:
    """Spend a hard limit with answers of the longest length. Return the part of it that was billed. Some requests
    stream. Only Messages require a bound; the others get the model's."""
    limit_nano = 1_000_000
    given: dict[str, Any] = {BOUND[ours]: 100} if ours == "messages" else {}
    async with governed(theirs, "0.001", output_tokens="max_tokens", most=100) as gateway:
        how: dict[str, Any] = {"path": f"/v1{PATHS[ours]}", "headers": headers_of(ours)}
        bodies = [begin(ours, stream=stream, tools=False, **given) for stream in (False, True)]
        answers = await gateway.ask_many(40, 8, lambda number: bodies[number % 2], **how)
        assert {answer.status for answer in answers} == {200, 402}
        assert set(bound_of(gateway, theirs)) == {100}
        served = [read(ours, answer) for answer in answers if answer.status == 200]
        assert all(reply.tokens_out == 100 for reply in served)
        records = await gateway.wait_for_records(len(answers))
        billed = billed_nano(gateway)
        assert sum(record.get("cost_nano", 0) for record in records) == billed
        assert limit_nano * 0.8 < billed <= limit_nano
        return billed / limit_nano


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_hard_limit_holds_for_answers_of_the_longest_length(ours: Dialect, theirs: Spoken) -> None:
    run(spend_limit(ours, theirs))


def random_body(ours: Dialect, rng: random.Random) -> dict[str, Any]:
    """Return a request that may stream, think, use tools and a cache, and be cut at its bound."""
    fields: dict[str, Any] = {BOUND[ours]: rng.randint(4, 120)}
    if rng.random() < 0.5:
        fields = {BOUND[ours]: 2000, **REASONING[ours]}
    if ours == "messages" and rng.random() < 0.5:
        fields["cache_control"] = {"type": "ephemeral"}
    return begin(ours, stream=rng.random() < 0.5, tools=rng.random() < 0.5, **fields)


async def play_many(ours: Dialect, theirs: Spoken, count: int) -> dict[str, int]:
    """Send random requests, and compare each charge with the bill."""
    async with governed(theirs, "1000", cached_share=0.4, cache_write_share=0.3) as gateway:
        rng = random.Random(SEED)
        bodies = [random_body(ours, rng) for _ in range(count)]
        how: dict[str, Any] = {"path": f"/v1{PATHS[ours]}", "headers": headers_of(ours)}
        answers = await gateway.ask_many(count, 4, lambda number: bodies[number], **how)
        assert {answer.status for answer in answers} == {200}, [one for one in answers if one.status != 200]
        attempts = [attempt for one in await gateway.wait_for_records(count) for attempt in one["attempts"]]
        bill = gateway.providers["alpha"].bill.entries
        charged = Counter((one["tokens_in"], one.get("tokens_out", 0), one["cost_nano"]) for one in attempts)
        billed = Counter((entry.tokens_in, entry.tokens_out, entry.charged_nano) for entry in bill)
        return {
            "requests": count,
            "streamed": sum(entry.stream for entry in bill),
            "tokens_cached": sum(entry.tokens_cached for entry in bill),
            "tokens_cache_write": sum(entry.tokens_cache_write for entry in bill),
            "billed_nano": sum(entry.charged_nano for entry in bill),
            "charged_nano": sum(one["cost_nano"] for one in attempts),
            "different": (billed - charged).total() + (charged - billed).total(),
        }


def test_charges_of_random_requests_equal_the_bill() -> None:
    measure = "POINTSMAN_MEASURE" in os.environ
    table: dict[str, dict[str, float]] = {}
    for ours, theirs in PAIRS:
        row = table[f"{ours} client, {theirs} provider"] = {**run(play_many(ours, theirs, 300 if measure else 12))}
        assert row["different"] == 0
        assert row["billed_nano"] == row["charged_nano"] > 0
        if measure:
            row["limit_used"] = round(run(spend_limit(ours, theirs)), 3)
    if measure:
        TABLE.write_text(json.dumps(table, indent=2) + "\n")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", ["chat", "responses"])
def test_request_without_a_bound_gets_one_at_a_provider_that_needs_it(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with governed("messages", "", most=300) as gateway:
            reply = await ask(gateway, ours, begin(ours, stream=stream, tools=False))
            assert bound_of(gateway, "messages") == [300]
            await check_bill(gateway, [reply])

    run(main())


# Faults of a stream, and the outcomes of its attempt at providers of chats, Messages, Responses and Gemini.
CUTS = {
    "die_mid_stream=5": ("connection_lost", "connection_lost", "connection_lost", "connection_lost"),
    "error_mid_stream=5": ("upstream_error", "upstream_error", "upstream_error", "upstream_error"),
    "overloaded_mid_stream=5": ("upstream_error", "upstream_overloaded", "upstream_error", "upstream_overloaded"),
    "missing_done": ("ok", "truncated", "truncated", "truncated"),
    "hang_mid_stream=5": ("stream_stalled", "stream_stalled", "stream_stalled", "stream_stalled"),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_cut_stream_costs_at_least_the_billed_part(ours: Dialect, theirs: Spoken) -> None:
    async def main() -> None:
        async with governed(theirs, bill_failed="sent", bill_cancelled="sent", stall_s=0.3, token_gap_ms=2) as gateway:
            alpha = gateway.providers["alpha"]
            body = begin(ours, stream=True, tools=False, **{BOUND[ours]: 2000})
            for fault in CUTS:
                alpha.set_fault(fault)
                await gateway.ask(body, path=f"/v1{PATHS[ours]}", headers=headers_of(ours))
            records = await gateway.wait_for_records(len(CUTS))
            await until(lambda: all(entry.outcome != "open" for entry in alpha.bill.entries), "the bill is settled")
            for record, entry, outcomes in zip(records, alpha.bill.entries, CUTS.values(), strict=True):
                (attempt,) = record["attempts"]
                assert attempt["outcome"] == outcomes[SPOKEN.index(theirs)]
                assert attempt["cost_nano"] >= entry.charged_nano > 0
                if theirs == "messages":  # the prompt was reported, and the whole answer too before its end
                    assert attempt["tokens_in"] == entry.tokens_in
                    assert (attempt["cost_nano"] == entry.charged_nano) == (entry.faults.keys() == {"missing_done"})

    run(main())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_cancelled_stream_costs_at_least_the_sent_part(ours: Dialect, theirs: Spoken) -> None:
    """The provider pauses before the client disconnects, so nothing is on its way."""

    async def main() -> None:
        async with governed(theirs, bill_cancelled="sent") as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("hang_mid_stream=7")
            body = begin(ours, stream=True, tools=False, **{BOUND[ours]: 2000})
            client = await gateway.connect()
            client.send(body, path=f"/v1{PATHS[ours]}", headers=headers_of(ours))
            await client.receive(stop=lambda answer: answer.body.count(b"delta") >= 7)
            client.reset()
            await until(
                lambda: alpha.bill.entries[0].outcome == "cancelled", "the provider has detected the disconnect"
            )
            ((attempt,),) = [record["attempts"] for record in await gateway.wait_for_records(1)]
            (entry,) = alpha.bill.entries
            assert (attempt["outcome"], attempt["usage_source"]) == ("client_disconnected", "estimated")
            assert attempt["cost_nano"] >= entry.charged_nano > 0
            assert entry.tokens_sent == 7

    run(main())


@pytest.mark.parametrize("theirs", SPOKEN)
def test_stream_that_ends_at_any_event_is_whole_or_failed(theirs: Spoken) -> None:
    """With two calls at once. A call has a few tokens besides its arguments, which no piece shows."""

    async def main() -> None:
        async with governed(theirs, bill_failed="sent") as gateway:
            alpha, outcomes = gateway.providers["alpha"], list[str]()
            how: dict[str, Any] = {"path": f"/v1{PATHS['messages']}", "headers": headers_of("messages")}
            while not outcomes or alpha.bill.entries[-1].outcome != "complete":
                alpha.set_fault(f"end_at_event={len(outcomes)}")
                answer = await gateway.ask(begin("messages", stream=True, max_tokens=2000), **how)
                records = await gateway.wait_for_records(len(outcomes) + 1)
                (attempt,), entry = records[-1]["attempts"], alpha.bill.entries[-1]
                outcomes.append(attempt["outcome"])
                assert attempt["cost_nano"] > 0
                assert attempt["tokens_out"] + 2 * CALL_OVERHEAD >= entry.tokens_sent
                is_whole = answer.status == 200 and b"event: message_stop" in answer.body
                assert is_whole == (attempt["outcome"] == "ok")
            # A chat is whole after its finish reason: its usage and `[DONE]` may be missing.
            assert outcomes.count("ok") == (3 if theirs == "chat" else 1)
            assert set(outcomes[: -outcomes.count("ok")]) == {"truncated"}
            assert len(outcomes) > (2 if theirs == "gemini" else 10)  # where a call is one event

    run(main())
