"""The limits of a translation: fields that a provider's dialect does not have, and answers that are too long."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from integration.dialects import (
    ANSWERS,
    DIALECTS,
    ERRORS,
    PATHS,
    QUESTION,
    SSE,
    STREAMS,
    TOLD,
    Dialect,
    Served,
    sdks,
    serving_dialects,
)
from integration.gateway import Gateway, run
from integration.governance import bearer, governance, prices, usd
from integration.wire import Received, ask

SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
BODIES: dict[Dialect, dict[str, Any]] = {
    "chat": {"messages": QUESTION},
    "messages": {"messages": QUESTION, "max_tokens": 4000},
    "responses": {"input": QUESTION, "store": False},
}
# A client's dialect, fields of its request, a provider's dialect, and the fields that this dialect does not have.
LABELS: list[tuple[Dialect, dict[str, Any], Dialect, list[str]]] = [
    ("chat", {"seed": 7}, "messages", ["seed"]),
    ("chat", {"seed": 7}, "responses", ["seed"]),
    ("chat", {"logprobs": True, "top_logprobs": 2, "seed": 7}, "messages", ["logprobs", "seed", "top_logprobs"]),
    ("chat", {"metadata": {"run": "1"}, "prompt_cache_key": "k"}, "messages", ["metadata", "prompt_cache_key"]),
    ("responses", {"prompt_cache_key": "k", "user": "x" * 300}, "messages", ["prompt_cache_key", "user"]),
    ("messages", {"metadata": {"user_id": "u"}}, "chat", []),
]
# And requests with parts that a dialect cannot express, with words of the reason.
PARTS: list[tuple[Dialect, dict[str, Any], Dialect, list[str]]] = [
    ("chat", {"n": 2}, "messages", ["n above 1"]),
    ("chat", {"frequency_penalty": 1, "temperature": 1.5}, "messages", ["frequency_penalty", "temperature above 1"]),
    ("chat", {"messages": [{"role": "user", "content": [SOUND]}]}, "messages", ["input_audio"]),
    ("chat", {"stop": ["x"]}, "responses", ["stop"]),
    ("chat", {"web_search_options": {}}, "messages", ["web_search_options"]),
    (
        "messages",
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "chat",
        ["tools[0] of type web_s"],
    ),
    ("messages", {"top_k": 5}, "chat", ["top_k"]),
    ("messages", {"max_tokens": 0}, "chat", ["max_tokens of 0"]),
    ("messages", {"top_k": 5, "stop_sequences": ["x"]}, "responses", ["top_k", "stop_sequences"]),
    ("responses", {"tools": [{"type": "web_search"}]}, "messages", ["tools[0] of type web_search"]),
    ("responses", {"background": True}, "chat", ["background"]),
    ("responses", {"truncation": "auto"}, "messages", ["truncation"]),
]


async def post(gateway: Gateway, dialect: Dialect, fields: dict[str, Any]) -> Received:
    body = json.dumps({"model": "chat", **BODIES[dialect], **fields}).encode()
    return await ask(gateway.base_url, "POST", f"/v1{PATHS[dialect]}", body)


def message_of(received: Received) -> str:
    error: Any = received.json()["error"]
    return str(error["message"])


@pytest.mark.parametrize(("ours", "fields", "theirs", "dropped"), LABELS)
def test_labels_without_a_field_are_dropped_and_named(
    ours: Dialect, fields: dict[str, Any], theirs: Dialect, dropped: list[str]
) -> None:
    async def main() -> None:
        async with serving_dialects(theirs) as (gateway, (provider,)):
            for stream in (False, True):
                provider.answer = Served(STREAMS[theirs], kind=SSE) if stream else Served(ANSWERS[theirs]("x"))
                received = await post(gateway, ours, {**fields, "stream": stream})
                assert received.status == 200, received
                named = received.headers.get("x-pointsman-dropped", "")
                assert sorted(filter(None, named.split(", "))) == dropped
                assert not set(dropped) & set(provider.last_body)
        async with serving_dialects(theirs, ours) as (gateway, (lacking, having)):
            having.answer = Served(ANSWERS[ours]("x"))
            lacking.answer = Served(ANSWERS[theirs]("x"))
            received = await post(gateway, ours, fields)
            assert (received.status, "x-pointsman-dropped" in received.headers) == (200, False)
            assert received.headers["x-pointsman-provider"] == ("b" if dropped else "a")
            having.answer = Served(b"{}", status=500)
            received = await post(gateway, ours, fields)
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, "a")
            assert ("x-pointsman-dropped" in received.headers) is bool(dropped)

    run(main())


@pytest.mark.parametrize(("ours", "fields", "theirs", "reasons"), PARTS)
def test_request_that_no_candidate_can_express_is_rejected_with_the_reasons(
    ours: Dialect, fields: dict[str, Any], theirs: Dialect, reasons: list[str]
) -> None:
    async def main() -> None:
        async with serving_dialects(theirs, theirs) as (gateway, providers):
            received = await post(gateway, ours, fields)
            assert received.status == 400, received
            assert all(reason in message_of(received) for reason in reasons), message_of(received)
            if ours == "messages":
                error: Any = received.json()["error"]
                assert error["type"] == "invalid_request_error"
            else:
                assert received.error()["code"] == "not_supported"
            assert not any(provider.requests for provider in providers)
            (record,) = await gateway.wait_for_records(1)
            assert (record["status"], record["code"]) == (400, "not_supported")
        async with serving_dialects(theirs, ours, routing={"max_attempts": 1}) as (gateway, (unfit, fit)):
            fit.answer = Served(ANSWERS[ours]("x"))
            received = await post(gateway, ours, fields)
            assert received.status == 200, received
            assert received.headers["x-pointsman-provider"] == "b"
            assert not unfit.requests
            assert all(fit.last_body[name] == value for name, value in fields.items())
            (record,) = await gateway.wait_for_records(1)
            (verdict,) = record["verdicts"]
            assert verdict.startswith("a/m-1: ")
            assert all(reason in verdict for reason in reasons)
            fit.answer = Served(b"{}", status=500)
            assert (await post(gateway, ours, fields)).status == 502
            assert not unfit.requests

    run(main())


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("ours", DIALECTS)
def test_answer_longer_than_the_buffer_is_translated_only_as_a_stream(ours: Dialect, theirs: Dialect) -> None:
    text = "word " * 4000
    routing = {"commit_buffer": 2000, "max_attempts": 1, "health": {"failures": 1000}}

    async def main() -> None:
        pricing = prices("a/m-1")
        async with (
            serving_dialects(theirs, routing=routing, pricing=pricing) as (gateway, (provider,)),
            sdks(gateway) as client,
        ):
            provider.answer = Served(ANSWERS[theirs](text))
            if ours == theirs:
                assert await client.whole(ours) == text
            else:
                with pytest.raises(ERRORS, match=r"too long to be translated; raise routing\.commit_buffer"):
                    await client.whole(ours)
            provider.answer = Served(STREAMS[theirs], kind=SSE)
            assert len(STREAMS[theirs]) > 2000
            assert await client.stream(ours) == TOLD
            first, second = [record["attempts"][0] for record in await gateway.wait_for_records(2)]
            assert first["cost_nano"] > 0  # the provider charges for an answer that cannot be used
            assert (first["outcome"] == "ok") is (ours == theirs)
            assert (second["outcome"], second["tokens_out"]) == ("ok", 30)

    run(main())


@pytest.mark.parametrize(
    "tools",
    [[{"type": "web_" + "x" * 100_000}], [{"type": "web_search"}] * 5000, [{"type": "custom", "name": "n" * 100_000}]],
)
def test_reasons_stay_short_however_much_cannot_be_expressed(tools: list[dict[str, str]]) -> None:
    async def main() -> None:
        async with serving_dialects("messages", "messages") as (gateway, _):
            received = await post(gateway, "responses", {"tools": tools})
            assert received.status == 400
            assert 100 < len(received.body) < 4000
            (record,) = await gateway.wait_for_records(1)
            assert len(json.dumps(record)) < 8000

    run(main())


THINKING: dict[Dialect, Callable[[int], dict[str, Any]]] = {
    "chat": lambda budget: {"reasoning": {"max_tokens": budget}, "max_tokens": 4000},
    "messages": lambda budget: {"thinking": {"type": "enabled", "budget_tokens": budget}},
    "responses": lambda budget: {"reasoning": {"effort": "high"}, "max_output_tokens": 4000},
}
FREE_INPUT = {"input_usd_per_million": "0", "cached_input_usd_per_million": "0", "output_usd_per_million": "1"}


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("ours", DIALECTS)
@pytest.mark.parametrize(("room", "thinks", "fits"), [(900, 0, True), (900, 500, True), (900, 2000, False)])
def test_answer_near_a_limit_has_its_bound_in_every_dialect(
    ours: Dialect, theirs: Dialect, room: int, thinks: int, fits: bool
) -> None:
    """A provider rejects a bound that leaves no room for the reasoning that the request sets aside. Anthropic reasons
    with 1,024 tokens or more."""
    rules = governance({"me": {"budgets": usd(f"{room / 1e6:.7f}")}}, near_limit="shorten")
    pricing = prices("a/m-1", output_tokens=8000, **FREE_INPUT)
    if ours == "responses":  # it has no budget, only an effort
        fits = True
    elif thinks and (ours, theirs) == ("chat", "messages"):
        fits = False

    async def main() -> None:
        async with serving_dialects(theirs, governance=rules, pricing=pricing) as (gateway, (provider,)):
            provider.answer = Served(ANSWERS[theirs]("x"))
            fields = {**BODIES[ours], **THINKING[ours](thinks)} if thinks else BODIES[ours]
            body = json.dumps({"model": "chat", **fields}).encode()
            received = await ask(gateway.base_url, "POST", f"/v1{PATHS[ours]}", body, bearer("me"))
            if not fits:
                assert received.status == 402, received
                assert not provider.requests
                return
            assert (received.status, received.headers["x-pointsman-max-tokens"]) == (200, str(room)), received
            sent = provider.last_body
            assert sent["max_output_tokens" if theirs == "responses" else "max_tokens"] == room
            assert sent.get("thinking", {}).get("budget_tokens", 0) < room

    run(main())
