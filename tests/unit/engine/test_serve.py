"""One request from its call to its record, with scripted providers."""

import asyncio
import json
from time import monotonic
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.engine import Rig, running_engine
from fakes.exchange import FakeClient, exchange_of
from fakes.origin import Peer, Script, run
from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.network import Network
from pointsman.domain.origin import AccessToken, GoogleSource, Source
from pointsman.domain.records import record_of
from pointsman.domain.snapshots import Routing, Timeouts
from pointsman.domain.targets import ProviderKey
from pointsman.engine.answer import ClientAnswer
from pointsman.engine.attempt import Attempt
from pointsman.engine.credentials import Credentials
from pointsman.engine.request_log import RequestLog
from pointsman.engine.serve import serve
from pointsman.engine.sources.exchange import Machine, Minted
from pointsman.engine.tasks import Bell, Cancelled, EagerTask
from pointsman.routing.admit import Admission
from pointsman.routing.health import LIMITS, Condition
from pointsman.transport.http_exchange import Exchange

BODY = b'{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}'
CONTENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ME = Admission(VirtualKey(name="me", digest=b""))


def whole(body: bytes = BODY, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + b"Set-Cookie: a=b\r\nOpenAI-Version: 1\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


BAD_KEY = whole(b'{"error":{"message":"no such key"}}', b"401 Unauthorized")
OVERLOADED = whole(b'{"error":{"message":"too busy"}}', b"500 Internal Server Error")
BAD_REQUEST = whole(b'{"error":{"message":"no such field","type":"invalid_request_error"}}', b"400 Bad Request")


def answering(*parts: bytes) -> Script:
    """Return a provider that answers every request with these bytes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(*parts)

    return script


def chat(**fields: Any) -> Call:
    return parse({"model": "chat", "messages": [{"role": "user", "content": "hi"}], **fields})


def begin(rig: Rig, call: Call, me: Admission = ME) -> tuple[Exchange, FakeClient]:
    """Begin to serve a call like the gateway does."""
    exchange, client = exchange_of()
    call = replace(call, snapshot=rig.live.snapshot)
    log: RequestLog[Attempt] = RequestLog(
        request_id="id-1",
        received_at=exchange.received_at,
        key=me.virtual_key,
        record=record_of(call.head, exchange.head.path, me.virtual_key),
        bell=Bell(),
    )
    task = EagerTask(serve(rig.engine, ClientAnswer(rig.engine, exchange, call, log, b"")), Cancelled)
    exchange.on_cancel = task.cancel
    task.resume()
    return exchange, client


@pytest.mark.parametrize("stream", [False, True])
def test_failover_is_visible_only_in_headers(stream: bool) -> None:
    async def main() -> None:
        good = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n" if stream else whole()
        dying = STREAM_HEAD + chunk(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n') if stream else OVERLOADED

        async def die(peer: Peer) -> None:
            await peer.answer(dying)

        async with running_engine(die, answering(good)) as rig:
            _, client = begin(rig, chat(stream=stream))
            record = await rig.log.next()
            assert client.body == (CONTENT + b"data: [DONE]\n\n" if stream else BODY)
            assert (client.status, client.ended) == (200, "finished")
            assert client.headers[b"x-pointsman-provider"] == b"beta"
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            assert (record.code, record.provider) == (None, "beta")
            assert (record.ttft_us is not None, record.dialect) == (stream, "openai")
            assert rig.live.conditions["alpha/m"].health(0.0) == "degraded"
            assert "beta/m" not in rig.live.conditions

    run(main())


def test_request_that_cannot_be_sent_after_the_wait_for_a_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    async def mint(source: Source, machine: Machine) -> Minted:
        await asyncio.sleep(0)
        return Minted(AccessToken("token"))

    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            credentials = Credentials(mint)
            credentials.upstreams = rig.engine.upstreams
            rig.engine = replace(rig.engine, credentials=credentials)
            public = rig.live.snapshot.models["chat"]
            (target,) = public.targets
            key = ProviderKey("k1", GoogleSource())
            public = replace(public, targets=(replace(target, keys=(key,)),))
            monkeypatch.setattr(rig.live, "snapshot", replace(rig.live.snapshot, models={"chat": public}))
            monkeypatch.setattr(Attempt, "_send", fail)
            _, client = begin(rig, chat())
            record = await asyncio.wait_for(rig.log.next(), PATIENCE_S)
            assert (client.status, record.code) == (500, "internal_error")
            credentials.close()

    run(main())


def test_last_error_lists_every_failed_attempt() -> None:
    async def main() -> None:
        async with running_engine(answering(OVERLOADED), answering(OVERLOADED), routing=Routing(max_attempts=2)) as rig:
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


def test_request_rejected_by_a_provider_is_not_retried() -> None:
    async def main() -> None:
        async with running_engine(answering(BAD_REQUEST), answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (400, "upstream_refused")
            assert client.body == BAD_REQUEST.partition(b"\r\n\r\n")[2]
            assert rig.request_counts == [1, 0]

    run(main())


def test_request_without_a_plan_reaches_no_provider() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            _, client = begin(rig, chat(model="unheard-of"))
            record = await rig.log.next()
            assert (client.status, record.code) == (404, "model_not_found")
            assert b"x-should-retry" not in client.headers
            assert (record.attempts, rig.request_counts) == ((), [0])

    run(main())


def test_disconnect_during_an_attempt_cancels_it() -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def hang(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.wait_closed()
            gone.set()

        async with running_engine(hang, answering(whole())) as rig:
            exchange, client = begin(rig, chat())
            await asked.wait()
            assert rig.live.in_progress == {"alpha/m": 1}
            client.disconnect(exchange)
            assert rig.live.in_progress == {}
            record = await rig.log.next()
            await gone.wait()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["client_disconnected"]
            assert rig.live.conditions == {}
            assert (client.written, rig.request_counts) == (b"", [1, 0])

    run(main())


def test_disconnect_during_a_pause_ends_the_request() -> None:
    async def main() -> None:
        async with running_engine(answering(OVERLOADED)) as rig:
            exchange, client = begin(rig, chat())
            while rig.live.in_progress or not rig.live.conditions:
                await asyncio.sleep(0.001)  # until the pause after the failed first attempt
            client.disconnect(exchange)
            record = await rig.log.next()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["upstream_error"]
            assert rig.request_counts == [1]

    run(main())


def test_internal_error_is_answered_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        unusable = Network(ca_file="/there/is/no/such/file")
        async with running_engine(answering(whole()), network=unusable) as rig:
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


def test_request_ends_after_its_commit_timeout() -> None:
    async def main() -> None:
        async def hang(peer: Peer) -> None:
            await peer.request()
            await peer.wait_closed()

        async with running_engine(hang, hang, routing=Routing(timeouts=Timeouts(commit_s=0.2))) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (504, "upstream_timeout")
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            first = record.attempts[0].duration_us
            assert 90_000 < first < 190_000, "an attempt gets half of the time while another is left"

    run(main())


def test_json_answer_to_a_stream_request_heals_its_target() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            begin(rig, chat(stream=True))
            (made,) = (await rig.log.next()).attempts
            name = f"{made.provider}/{made.model}"
            rig.live.conditions[name] = Condition(LIMITS.failures, 1, blocked_until=monotonic() - 1)
            begin(rig, chat(stream=True))
            assert (await rig.log.next()).attempts[0].outcome == "ok"
            assert rig.live.conditions == {}

    run(main())
