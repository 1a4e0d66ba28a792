"""One provider fails in every way before its answer commits. The other one serves, and clients get no error."""

from time import monotonic
from typing import Any

import pytest

from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

MODELS = {"chat": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]}
WARM_UP = 8  # requests until the breaker is open or the key is blocked
CONCURRENCY = 4
MAX_ATTEMPTS_PER_REQUEST = 1.2

# Fault of the first provider -> its name in the record.
AT_ONCE = {
    "status=500": "upstream_error",
    "status=503": "upstream_overloaded",
    "reset": "connection_lost",
    "refuse": "connect_failed",
    "rate_limit=20": "upstream_rate_limited",
    "status=401": "upstream_credential_rejected",
    "status=403": "upstream_credential_rejected",
    "reset_at=200": "connection_lost",
    "reset_at=600": "connection_lost",
    "close_at=0": "connection_lost",
    "close_at=200": "connection_lost",
    "close_at=600": "connection_lost",
    "role_only_then_die": "connection_lost",
    "error_in_200": "upstream_error",
}
WHOLE_ONLY = {"malformed_json": "malformed_answer", "bad_content_length": "connection_lost"}
STREAMED_ONLY = {"malformed_sse,malformed_json": "malformed_answer"}
TIMED_OUT = {"hang": "upstream_timeout", "hang_after_head": "upstream_timeout"}

WHOLE = {**AT_ONCE, **WHOLE_ONLY}
STREAMED = {**AT_ONCE, **STREAMED_ONLY}
SIZES = [200, pytest.param(2000, marks=pytest.mark.slow)]
SIZES_WITH_WAITS = [40, pytest.param(400, marks=pytest.mark.slow)]


def check_answer(answer: Answer, *, stream: bool) -> None:
    assert answer.status == 200, answer
    assert answer.ended == "complete", answer
    assert answer.headers["x-pointsman-provider"] == "beta"
    assert answer.headers["x-pointsman-model"] == "gpt-4o-mini"
    assert b"alpha" not in answer.body
    assert not any("alpha" in value for value in answer.headers.values()), answer.headers
    assert len(answer.text.split()) == 20
    if stream:
        assert answer.is_done
        assert sum('"role"' in event for event in answer.events) == 1


def check_records(records: list[dict[str, Any]], answers: list[Answer], outcome: str) -> None:
    counts = {answer.headers["x-pointsman-request-id"]: answer.headers["x-pointsman-attempts"] for answer in answers}
    assert len(counts) == len(answers)
    for record in records:
        attempts = record["attempts"]
        assert str(len(attempts)) == counts[record["request_id"]]
        assert [attempt["outcome"] for attempt in attempts] in ([outcome, "ok"], ["ok"])
        assert [attempt["provider"] for attempt in attempts] == ["alpha", "beta"][-len(attempts) :]
        assert record["provider"] == "beta"
        assert "code" not in record
        end_us = 0
        for attempt in attempts:
            assert attempt["start_us"] >= end_us - 1
            assert attempt["duration_us"] >= 0
            end_us = attempt["start_us"] + attempt["duration_us"]
        assert end_us <= record["duration_us"] + 1


async def fail_over(fault: str, outcome: str, size: int, *, stream: bool, commit_s: float = 600.0) -> None:
    routing = {"timeouts": {"commit_s": commit_s}}
    async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS, routing=routing) as gateway:
        alpha = gateway.providers["alpha"]
        alpha.set_fault(fault)
        answers = await gateway.ask_many(WARM_UP, CONCURRENCY, chat(stream=stream))
        answers += await gateway.ask_many(size, CONCURRENCY, chat(stream=stream))
        for answer in answers:
            check_answer(answer, stream=stream)
        records = await gateway.wait_for_records(WARM_UP + size)
        check_records(records, answers, outcome)
        assert any(len(record["attempts"]) == 2 for record in records[:WARM_UP])
        attempts = sum(len(record["attempts"]) for record in records[WARM_UP:])
        assert attempts <= MAX_ATTEMPTS_PER_REQUEST * size
        check_bill(gateway, records)
        alpha.set_fault(None)


def check_bill(gateway: Gateway, records: list[dict[str, Any]]) -> None:
    """Check that every attempt that was not refused arrived at a provider, once."""
    attempts = [attempt for record in records for attempt in record["attempts"]]
    for name, provider in gateway.providers.items():
        made = [one for one in attempts if one["provider"] == name and one["outcome"] != "connect_failed"]
        assert provider.counters.requests_received == len(made)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fault", WHOLE)
def test_whole_answer_comes_from_the_other_provider(fault: str, size: int) -> None:
    run(fail_over(fault, WHOLE[fault], size, stream=False))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fault", STREAMED)
def test_stream_comes_from_the_other_provider(fault: str, size: int) -> None:
    run(fail_over(fault, STREAMED[fault], size, stream=True))


@pytest.mark.parametrize("size", SIZES_WITH_WAITS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", TIMED_OUT)
def test_silent_provider_is_abandoned_in_time(fault: str, stream: bool, size: int) -> None:
    run(fail_over(fault, TIMED_OUT[fault], size, stream=stream, commit_s=2.0))


def test_client_may_shorten_the_wait() -> None:
    async def main() -> None:
        async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS) as gateway:
            gateway.providers["alpha"].set_fault("hang")
            answer = await gateway.ask(chat(), headers={"x-pointsman-timeout-ms": "2000"})
            check_answer(answer, stream=False)
            (record,) = await gateway.wait_for_records(1)
            attempt = record["attempts"][0]
            assert attempt["outcome"] == "deadline_exceeded"
            assert not gateway.live.conditions  # the client's short deadline does not count against the provider
            assert 980_000 <= attempt["duration_us"] < 2_000_000  # half of the time that the client allowed

    run(main())


def test_recovered_provider_is_used_again() -> None:
    async def main() -> None:
        async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS) as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("status=500")
            await gateway.ask_many(8, 1, chat())
            unhealthy = [name for name in await gateway.metrics() if name.startswith("pointsman_target_unhealthy")]
            assert unhealthy == [
                'pointsman_target_unhealthy{model="gpt-4o-mini",operation="chat",provider="alpha",state="failed"}'
            ]
            alpha.set_fault(None)
            condition = gateway.live.conditions["alpha/gpt-4o-mini"]
            await until(lambda: condition.health(monotonic()) == "recovering", "the block ends")
            answer = await gateway.ask(chat())
            assert answer.headers["x-pointsman-provider"] == "alpha"
            assert not [name for name in await gateway.metrics() if name.startswith("pointsman_target_unhealthy")]

    run(main())


def test_stream_without_done_but_with_its_finish_is_completed() -> None:
    async def main() -> None:
        async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS) as gateway:
            gateway.providers["alpha"].set_fault("missing_done")
            answer = await gateway.ask(chat(stream=True))
            assert answer.is_done
            assert answer.headers["x-pointsman-provider"] == "alpha"
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["outcome"] == "ok"

    run(main())


def test_stream_with_bad_framing_after_its_end_is_complete() -> None:
    async def main() -> None:
        async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS) as gateway:
            gateway.providers["alpha"].set_fault("bad_content_length")
            answer = await gateway.ask(chat(stream=True))
            assert answer.is_done
            assert len(answer.text.split()) == 20

    run(main())


async def serve_slowly(silence_s: float) -> None:
    async with serving(providers={"alpha": Settings(), "beta": Settings()}, models=MODELS) as gateway:
        gateway.providers["alpha"].set_fault(f"slow_answer={silence_s}")
        answer = await gateway.ask(chat(), quiet_s=silence_s + 30)
        assert answer.status == 200
        assert answer.headers["x-pointsman-provider"] == "alpha"
        assert answer.headers["x-pointsman-attempts"] == "1"
        (record,) = await gateway.wait_for_records(1)
        assert record["duration_us"] >= silence_s * 1_000_000
        assert gateway.providers["alpha"].counters.requests_received == 1
        assert gateway.providers["beta"].counters.requests_received == 0


@pytest.mark.parametrize("silence_s", [6, pytest.param(45, marks=pytest.mark.slow)])
def test_slow_answer_is_served(silence_s: float) -> None:
    run(serve_slowly(silence_s))
