"""One request from its call to its account, before scripted providers."""

import asyncio
import json
from typing import Any

import pytest

from fakes.engine import Rig, engine_before
from fakes.exchange import FakeClient, exchange_of
from fakes.origin import Peer, Script, run
from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.domain.network import Network
from pointsman.domain.plans import Health
from pointsman.domain.snapshots import Routing, Timeouts, VirtualKey
from pointsman.engine import serving as module
from pointsman.engine.serving import ClientGone, Serving
from pointsman.engine.tasks import EagerTask
from pointsman.routing.admit import Grant
from pointsman.transport.http_exchange import Exchange

BODY = b'{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}'
CONTENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ME = Grant(VirtualKey("me", b""))


def whole(body: bytes = BODY, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + b"Set-Cookie: a=b\r\nOpenAI-Version: 1\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


OVERLOADED = whole(b'{"error":{"message":"too busy"}}', b"500 Internal Server Error")
BAD_REQUEST = whole(b'{"error":{"message":"no such field","type":"invalid_request_error"}}', b"400 Bad Request")


def answering(*parts: bytes) -> Script:
    """Answers every request with these bytes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(*parts)

    return script


def chat(**fields: Any) -> Call:
    return parse({"model": "chat", "messages": [{"role": "user", "content": "hi"}], **fields})


def begin(rig: Rig, call: Call) -> tuple[Exchange, FakeClient]:
    """Start to serve a call as the gateway does."""
    exchange, client = exchange_of()
    task = EagerTask(Serving(rig.engine, exchange, call, ME, "id-1").run(), ClientGone)
    exchange.on_disconnect = task.cancel
    task.resume()
    return exchange, client


def test_an_answer_reaches_client_log_and_metrics() -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
            exchange, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.body, client.ended) == (200, BODY, "finished")
            assert client.headers[b"x-pointsman-provider"] == b"alpha"
            assert client.headers[b"x-pointsman-attempts"] == b"1"
            assert client.headers[b"openai-version"] == b"1"
            assert b"set-cookie" not in client.headers
            assert (record.status, record.code, record.virtual_key, record.operation) == (200, None, "me", "chat")
            assert (record.provider, record.upstream_model, record.key) == ("alpha", "m", "k1")
            assert (record.tokens_in, record.tokens_out, record.bytes_out) == (7, 2, len(BODY))
            assert [(one.provider, one.outcome, one.status) for one in record.attempts] == [("alpha", "ok", 200)]
            outcomes = [line for line in rig.engine.accounts.lines() if line.startswith("pointsman_attempts_total{")]
            assert outcomes == ['pointsman_attempts_total{provider="alpha",model="m",outcome="ok"} 1']
            assert exchange.on_disconnect is exchange.on_drain is None, "nothing is left to hold the request"

    run(main())


def test_the_time_providers_take_is_not_the_gateways_own() -> None:
    async def main() -> None:
        async def slow(peer: Peer) -> None:
            await peer.request()
            await asyncio.sleep(0.05)
            peer.send(OVERLOADED)
            await peer.gone()

        async with engine_before(slow, answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert record.duration_us > 50_000
            assert record.gateway_us < record.duration_us - 50_000
            name, _, value = client.headers[b"server-timing"].partition(b";dur=")
            assert name == b"gateway"
            assert 0 < float(value) * 1e3 <= record.gateway_us
            first, second = record.attempts
            assert first.duration_us > 50_000
            assert second.start_us >= first.start_us + first.duration_us

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_failover_is_unseen_but_for_the_headers(stream: bool) -> None:
    async def main() -> None:
        good = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n" if stream else whole()
        dying = STREAM_HEAD + chunk(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n') if stream else OVERLOADED

        async def die(peer: Peer) -> None:
            await peer.answer(dying)

        async with engine_before(die, answering(good)) as rig:
            _, client = begin(rig, chat(stream=stream))
            record = await rig.log.next()
            assert client.body == (CONTENT + b"data: [DONE]\n\n" if stream else BODY)
            assert (client.status, client.ended) == (200, "finished")
            assert client.headers[b"x-pointsman-provider"] == b"beta"
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            assert (record.code, record.provider) == (None, "beta")
            assert rig.live.health_of("alpha/m", 0.0) is Health.DEGRADED
            assert rig.live.health_of("beta/m", 0.0) is Health.HEALTHY

    run(main())


def test_when_nothing_is_left_the_client_is_told_everything() -> None:
    async def main() -> None:
        async with engine_before(answering(OVERLOADED), answering(OVERLOADED), routing=Routing(max_attempts=2)) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.ended) == (502, "finished")
            assert client.headers[b"x-should-retry"] == b"false"
            error = json.loads(client.body)["error"]
            assert error["message"].startswith("all 2 attempts failed")
            assert "alpha/m" in error["message"]
            assert "beta/m" in error["message"]
            assert error["message"].endswith("(request id-1)")
            assert (record.status, record.code, len(record.attempts)) == (502, error["code"], 2)

    run(main())


def test_a_bad_request_goes_nowhere_else() -> None:
    async def main() -> None:
        async with engine_before(answering(BAD_REQUEST), answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (400, "upstream_refused")
            assert client.body == BAD_REQUEST.partition(b"\r\n\r\n")[2]
            assert rig.asked == [1, 0]

    run(main())


def test_without_a_plan_nobody_is_asked() -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
            _, client = begin(rig, chat(model="unheard-of"))
            record = await rig.log.next()
            assert (client.status, record.code) == (404, "model_not_found")
            assert b"x-should-retry" not in client.headers
            assert (record.attempts, rig.asked) == ((), [0])

    run(main())


@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_that_breaks_off_after_its_commit_says_so(is_stream: bool) -> None:
    """An event where the dialect has one for it, else a cut connection."""

    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

        async def die(peer: Peer) -> None:
            await peer.answer(STREAM_HEAD + chunk(CONTENT) if is_stream else head + b"x" * 30)

        async with engine_before(die, answering(whole()), routing=Routing(commit_buffer=20)) as rig:
            _, client = begin(rig, chat(stream=is_stream))
            record = await rig.log.next()
            assert (client.status, record.status) == (200, 200)
            assert record.code in ("truncated", "connection_lost")
            assert rig.asked == [1, 0]
            if is_stream:
                assert client.ended == "finished"
                last = client.body.split(b"\n\n")[-2].removeprefix(b"data: ")
                assert json.loads(last)["error"]["code"] == record.code
            else:
                assert (client.ended, client.body) == ("aborted", b"x" * 30)

    run(main())


def test_a_client_that_leaves_during_an_attempt_takes_it_along() -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def hang(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.gone()
            gone.set()

        async with engine_before(hang, answering(whole())) as rig:
            exchange, client = begin(rig, chat())
            await asked.wait()
            assert rig.live.in_progress == {"alpha/m": 1}
            client.leave(exchange)
            assert rig.live.in_progress == {}
            record = await rig.log.next()
            await gone.wait()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["client_disconnected"]
            assert rig.live.conditions == {}
            assert (client.written, rig.asked) == (b"", [1, 0])

    run(main())


def test_a_client_that_leaves_in_a_pause_ends_the_request() -> None:
    async def main() -> None:
        async with engine_before(answering(OVERLOADED)) as rig:
            exchange, client = begin(rig, chat())
            while rig.live.in_progress or not rig.live.conditions:
                await asyncio.sleep(0.001)  # the first attempt has failed: the pause before the second
            client.leave(exchange)
            record = await rig.log.next()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["upstream_error"]
            assert rig.asked == [1]

    run(main())


def test_a_failure_of_the_gateways_own_is_an_error_and_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        unusable = Network(ca_file="/there/is/no/such/file")
        async with engine_before(answering(whole()), network=unusable) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.ended) == (500, "finished")
            assert json.loads(client.body)["error"]["code"] == "internal_error"
            assert b"no/such/file" not in client.written
            assert (record.status, record.code) == (500, "internal_error")
            assert [one.outcome for one in record.attempts] == ["internal_error"]
            assert (rig.live.in_progress, rig.live.conditions) == ({}, {})

    run(main())
    assert "FileNotFoundError" in caplog.text


@pytest.mark.parametrize("broken", ["Reception", "PROVIDERS"])
def test_whatever_fails_at_the_start_of_an_attempt_nothing_stays_reserved(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what no test could think of: nothing that may fail stands between a reservation and its end."""

    async def main() -> None:
        monkeypatch.setattr(module, broken, {})  # neither to be called nor to be asked
        async with engine_before(answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (500, "internal_error")
            assert rig.ledger.open_attempts == 0

    run(main())


def test_a_request_that_outlasts_its_time_to_commit_is_given_up() -> None:
    async def main() -> None:
        async def hang(peer: Peer) -> None:
            await peer.request()
            await peer.gone()

        async with engine_before(hang, hang, routing=Routing(timeouts=Timeouts(commit_s=0.2))) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (504, "upstream_timeout")
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            first = record.attempts[0].duration_us
            assert 90_000 < first < 190_000, "an attempt gets half of the time while another is left"

    run(main())
