"""Incomplete answers are charged for their real use. Tests compare with the provider's bill, except for data that a
provider charges for but never sent."""

import asyncio
import random
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.client import Answer, Client
from integration.gateway import MESSAGES, Gateway, chat, run, serving, until
from integration.governance import PRICE, bearer, governance, prices, settings, usd
from pointsman.simulate.bill import Entry, charge_nano
from pointsman.wire.tokens import IMAGE_TOKENS, TEMPLATE_TOKENS, in_recording

COUNT = 20
IN_FLIGHT = 2  # pieces that the provider has sent, but the gateway has not read before the disconnect
MODELS = ("alpha/gpt-4o-mini", "alpha/gpt-3.5-turbo-instruct")


def governed(
    unfinished: str | None = "full",
    limit_usd: str = "1",
    commit_s: float = 600.0,
    stall_s: float = 0.5,
    **provider: Any,
) -> Any:
    return serving(
        providers={"alpha": settings(**{"output_tokens": 60.0, "token_gap_ms": 10.0, **provider})},
        provider_settings={"alpha": {"bills_unfinished": unfinished} if unfinished is not None else {}},
        models={"chat": list(MODELS)},
        governance=governance({"me": {"budgets": usd(limit_usd)}}),
        pricing=prices(*MODELS),
        routing={"max_attempts": 1, "timeouts": {"stall_s": stall_s, "commit_s": commit_s}},
    )


async def charged(gateway: Gateway, count: int) -> list[tuple[dict[str, Any], Entry]]:
    """Return every attempt with its entry in the bill."""
    records = await gateway.wait_for_records(count)
    attempts = {
        f"{record['request_id']}-{ordinal}": {"tokens_out": 0, **attempt}
        for record in records
        for ordinal, attempt in enumerate(record["attempts"], 1)
    }
    entries = gateway.providers["alpha"].bill.entries
    assert len(attempts) == len(entries) == count
    return [(attempts[entry.attempt_id or ""], entry) for entry in entries]


async def disconnect_after(gateway: Gateway, events: int) -> None:
    """Read a stream, and disconnect after some pieces, while the provider pauses."""
    client = await Client.connect(gateway.port)
    pausing = f"fault:hang_mid_stream={events}"
    client.send(chat(stream=True, max_tokens=100, user=pausing), headers=bearer("me"))

    def is_enough(answer: Answer) -> bool:
        return answer.body.count(b'"content":') > events  # the first event has the role and empty content

    await client.receive(stop=is_enough)
    client.reset()


def check_counted(attempt: dict[str, Any], entry: Entry) -> None:
    """Check that received pieces and a prompt are charged, although no usage was reported."""
    counted = attempt["tokens_out"]
    assert entry.tokens_sent - IN_FLIGHT <= counted <= entry.tokens_sent
    assert attempt["usage_source"] == "estimated"
    assert 0 < entry.tokens_in <= attempt["tokens_in"] <= entry.tokens_in + len(MESSAGES)
    pico = attempt["tokens_in"] * PRICE.input_pico + counted * PRICE.output_pico
    assert attempt["cost_nano"] == -(-pico // 1000)


@pytest.mark.parametrize("billing", ["sent", "full", "none"])
def test_cancelled_stream_costs_the_sent_part(billing: str) -> None:
    async def main() -> None:
        async with governed(bill_cancelled=billing, stall_s=600.0) as gateway:
            await asyncio.gather(*(disconnect_after(gateway, 1 + number) for number in range(COUNT)))
            bill = gateway.providers["alpha"].bill
            await until(
                lambda: not any(entry.outcome == "open" for entry in bill.entries),
                "the provider has detected all disconnects",
            )
            for attempt, entry in await charged(gateway, COUNT):
                check_counted(attempt, entry)
                assert entry.outcome == "cancelled"
                in_flight_nano = IN_FLIGHT * PRICE.output_pico // 1000
                if billing == "sent":
                    assert attempt["cost_nano"] + in_flight_nano >= entry.charged_nano
                elif billing == "none":
                    assert attempt["cost_nano"] > entry.charged_nano == 0
                else:
                    assert entry.charged_nano > attempt["cost_nano"]  # the gateway cannot know of the unsent part

    run(main())


# The provider's configured billing, and the real billing of the simulated one.
UNFINISHED = [
    ("full", "full"),
    ("full", "sent"),
    ("full", "none"),
    ("prompt", "sent"),
    ("prompt", "none"),
    ("none", "none"),
]
SOURCES = {"full": "estimated", "prompt": "estimated", "none": "none"}


def check_unfinished(attempt: dict[str, Any], entry: Entry, unfinished: str) -> None:
    """Check that limits hold at least the billed amount if the provider bills as configured, and that the reported cost
    is plausible."""
    assert attempt.get("usage_source", "none") == SOURCES[unfinished]
    held = attempt.get("cost_nano", 0) + attempt.get("held_nano", 0)
    assert held >= entry.charged_nano
    if unfinished == "full":
        assert held > entry.tokens_in * PRICE.input_pico // 1000 + 100 * PRICE.output_pico // 1000
        most_in = entry.tokens_in + len(MESSAGES)
        assert 0 < attempt["cost_nano"] <= charge_nano(PRICE, most_in, 0, 100), (
            "the cost exceeds that of the longest allowed answer"
        )
    elif unfinished == "prompt":
        check_counted(attempt, entry)
        assert "held_nano" not in attempt


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("unfinished", "billing"), UNFINISHED)
def test_cancelled_answer_costs_its_providers_charge(unfinished: str, billing: str, stream: bool) -> None:
    async def main() -> None:
        async with governed(unfinished, bill_cancelled=billing, first_token_ms=60_000.0) as gateway:
            client = await Client.connect(gateway.port)
            client.send(chat(stream=stream, max_tokens=100), headers=bearer("me"))
            bill = gateway.providers["alpha"].bill
            await until(lambda: bill.entries, "the provider has the request")
            client.reset()
            await until(lambda: bill.entries[0].outcome == "cancelled", "the provider has detected the disconnect")
            for attempt, entry in await charged(gateway, 1):
                assert attempt["outcome"] == "client_disconnected"
                assert (entry.charged_nano > 0) == (billing != "none")
                check_unfinished(attempt, entry, unfinished)

    run(main())


# Failures of an answer without received content (except its head or a role), and the code of the attempt.
STREAMED, WHOLE = [True], [False]
FAILING = [
    ("close_at=700", WHOLE, 200, "connection_lost"),
    ("reset_at=700", WHOLE, 200, "connection_lost"),
    ("role_only_then_die", STREAMED, 200, "connection_lost"),
    ("reset", [*STREAMED, *WHOLE], None, "connection_lost"),
    ("close_at=0", [*STREAMED, *WHOLE], None, "connection_lost"),
    ("hang", [*STREAMED, *WHOLE], None, "upstream_timeout"),
    ("hang_after_head", [*STREAMED, *WHOLE], 200, "upstream_timeout"),
]


@pytest.mark.parametrize(
    ("fault", "stream", "status", "outcome"),
    [(fault, stream, *result) for fault, streams, *result in FAILING for stream in streams],
)
@pytest.mark.parametrize(("unfinished", "billing"), [("full", "full"), ("prompt", "sent"), ("none", "none")])
def test_missing_answer_costs_its_providers_charge(
    unfinished: str, billing: str, fault: str, stream: bool, status: int | None, outcome: str
) -> None:
    async def main() -> None:
        commit_s = 0.2 if "hang" in fault else 600.0
        billed: dict[str, Any] = {"bill_failed": billing, "bill_cancelled": billing}
        async with governed(unfinished, commit_s=commit_s, token_gap_ms=0.0, **billed) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            answer = await gateway.ask(chat(max_tokens=100, stream=stream), headers=bearer("me"))
            assert answer.status in (502, 504)
            bill = gateway.providers["alpha"].bill
            await until(lambda: bill.entries[0].outcome != "open", "the provider has settled the entry")
            for attempt, entry in await charged(gateway, 1):
                assert (attempt.get("status"), attempt["outcome"]) == (status, outcome)
                assert (entry.charged_nano > 0) == (billing != "none")
                check_unfinished(attempt, entry, unfinished)

    run(main())


@pytest.mark.parametrize("fault", ["close_at=700", "hang", "malformed_json"])
def test_missing_whole_answer_is_estimated_by_the_usual_answer(fault: str) -> None:
    """After some complete answers, the estimate is their mean, not the longest possible answer."""

    async def main() -> None:
        async with governed(None, commit_s=3.0 if fault == "hang" else 600.0, token_gap_ms=0.0) as gateway:
            await gateway.ask_many(10, 5, chat(max_tokens=10_000), headers=bearer("me"))
            gateway.providers["alpha"].set_fault(fault)
            assert (await gateway.ask(chat(max_tokens=10_000), headers=bearer("me"))).status in (502, 504)
            *whole, (attempt, _) = await charged(gateway, 11)
            usual = sum(entry.charged_nano for _, entry in whole) / 10
            assert attempt["usage_source"] == "estimated"
            assert usual / 2 <= attempt["cost_nano"] <= usual * 2, (usual, attempt)
            assert attempt["cost_nano"] + attempt["held_nano"] >= charge_nano(PRICE, 1, 0, 10_000)

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_resent_request_is_an_attempt_and_limits_hold_both(stream: bool) -> None:
    """A kept-alive connection ends as the request is sent. Its provider has read the request and bills it."""

    async def main() -> None:
        async with governed("full", bill_failed="full", token_gap_ms=0.0) as gateway:
            assert (await gateway.ask(chat(max_tokens=100), headers=bearer("me"))).status == 200
            gateway.providers["alpha"].set_fault("reset")
            assert (await gateway.ask(chat(max_tokens=100, stream=stream), headers=bearer("me"))).status == 502
            record = (await gateway.wait_for_records(2))[-1]
            entries = {entry.attempt_id: entry for entry in gateway.providers["alpha"].bill.entries[1:]}
            assert [attempt["outcome"] for attempt in record["attempts"]] == ["connection_stale", "connection_lost"]
            assert entries.keys() == {f"{record['request_id']}-1", f"{record['request_id']}-2"}
            for ordinal, attempt in enumerate(record["attempts"], 1):
                held = attempt["cost_nano"] + attempt["held_nano"]
                assert held >= entries[f"{record['request_id']}-{ordinal}"].charged_nano > 0
                assert attempt["usage_source"] == "estimated"
            assert gateway.live.conditions, "the lost connection did not count as a failure of the provider"
            (condition,) = gateway.live.conditions.values()
            assert condition.failures == 1, "the stale connection counted as a failure of the provider"

    run(main())


def test_stale_connection_costs_only_the_resent_request() -> None:
    async def main() -> None:
        async with governed(limit_usd="1", token_gap_ms=0.0) as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("early_close_keepalive")
            assert (await gateway.ask(chat(), headers=bearer("me"))).status == 200
            assert (await gateway.ask(chat(), headers=bearer("me"))).status == 200
            record = (await gateway.wait_for_records(2))[-1]
            assert [attempt["outcome"] for attempt in record["attempts"]] == ["connection_stale", "ok"]
            assert not gateway.live.conditions
            assert record["attempts"][1]["cost_nano"] == alpha.bill.entries[-1].charged_nano

    run(main())


@pytest.mark.parametrize(("fault", "stream"), [("malformed_json", False), ("malformed_sse=0,malformed_json=0", True)])
def test_unreadable_answer_holds_its_reservation(fault: str, stream: bool) -> None:
    """The provider considers the answer good."""

    async def main() -> None:
        async with governed(token_gap_ms=0.0) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            answer = await gateway.ask(chat(max_tokens=100, stream=stream), headers=bearer("me"))
            assert answer.status == 502
            bill = gateway.providers["alpha"].bill
            await until(lambda: bill.entries[0].outcome != "open", "the provider has settled the entry")
            for attempt, entry in await charged(gateway, 1):
                assert attempt["outcome"] == "malformed_answer"
                check_unfinished(attempt, entry, "full")

    run(main())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_whole_answer_to_a_stream_request_is_served_at_its_reported_cost(path: str) -> None:
    async def main() -> None:
        async with governed(token_gap_ms=0.0) as gateway:
            gateway.providers["alpha"].set_fault("ignore_stream")
            body = {"model": "chat", "stream": True, "max_tokens": 30}
            prompt = {"prompt": "Say"} if path == "/v1/completions" else {"messages": MESSAGES}
            answer = await gateway.ask({**body, **prompt}, path=path, headers=bearer("me"))
            assert (answer.status, answer.ended) == (200, "complete")
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.is_done
            assert b'"usage"' not in answer.body, "usage was not requested"
            for attempt, entry in await charged(gateway, 1):
                assert (attempt["outcome"], attempt["usage_source"]) == ("ok", "provider")
                assert not entry.stream
                assert attempt["cost_nano"] == entry.charged_nano > 0

    run(main())


def test_cancelling_clients_cannot_overspend_a_budget() -> None:
    """The provider charges for unread answers."""
    limit_nano = 14_000_000  # some twenty requests
    body = chat(max_tokens=1000)

    async def main() -> None:
        async with governed(limit_usd="0.014", bill_cancelled="full", output_tokens="max_tokens") as gateway:

            async def disconnect(number: int) -> None:
                client = await Client.connect(gateway.port)
                client.send(body, headers=bearer("me"))
                await asyncio.sleep(0.05 + 0.001 * number)
                client.reset()
                await asyncio.sleep(0.02)

            bill = gateway.providers["alpha"].bill
            async with asyncio.timeout(PATIENCE_S):
                while len(bill.entries) < 20:  # the limit has room for this many
                    await asyncio.gather(*(disconnect(number) for number in range(60)))
                    await until(lambda: not gateway.live.in_progress, "no attempt is in progress")
            assert (await gateway.ask(body, headers=bearer("me"))).status == 402
            billed = bill.totals()
            assert billed.cancelled == billed.requests
            assert limit_nano / 2 < billed.charged_nano <= limit_nano

    run(main())


def test_cancelled_stream_with_an_image_costs_an_image_and_not_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2_000_000}}

    async def main() -> None:
        async with governed(bill_cancelled="sent") as gateway:
            client = await Client.connect(gateway.port)
            messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
            client.send(chat(messages=messages, stream=True, max_tokens=100), headers=bearer("me"))
            await client.receive(stop=lambda answer: answer.body.count(b'"content":') >= 4)
            client.reset()
            ((attempt, entry),) = await charged(gateway, 1)
            assert attempt["usage_source"] == "estimated"
            assert entry.tokens_in <= attempt["tokens_in"] <= entry.tokens_in + IMAGE_TOKENS

    run(main())


@pytest.mark.parametrize(("model", "source"), [("gpt-4o-transcribe", "provider"), ("whisper-1", "reserved")])
def test_recording_reserves_its_longest_duration_and_costs_its_usage(model: str, source: str) -> None:
    recording = random.Random(1).randbytes(3_000_000)
    parts = b'--B\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = (
        parts % (b"model", b"alpha/" + model.encode()) + parts % (b'file"; filename="a.mp3', recording) + b"--B--\r\n"
    )

    async def main() -> None:
        async with serving(
            providers={"alpha": settings(models=(model,))},
            governance=governance({"me": {"rate_limits": [{"tokens": 200_000, "per": "year"}]}}),
            pricing=prices(f"alpha/{model}", output_tokens=2_000),
        ) as gateway:
            headers = {**bearer("me"), "content-type": "multipart/form-data; boundary=B"}
            answer = await gateway.ask(body, path="/v1/audio/transcriptions", headers=headers)
            assert answer.status == 200, answer
            ((attempt, entry),) = await charged(gateway, 1)
            assert attempt["usage_source"] == source
            if source == "provider":
                assert (attempt["tokens_in"], attempt["tokens_out"]) == (entry.tokens_in, entry.tokens_out) == (1875, 6)
                assert attempt["cost_nano"] == entry.charged_nano
            else:
                most_in = in_recording(len(body)).tokens + TEMPLATE_TOKENS
                assert attempt["cost_nano"] == charge_nano(PRICE, most_in, 0, 2_000)

    run(main())


@pytest.mark.parametrize("fault", ["error_mid_stream=5", "hang_mid_stream=5", "reset_at=3000", "close_at=3000"])
def test_broken_stream_costs_the_sent_part(fault: str) -> None:
    async def main() -> None:
        async with governed(bill_failed="sent") as gateway:
            gateway.providers["alpha"].set_fault(fault)
            answers = await gateway.ask_many(4, 4, chat(stream=True), headers=bearer("me"))
            assert all('"error"' in answer.events[-1] for answer in answers)
            for attempt, entry in await charged(gateway, 4):
                check_counted(attempt, entry)
                assert attempt["outcome"] != "ok"
                assert attempt["tokens_out"] > 0

    run(main())


@pytest.mark.parametrize("fault", ["status=500", "status=400", "status=401", "rate_limit=1", "refuse", "error_in_200"])
def test_failed_requests_cost_nothing(fault: str) -> None:
    async def main() -> None:
        async with governed() as gateway:
            gateway.providers["alpha"].set_fault(fault)
            assert (await gateway.ask(chat(), headers=bearer("me"))).status >= 400
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["outcome"] != "ok"
            assert sum(attempt.get("cost_nano", 0) for attempt in record["attempts"]) == 0
            assert gateway.providers["alpha"].bill.totals().charged_nano == 0

    run(main())
