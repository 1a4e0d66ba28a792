"""Every fault, as it appears on the wire."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from fakes.clock import PATIENCE_S, SOON_S
from fakes.raw_client import RawClient, Received
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.bill import Entry
from pointsman.simulate.faults import FAULTS, HEADER
from pointsman.simulate.script import GARBAGE

Run = Callable[[Any], Any]
Ask = Callable[..., Awaitable[Received]]
Connect = Callable[[SimulatedProvider], Awaitable[RawClient]]

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 5}
STREAM = {**CHAT, "stream": True}
SETTINGS = Settings(text="numbered")
TEXT = " 0 1 2 3 4"


def answered(run: Run, ask: Ask, fault: str, body: Any = CHAT, **how: Any) -> tuple[Received, Entry]:
    """Return one answer with a fault, and its entry in the bill."""

    async def main() -> tuple[Received, Entry]:
        async with SimulatedProvider(SETTINGS) as provider:
            received = await ask(provider, body, headers={HEADER: fault}, **how)
            async with asyncio.timeout(PATIENCE_S):
                while provider.bill.entries[0].outcome == "open":
                    await asyncio.sleep(0.001)
            assert provider.counters.requests_in_progress == 0
            return received, provider.bill.entries[0]

    result: tuple[Received, Entry] = run(main())
    return result


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status=500", 500, None),
        ("status=503", 503, None),
        ("status=529", 529, None),
        ("status=401", 401, "invalid_api_key"),
        ("status=429", 429, "rate_limit_exceeded"),
        ("status=404", 404, None),
        ("insufficient_quota", 429, "insufficient_quota"),
        ("context_length", 400, "context_length_exceeded"),
        ("content_filter", 400, "content_filter"),
    ],
)
def test_error_statuses(run: Run, ask: Ask, body: Any, fault: str, status: int, code: str | None) -> None:
    received, entry = answered(run, ask, fault, body)
    assert (received.status, received.json["error"]["code"], received.ended) == (status, code, "complete")
    assert "retry-after" not in received.headers
    assert (entry.outcome, entry.charged_nano, entry.status) == ("failed", 0, status)


def test_rate_limit_has_a_retry_delay(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "rate_limit=1.5")
    assert received.status == 429
    assert received.headers["retry-after"] == "2"
    assert received.headers["retry-after-ms"] == "1500"
    assert received.headers["x-ratelimit-reset-requests"] == "1.5s"
    assert received.headers["x-ratelimit-remaining-requests"] == "0"
    assert entry.outcome == "failed"


def test_hang_sends_nothing_until_the_peer_closes(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "hang", STREAM)
    assert (received.raw, received.ended) == (b"", "silence")
    assert (entry.outcome, entry.phase) == ("cancelled", "before_answer")
    assert entry.peer_closed_at is not None


def test_hang_after_head(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "hang_after_head", STREAM)
    assert (received.status, received.body, received.ended) == (200, b"", "silence")
    assert received.raw.endswith(b"\r\n\r\n")
    assert (entry.outcome, entry.phase) == ("cancelled", "before_first_token")


def test_reset_replaces_the_answer(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "reset")
    assert (received.raw, received.ended) == (b"", "reset")
    assert (entry.outcome, entry.peer_closed_at) == ("failed", None)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("at", [1, 40, 700])
@pytest.mark.parametrize(("fault", "ended"), [("reset_at", "reset"), ("close_at", "eof")])
def test_cut_at_a_byte(run: Run, ask: Ask, body: Any, at: int, fault: str, ended: str) -> None:
    received, entry = answered(run, ask, f"{fault}={at}", body)
    assert (len(received.raw), received.ended) == (at, ended)
    assert (entry.outcome, entry.charged_nano) == ("failed", 0)


def test_cut_after_the_end_leaves_the_answer_complete(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "close_at=100000", STREAM, beyond=True)
    assert (received.is_complete, received.ended, received.text) == (True, "eof", TEXT)
    assert entry.outcome == "complete"


@pytest.mark.parametrize("after", [0, 2, 5, 99])
def test_malformed_sse(run: Run, ask: Ask, after: int) -> None:
    received, entry = answered(run, ask, f"malformed_sse={after}", STREAM)
    broken = [position for position, data in enumerate(received.data) if not _is_json(data)]
    assert len(broken) == 2  # and the last is [DONE]
    assert broken[0] == 1 + min(after, 5)
    assert (received.text, received.data[-1], received.ended) == (TEXT, "[DONE]", "complete")
    assert entry.outcome == "complete"


def test_malformed_json(run: Run, ask: Ask) -> None:
    received, _ = answered(run, ask, "malformed_json")
    assert (received.status, received.ended) == (200, "complete")
    assert received.body.startswith(b'{"id"')
    assert not _is_json(received.body.decode())


def test_missing_done(run: Run, ask: Ask) -> None:
    received, _ = answered(run, ask, "missing_done", STREAM)
    assert (received.text, received.ended) == (TEXT, "complete")
    assert json.loads(received.data[-1])["choices"][0]["finish_reason"] == "length"


def test_error_in_200_streamed(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "error_in_200", STREAM)
    assert (received.status, len(received.data), received.ended) == (200, 2, "complete")
    assert json.loads(received.data[0])["error"]["type"] == "server_error"
    assert entry.outcome == "failed"


def test_error_in_200_whole(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "error_in_200")
    assert (received.status, received.json["error"]["type"]) == (200, "server_error")
    assert (entry.outcome, entry.charged_nano) == ("failed", 0)


@pytest.mark.parametrize("after", [0, 3])
def test_error_mid_stream(run: Run, ask: Ask, after: int) -> None:
    received, entry = answered(run, ask, f"error_mid_stream={after}", STREAM)
    assert received.text == TEXT[: 2 * after]
    assert "error" in json.loads(received.data[-1])
    assert (received.ended, entry.outcome, entry.tokens_sent) == ("complete", "failed", after)


@pytest.mark.parametrize("after", [0, 3])
def test_hang_mid_stream(run: Run, ask: Ask, after: int) -> None:
    received, entry = answered(run, ask, f"hang_mid_stream={after}", STREAM)
    assert (received.text, received.ended, len(received.data)) == (TEXT[: 2 * after], "silence", 1 + after)
    assert (entry.outcome, entry.tokens_sent) == ("cancelled", after)
    assert entry.phase == ("mid_stream" if after else "before_first_token")


def test_role_only_then_die(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "role_only_then_die", STREAM)
    assert [json.loads(data)["choices"][0]["delta"]["role"] for data in received.data] == ["assistant"]
    assert (received.ended, received.is_complete, entry.outcome) == ("eof", False, "failed")


def test_whole_answers_are_cut_in_the_middle(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "role_only_then_die")
    assert (received.ended, received.is_complete, entry.outcome) == ("eof", False, "failed")
    assert 0 < len(received.body) < int(received.headers["content-length"])


def test_slow_tokens(run: Run, ask: Ask) -> None:
    started_at = monotonic()
    received, _ = answered(run, ask, "slow_tokens=30", STREAM)
    assert received.text == TEXT
    assert monotonic() - started_at >= 0.12


def test_slow_answer_arrives_at_once_after_silence(run: Run, ask: Ask) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings(token_gap_ms=10_000)) as provider:
            started_at = monotonic()
            received = await ask(provider, {**CHAT, "user": "fault:slow_answer=0.1"})
            assert received.json["usage"]["completion_tokens"] == 5
            assert 0.1 <= monotonic() - started_at < SOON_S

    run(main())


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_gzip(run: Run, ask: Ask, body: Any) -> None:
    received, _ = answered(run, ask, "gzip", body)
    assert received.headers["content-encoding"] == "gzip"
    text = (
        received.text
        if body is STREAM
        else json.loads(gzip.decompress(received.body))["choices"][0]["message"]["content"]
    )
    assert (text, received.ended) == (TEXT, "complete")


def test_chunked_whole_answer(run: Run, ask: Ask) -> None:
    received, _ = answered(run, ask, "chunked=100")
    assert "content-length" not in received.headers
    assert received.raw.count(b"\r\n64\r\n") == len(received.body) // 100
    assert received.json["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
def test_trailing_garbage(run: Run, ask: Ask, body: Any) -> None:
    received, _ = answered(run, ask, "trailing_garbage", body, beyond=True)
    assert received.is_complete
    assert received.raw.endswith(GARBAGE)


def test_too_large_content_length(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "bad_content_length")
    assert int(received.headers["content-length"]) == len(received.body) + 10
    assert (received.ended, entry.outcome) == ("eof", "failed")


def test_too_small_content_length(run: Run, ask: Ask) -> None:
    received, _ = answered(run, ask, "bad_content_length=-10", beyond=True)
    assert received.raw.endswith(b'"}')
    assert not received.body.endswith(b'"}')


def test_wrong_chunk_size(run: Run, ask: Ask) -> None:
    received, _ = answered(run, ask, "bad_content_length", STREAM)
    assert received.ended in {"eof", "malformed"}
    assert not received.is_complete


def test_early_close_of_a_kept_alive_connection(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider(SETTINGS) as provider:
            client = await connect(provider)
            first = await client.ask(CHAT, headers={HEADER: "early_close_keepalive"})
            assert (first.ended, first.status, "connection" in first.headers) == ("complete", 200, False)
            second = await client.ask(CHAT)
            assert (second.raw, second.ended) == (b"", "eof")
            assert provider.counters.requests_received == 1
            await client.close()

    run(main())


def test_faults_combine(run: Run, ask: Ask) -> None:
    received, entry = answered(run, ask, "slow_tokens=1, error_mid_stream=2, gzip", STREAM)
    assert received.text == " 0 1"
    assert entry.faults == {"slow_tokens": 1, "error_mid_stream": 2, "gzip": 0}


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"refuse"}))
def test_no_fault_outlives_its_request(run: Run, ask: Ask, name: str, body: Any) -> None:
    fault = name if FAULTS[name] is not None else f"{name}={503 if name == 'status' else 1}"
    if name == "slow_answer":
        fault = "slow_answer=0.01"

    async def main() -> None:
        async with SimulatedProvider(SETTINGS) as provider:
            client_sees = await ask(provider, body, headers={HEADER: fault})
            assert client_sees.status in {0, 200, 400, 402, 403, 404, 429, 501, 503}
            again = await ask(provider, STREAM)
            assert (again.text, again.ended) == (TEXT, "complete")

    run(main())


def test_pace_follows_the_distributions(run: Run, ask: Ask) -> None:
    async def main() -> None:
        settings = Settings(first_token_ms=60, token_gap_ms=20)
        async with SimulatedProvider(settings) as provider:
            for body in (CHAT, STREAM):
                started_at = monotonic()
                await ask(provider, body)
                assert monotonic() - started_at >= 0.13  # timers count in milliseconds

    run(main())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def test_stream_may_be_silent_before_its_first_token_or_its_end(run: Run, ask: Ask) -> None:
    for fault, last in (("slow_start=0.1", TEXT), ("die_mid_stream=2,linger=0.1", " 0 1")):
        began_at = monotonic()
        received, _ = answered(run, ask, fault, STREAM)
        assert monotonic() - began_at >= 0.1
        assert received.text == last
