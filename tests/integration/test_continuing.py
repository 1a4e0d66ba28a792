"""A stream that breaks off after its first content goes on at another provider: its client sees one answer
(`failover.stream_recovery: continue`). With `POINTSMAN_MEASURE` set, the table is written to docs/measurements."""

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from integration.client import Answer
from integration.dialects import DIALECTS, ERRORS, PATHS, TYPES, Dialect, Spoken, sdks
from integration.gateway import Gateway, run, serving, until
from integration.governance import bearer, billed_nano, governance, key_value, prices, settings, usd
from integration.loops import begin, read
from pointsman.simulate import Settings
from pointsman.wire.sse import event_data, split_events

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "stream_recovery.json"
MODEL = "claude-3-5-haiku-20241022"  # every provider continues its texts
LENGTH = 40
WHOLE = "".join(f" {number}" for number in range(LENGTH))
# The providers that go on with a text: their settings, and the mark that their simulated model requires.
NEXT: dict[str, dict[str, Any]] = {
    "anthropic": {},
    "vllm": {"prefill_mark": "continue_final_message"},
    "mistral": {"prefill_mark": "prefix", "prefill": "echoed"},
    "deepseek": {"prefill_mark": "prefix"},
    "moonshot": {"prefill_mark": "partial"},
}
MORE = ("continue_final_message", "add_generation_prompt")
BOUNDS = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}


def simulated(**fields: Any) -> Settings:
    given: dict[str, Any] = {"text": "numbered", "output_tokens": float(LENGTH), "models": (MODEL, "kimi-k2"), **fields}
    return settings(more_fields=MORE, token_gap_ms=0.5, bill_failed="sent", **given)


def continuing(theirs: Spoken, following: str = "vllm", **more: Any) -> Any:
    """Run a gateway whose first provider speaks `theirs`, and whose second one is of the type `following`."""
    model = "kimi-k2" if following == "moonshot" else MODEL
    second = simulated(**{"prefill": "continued", **NEXT[following]})
    routing = {
        "strategy": "priority",
        "failover": {"stream_recovery": "continue"},
        "timeouts": {"stall_s": 0.5},
        "health": {"failures": 1000},
    }
    sections: dict[str, Any] = {
        "providers": {"alpha": simulated(), "beta": second},
        "provider_settings": {"alpha": {"type": TYPES[theirs]}, "beta": {"type": following}},
        "models": {"chat": [f"alpha/{MODEL}", f"beta/{model}"]},
        "governance": governance({"me": {"budgets": usd(1)}}),
        "pricing": prices(f"alpha/{MODEL}", f"beta/{model}"),
        "routing": {**routing, **more.pop("routing", {})},
    }
    return serving(**{**sections, **more})


async def ask(gateway: Gateway, ours: Dialect, **fields: Any) -> Answer:
    given = {"max_tokens": 1000, **fields} if ours == "messages" else fields
    body = begin(ours, stream=True, tools=False) | given
    headers = bearer("me")
    if ours == "messages":
        headers = {"x-api-key": key_value("me"), "anthropic-version": "2023-06-01"}
    return await gateway.ask(body, path=f"/v1{PATHS[ours]}", headers=headers)


def events_in(answer: Answer) -> list[Any]:
    data = [event_data(event) for event in split_events(answer.body)]
    return [json.loads(one) for one in data if one is not None and one.startswith(b"{")]


def text_in(ours: Dialect, answer: Answer) -> str:
    """Return the text of the answer of a provider that may report no usage."""
    events = events_in(answer)
    if ours == "chat":
        choices = [choice for event in events for choice in event.get("choices") or ()]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    texts = (event.get("delta") for event in events if str(event["type"]).endswith("delta"))
    return "".join(one if isinstance(one, str) else one.get("text", "") for one in texts if one)


def check_one_answer(ours: Dialect, answer: Answer, text: str = WHOLE) -> None:
    """Check that the client sees one answer with this text, and the usage of the prompt and of all output."""
    reply = read(ours, answer)
    assert reply.text == text
    assert reply.tokens_out == len(text.split())
    events = events_in(answer)
    if ours == "chat":
        assert {(event["id"], event["created"], event["model"]) for event in events} == {
            (events[0]["id"], events[0]["created"], MODEL)
        }
        choices = [event["choices"][0] for event in events if event["choices"]]
        assert sum("role" in choice["delta"] for choice in choices) == 1
        assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
        assert sum(bool(event.get("usage")) for event in events) == 1
    elif ours == "messages":
        kinds = Counter(event["type"] for event in events)
        once = ("message_start", "message_delta", "message_stop", "content_block_start", "content_block_stop")
        assert [kinds[name] for name in once] == [1] * 5
        assert {event["index"] for event in events if "index" in event} == {0}
    else:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        kinds = Counter(event["type"] for event in events)
        assert {name for name, count in kinds.items() if count > 1} == {"response.output_text.delta"}
        assert len({event["item_id"] for event in events if "item_id" in event}) == 1
        first, last = events[0]["response"], events[-1]["response"]
        assert [first[name] for name in ("id", "created_at", "model")] == [
            last[name] for name in ("id", "created_at", "model")
        ]
        (item,) = last["output"]
        (deltas,) = {event["item_id"] for event in events if event["type"] == "response.output_text.delta"}
        assert item["id"] == deltas


@pytest.mark.parametrize("query", ["?alt=sse", ""])
@pytest.mark.parametrize("theirs", ["chat", "gemini"])
def test_client_of_gemini_sees_one_answer(theirs: Spoken, query: str) -> None:
    async def main() -> None:
        async with continuing(theirs) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=7")
            thinking = {"thinkingConfig": {"includeThoughts": False, "thinkingBudget": 0}}
            body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "generationConfig": thinking}
            path = f"/genai/v1beta/models/chat:streamGenerateContent{query}"
            answer = await gateway.ask(body, path=path, headers={"x-goog-api-key": key_value("me")})
            events = events_in(answer) if query else json.loads(answer.body)
            candidates = [event["candidates"][0] for event in events]
            assert "".join(part["text"] for one in candidates for part in one["content"]["parts"]) == WHOLE
            assert [one["finishReason"] for one in candidates if "finishReason" in one] == ["STOP"]
            assert len({(event["responseId"], event["modelVersion"]) for event in events}) == 1
            (record,) = await gateway.wait_for_records(1)
            broken, rest = record["attempts"]
            assert (broken["outcome"], rest["outcome"]) == ("connection_lost", "ok")
            assert events[-1]["usageMetadata"]["promptTokenCount"] == broken["tokens_in"]
            sent = json.loads(gateway.providers["beta"].requests[-1].body)
            assert sent["messages"][-1] == {"role": "assistant", "content": "".join(f" {n}" for n in range(7))}
            assert rest["cost_nano"] == gateway.providers["beta"].bill.entries[0].charged_nano

    run(main())


@pytest.mark.parametrize("following", ["anthropic", "vllm"])
@pytest.mark.parametrize("theirs", DIALECTS)
def test_client_sees_one_answer(theirs: Dialect, following: str) -> None:
    """At every cut, for clients of every dialect. Both attempts are charged, and the bill shows both."""

    async def main() -> None:
        async with continuing(theirs, following) as gateway:
            first, cuts = gateway.providers["alpha"], (1, LENGTH)
            for cut in cuts:
                first.set_fault(f"die_mid_stream={cut}")
                for ours in DIALECTS:
                    answer = await ask(gateway, ours)
                    assert (answer.headers["x-pointsman-provider"], answer.status) == ("alpha", 200)
                    if theirs == "messages":  # the estimated part of its tokens is too high
                        assert read(ours, answer).text == WHOLE
                    else:
                        check_one_answer(ours, answer)
            records = await gateway.wait_for_records(len(cuts) * len(DIALECTS))
            for record in records:
                broken, rest = record["attempts"]
                assert (broken["outcome"], rest["outcome"]) == ("connection_lost", "ok")
                assert "continuation" not in broken
                assert rest["continuation"]
                assert "code" not in record
                assert record["tokens_in"] == broken["tokens_in"]
                assert record["tokens_out"] == broken["tokens_out"] + rest.get("tokens_out", 0)
                assert record["cost_nano"] == broken["cost_nano"] + rest["cost_nano"]
            await until(lambda: billed_nano(gateway) > 0, "the attempts are billed")
            entries = gateway.providers["beta"].bill.entries
            assert [one["attempts"][1]["cost_nano"] for one in records] == [one.charged_nano for one in entries]
            counted = sum(one["cost_nano"] + one["attempts"][0].get("held_nano", 0) for one in records)
            assert counted >= billed_nano(gateway)
            metrics = await gateway.metrics()
            won = [value for name, value in metrics.items() if name.startswith("pointsman_continuations_total{")]
            assert won == [len(records)]

    run(main())


@pytest.mark.parametrize("following", NEXT)
def test_each_provider_goes_on_in_its_own_way(following: str) -> None:
    async def main() -> None:
        async with continuing("chat", following) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            for ours in DIALECTS:
                assert text_in(ours, await ask(gateway, ours)) == WHOLE

    run(main())


@pytest.mark.parametrize("fault", ["error_mid_stream=9,slow_tokens=1", "hang_mid_stream=9", "end_at_event=10"])
def test_other_ends_of_a_stream_are_continued(fault: str) -> None:
    async def main() -> None:
        async with continuing("chat") as gateway:
            gateway.providers["alpha"].set_fault(fault)
            check_one_answer("chat", await ask(gateway, "chat"))

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_official_sdk_reads_one_answer(ours: Dialect) -> None:
    async def main() -> None:
        async with continuing("chat", "anthropic") as gateway, sdks(gateway, key_value("me")) as client:
            gateway.providers["alpha"].set_fault("die_mid_stream=5")
            seen = await client.stream(ours, tools=[])
            assert (seen.text, seen.calls) == (WHOLE, [])
            assert seen.reason == ("end_turn" if ours == "messages" else "stop")

    run(main())


def test_bound_of_the_rest_is_lower() -> None:
    async def main() -> None:
        async with continuing("chat", "anthropic") as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            for ours in DIALECTS:
                answer = await ask(gateway, ours, **{BOUNDS[ours]: 20})
                text = read(ours, answer).text
                assert WHOLE.startswith(text)
                assert len(text.split()) == 20
                sent = json.loads(gateway.providers["beta"].requests[-1].body)
                assert sent["max_tokens"] == 20 - 9
                last = sent["messages"][-1]
                assert last["role"] == "assistant"
                assert last["content"] in (WHOLE[: 2 * 9], [{"type": "text", "text": WHOLE[: 2 * 9]}])

    run(main())


def test_stream_goes_on_twice() -> None:
    """The second provider breaks off too, and the third one completes the answer. No provider is left for a third
    break, and the answer ends with an error."""
    routing = {"strategy": "priority", "failover": {"stream_recovery": "continue"}, "health": {"failures": 1000}}
    second = simulated(prefill="continued")
    given: dict[str, Any] = {
        "providers": {"alpha": simulated(), "beta": second, "gamma": second, "delta": second},
        "provider_settings": {"alpha": {"type": "together"}}
        | {name: {"type": "vllm"} for name in ("beta", "gamma", "delta")},
        "models": {"chat": [f"{name}/{MODEL}" for name in ("alpha", "beta", "gamma", "delta")]},
        "pricing": prices(*[f"{name}/{MODEL}" for name in ("alpha", "beta", "gamma", "delta")]),
        "routing": routing,
    }

    async def main() -> None:
        async with continuing("chat", **given) as gateway:
            for name in ("alpha", "beta"):
                gateway.providers[name].set_fault("die_mid_stream=5")
            for ours in DIALECTS:
                check_one_answer(ours, await ask(gateway, ours))
            gateway.providers["gamma"].set_fault("die_mid_stream=5")
            for ours in DIALECTS:
                answer = await ask(gateway, ours)
                assert "connection" in str(events_in(answer)[-1])
                assert answer.ended == "complete"
            for record in (await gateway.wait_for_records(6))[3:]:
                assert record["code"] == "connection_lost"
                assert [one["outcome"] for one in record["attempts"]] == ["connection_lost"] * 3
            assert gateway.providers["delta"].counters.requests_received == 0

    run(main())


TOOLS: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": {"a": {"type": "string"}}}}}
NOT_CONTINUED: dict[str, dict[str, Any]] = {
    "a call of a tool": {"tools": TOOLS},
    "a schema": {"response_format": SCHEMA},
    "several answers": {"n": 2},
    "log probabilities": {"logprobs": True},
    "text of the client's own assistant": {
        "messages": [{"role": "user", "content": "Say"}, {"role": "assistant", "content": "So"}]
    },
}


@pytest.mark.parametrize("case", NOT_CONTINUED)
def test_other_answers_end_with_an_error(case: str) -> None:
    async def main() -> None:
        async with continuing("chat") as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=2")
            answer = await ask(gateway, "chat", **NOT_CONTINUED[case])
            assert events_in(answer)[-1]["error"]["code"] == "connection_lost"
            assert gateway.providers["beta"].counters.requests_received == 0

    run(main())


def test_no_model_that_continues_is_left() -> None:
    """The error is that of the first provider, also if another one rejects the text so far."""
    models = {"old": [f"alpha/{MODEL}", f"beta/{MODEL}"], "chat": [f"alpha/{MODEL}", "beta/claude-sonnet-4-6"]}
    second = simulated(prefill="rejected", models=(MODEL, "claude-sonnet-4-6"))

    async def main() -> None:
        async with continuing(
            "chat",
            "anthropic",
            providers={"alpha": simulated(), "beta": second},
            models=models,
            pricing=prices(f"alpha/{MODEL}", f"beta/{MODEL}", "beta/claude-sonnet-4-6"),
        ) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            for ours in DIALECTS:
                for model, asked in (("chat", 0), ("old", 1)):
                    gateway.providers["beta"].counters.requests_received = 0
                    answer = await ask(gateway, ours, model=model)
                    assert "connection" in str(events_in(answer)[-1])
                    assert "prefill" not in answer.body.decode()
                    assert gateway.providers["beta"].counters.requests_received == asked
            async with sdks(gateway, key_value("me")) as client:
                for ours in DIALECTS:
                    with pytest.raises(ERRORS):
                        await client.stream(ours, tools=[])

    run(main())


def test_stream_is_not_continued_by_default() -> None:
    async def main() -> None:
        async with continuing("chat", routing={"failover": {}}) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            answer = await ask(gateway, "chat")
            assert events_in(answer)[-1]["error"]["code"] == "connection_lost"
            assert gateway.providers["beta"].counters.requests_received == 0

    run(main())


def test_rejected_text_moves_to_the_next_model() -> None:
    rejecting, going_on = simulated(prefill="rejected"), simulated(prefill="continued")

    async def main() -> None:
        async with continuing(
            "chat",
            providers={"alpha": simulated(), "beta": rejecting, "gamma": going_on},
            provider_settings={"alpha": {"type": "together"}, "beta": {"type": "anthropic"}, "gamma": {"type": "vllm"}},
            models={"chat": [f"{name}/{MODEL}" for name in ("alpha", "beta", "gamma")]},
            pricing=prices(*[f"{name}/{MODEL}" for name in ("alpha", "beta", "gamma")]),
        ) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            check_one_answer("chat", await ask(gateway, "chat"))
            (record,) = await gateway.wait_for_records(1)
            assert [one["provider"] for one in record["attempts"]] == ["alpha", "beta", "gamma"]

    run(main())


def test_renamed_model_stays_the_same() -> None:
    models = {"chat": {"targets": [f"alpha/{MODEL}", f"beta/{MODEL}"], "response_model": "requested"}}

    async def main() -> None:
        async with continuing("chat", models=models) as gateway:
            gateway.providers["alpha"].set_fault("die_mid_stream=9")
            answer = await ask(gateway, "chat")
            events = events_in(answer)
            assert {event["model"] for event in events} == {"chat"}
            assert read("chat", answer).text == WHOLE

    run(main())


FAULTS = ("die_mid_stream", "error_mid_stream", "hang_mid_stream")


@pytest.mark.slow
@pytest.mark.parametrize("count", [60])
def test_share_of_broken_streams_that_become_whole(count: int) -> None:
    """At random places, by each fault, for each pair of dialects: none of them without the setting, and all with it."""
    table: dict[str, dict[str, Any]] = {}

    async def play(recovery: str, theirs: Dialect, ours: Dialect, rng: random.Random) -> dict[str, Any]:
        routing = {"failover": {"stream_recovery": recovery}}
        async with continuing(theirs, rng.choice(["vllm", "anthropic"]), routing=routing) as gateway:
            whole = 0
            for _ in range(count):
                gateway.providers["alpha"].set_fault(f"{rng.choice(FAULTS)}={rng.randint(2, LENGTH)},slow_tokens=1")
                answer = await ask(gateway, ours)
                failed = events_in(answer)[-1]
                whole += text_in(ours, answer) == WHOLE and not (failed.get("error") or failed.get("type") == "error")
            records = await gateway.wait_for_records(count)
            costs = [attempt["cost_nano"] for record in records for attempt in record["attempts"][1:]]
            billed = sum(one.charged_nano for one in gateway.providers["beta"].bill.entries)
            return {"streams": count, "whole": whole, "rest_charged_nano": sum(costs), "rest_billed_nano": billed}

    for recovery in ("error", "continue"):
        for theirs in DIALECTS:
            for ours in DIALECTS:
                found = run(play(recovery, theirs, ours, random.Random(f"{theirs} {ours}")))
                table.setdefault(recovery, {})[f"{ours} from {theirs}"] = found
                assert found["whole"] == (count if recovery == "continue" else 0)
                assert found["rest_charged_nano"] == found["rest_billed_nano"]
    if os.environ.get("POINTSMAN_MEASURE"):
        TABLE.write_text(json.dumps(table, indent=2) + "\n")
