"""The answer to a request that fails after its commit, or that the gateway ends."""

import asyncio
import json

import pytest

from fakes.engine import running_engine
from fakes.origin import Peer, run
from pointsman.domain.snapshots import Routing
from unit.engine.test_serve import CONTENT, STREAM_HEAD, answering, begin, chat, chunk, whole


@pytest.mark.parametrize("is_stream", [True, False])
def test_answer_that_fails_after_its_commit_ends_with_an_error(is_stream: bool) -> None:
    """The error is an event of the dialect if it has one; otherwise the connection is aborted."""

    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

        async def die(peer: Peer) -> None:
            await peer.answer(STREAM_HEAD + chunk(CONTENT) if is_stream else head + b"{" * 30)

        async with running_engine(die, answering(whole()), routing=Routing(commit_buffer=20)) as rig:
            _, client = begin(rig, chat(stream=is_stream))
            record = await rig.log.next()
            assert (client.status, record.status) == (200, 200)
            assert record.code in ("truncated", "connection_lost")
            assert rig.request_counts == [1, 0]
            if is_stream:
                assert client.ended == "finished"
                last = client.body.split(b"\n\n")[-2].removeprefix(b"data: ")
                assert json.loads(last)["error"]["code"] == record.code
            else:
                assert (client.ended, client.body) == ("aborted", b"{" * 30)

    run(main())


@pytest.mark.parametrize("is_begun", [False, True])
def test_request_ended_by_a_shutdown_is_rejected_and_charged(is_begun: bool) -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def stop_halfway(peer: Peer) -> None:
            await peer.request()
            asked.set()
            peer.send(STREAM_HEAD + (chunk(CONTENT) if is_begun else b""))
            await peer.wait_closed()
            gone.set()

        async with running_engine(stop_halfway) as rig:
            exchange, client = begin(rig, chat(stream=True))
            await asked.wait()
            while is_begun and not client.written:
                await asyncio.sleep(0.001)
            assert exchange.on_cancel is not None
            exchange.on_cancel()
            record = await rig.log.next()
            await gone.wait()
            assert client.ended == "finished"
            assert b'"code":"shutting_down"' in client.body
            if is_begun:
                assert client.body.startswith(CONTENT + b'data: {"error":')
            else:
                assert client.headers[b"retry-after"] == b"1"
                assert client.headers[b"x-should-retry"] == b"true"
            assert (client.status, record.status) == ((200, 200) if is_begun else (503, 503))
            assert record.code == "shutting_down"
            (attempt,) = record.attempts
            assert (attempt.outcome, attempt.retry_after_s) == ("shutting_down", None)
            assert attempt.usage_source == "estimated"
            assert not rig.live.conditions, "no provider is at fault"

    run(main())
