"""Disconnects of clients in every phase, and the drain of a server."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import cast

import pytest

from fakes.clock import SOON_S
from fakes.serving import GET, Peer, Recorder, post, run, serving, until, wait
from pointsman.transport import http_server
from pointsman.transport.client_connection import ClientConnection
from pointsman.transport.http_server import BodyMode, Exchange

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
WAYS = {"FIN": Peer.finish, "RST": Peer.reset}


def start(exchange: Exchange) -> None:
    exchange.start(200, b"")
    exchange.write(b"data: 1\n\n")


def stuff(exchange: Exchange) -> None:
    exchange.start(200, b"")
    exchange.write(b"x" * 20_000_000)


def read(exchange: Exchange) -> None:
    exchange.read_body(lambda _: None, lambda: None)


def read_and_pause(exchange: Exchange) -> None:
    exchange.read_body(lambda _: exchange.pause_body(), lambda: None)


PHASES: dict[str, tuple[Callable[[Exchange], None], BodyMode, bytes]] = {
    "waiting": (wait, BodyMode.BUFFER, GET),
    "waiting, with requests after it": (wait, BodyMode.BUFFER, GET + post(b"x") + b"GET /"),
    "streaming": (start, BodyMode.BUFFER, post(b"x")),
    "streaming more than is read": (stuff, BodyMode.BUFFER, GET),
    "uploading": (read, BodyMode.STREAM, post(b"x" * 100)[:-1]),
    "uploading chunks": (read, BodyMode.STREAM, CHUNKED + b"4\r\nab"),
    "uploading, nobody reads": (wait, BodyMode.STREAM, post(b"x" * 100)[:-1]),
    "uploading, paused": (read_and_pause, BodyMode.STREAM, post(b"x" * 100)[:-1]),
    "uploaded": (read, BodyMode.STREAM, post(b"x")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_handler_is_notified_at_once_of_a_disconnect(phase: str, way: str) -> None:
    serve, mode, request = PHASES[phase]

    async def case() -> None:
        handler = Recorder(serve, mode)
        async with serving(handler) as served:
            peer = await served.connect()
            await peer.send(request)
            await handler.arrived.wait()
            before = monotonic()
            WAYS[way](peer)
            await handler.disconnected.wait()
            assert monotonic() - before < SOON_S
            await until(lambda: served.server.connections == 0)
            assert handler.disconnects == 1
            exchange = handler.exchanges[0]
            assert exchange.is_closed
            assert exchange.write(b"unread"), "a closed exchange has no output to wait for"
            exchange.send(200, b"", b"")
            exchange.end()
            exchange.abort()
            exchange.pause_body()
            exchange.resume_body()
            exchange.read_body(lambda _: None, lambda: None)
            assert len(handler.exchanges) == 1

    run(case())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("serve", [wait, read_and_pause])
def test_disconnect_is_detected_while_the_body_is_paused(serve: Callable[[Exchange], None], way: str) -> None:
    """While reading is paused, a read reports neither FIN nor RST."""

    async def case() -> None:
        handler = Recorder(serve, BodyMode.STREAM)
        async with serving(handler, pipeline_bytes=10_000) as served:
            peer = await served.connect()
            peer.writer.write(post(b"x" * 20_000_000)[:400_000])
            await handler.arrived.wait()
            (connection,) = served.server._shared.connections
            assert isinstance(connection, ClientConnection)
            await until(lambda: connection._is_reading_paused and not peer.writer.transport.get_write_buffer_size())
            await asyncio.sleep(0.1)
            assert not handler.disconnected.is_set()
            before = monotonic()
            WAYS[way](peer)
            await handler.disconnected.wait()
            assert monotonic() - before < SOON_S
            assert handler.disconnects == 1

    run(case())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", [b"", b"GET / HT", post(b"abc")[:-1], CHUNKED + b"5\r\nab"])
def test_client_may_disconnect_before_its_request_is_complete(part: bytes, way: str) -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            await peer.send(part)
            await until(lambda: served.server.connections == 1)
            await asyncio.sleep(0.01)
            WAYS[way](peer)
            await until(lambda: served.server.connections == 0)
            assert served.server.body_memory == 0
            assert not served.handler.exchanges

    run(case())


def test_client_that_closes_its_sending_side_counts_as_disconnected() -> None:
    async def case() -> None:
        handler = Recorder(stuff)
        async with serving(handler) as served:
            peer = await served.connect()
            cast("asyncio.Transport", peer.writer.transport).pause_reading()
            await peer.send(GET)
            await handler.arrived.wait()
            before = monotonic()
            peer.writer.write_eof()
            await handler.disconnected.wait()
            await until(lambda: served.server.connections == 0)
            assert monotonic() - before < SOON_S, "pending output does not delay the end"

    run(case())


def test_completed_answer_reaches_a_client_that_has_closed_its_sending_side() -> None:
    async def case() -> None:
        handler = Recorder(lambda exchange: exchange.send(200, b"", b"x" * 5_000_000))
        async with serving(handler) as served:
            peer = await served.connect()
            peer.writer.write(GET)
            peer.writer.write_eof()
            assert len((await peer.read_answer()).body) == 5_000_000
            assert await peer.is_ended()
            assert handler.disconnects == 0

    run(case())


def test_drain_lets_answers_end_and_closes_idle_connections() -> None:
    async def case() -> None:
        handler = Recorder()
        async with serving(handler) as served:
            idle, streaming, waiting, uploading, late = [await served.connect() for _ in range(5)]
            await idle.ask(GET)
            handler.serve = start
            await streaming.send(GET)
            await until(lambda: len(handler.exchanges) == 2)
            handler.serve = wait
            await waiting.send(GET)
            await until(lambda: len(handler.exchanges) == 3)
            await uploading.send(post(b"abc")[:-1])
            await until(lambda: served.server.body_memory == 2)
            drain = asyncio.ensure_future(served.server.drain(60))
            assert await idle.is_ended()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()

            await streaming.reader.readuntil(b"data: 1\n\n\r\n")
            handler.exchanges[1].write(b"x")
            handler.exchanges[1].end()
            assert (await streaming.reader.read()).endswith(b"x\r\n0\r\n\r\n"), "an answer in progress ends properly"
            handler.exchanges[2].send(200, b"", b"ok")
            assert (await waiting.read_answer()).headers["connection"] == "close"
            assert await waiting.is_ended()
            handler.serve = lambda exchange: exchange.send(200, b"", exchange.body)
            assert (await uploading.ask(b"c")).body == b"abc"
            assert (await late.ask(GET)).headers["connection"] == "close", (
                "the first request of a new connection is served"
            )
            assert await drain == 0

    run(case())


def test_drain_serves_a_request_that_has_arrived_but_was_not_read_yet() -> None:
    async def case() -> None:
        async with serving() as served:
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", served.server.port)) as client:
                client.setblocking(False)
                await loop.sock_sendall(client, GET)
                assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200 ")
                client.send(GET)
                await served.server.drain(60)
                assert b"Connection: close" in await loop.sock_recv(client, 1000)

    run(case())


def test_drain_answers_requests_that_do_not_end_in_time() -> None:
    """A handler may still answer. An incomplete request is rejected. A request without an answer is aborted."""

    async def case() -> None:
        handler = Recorder()
        async with serving(handler) as served:
            begun, plain, uploading, beginning, silent, idle = [await served.connect() for _ in range(6)]
            await idle.ask(GET)
            handler.serve = start
            await begun.send(GET)
            await until(lambda: len(handler.exchanges) == 2)
            handler.serve = wait
            await plain.send(GET)
            await until(lambda: len(handler.exchanges) == 3)
            await silent.send(GET)
            await until(lambda: len(handler.exchanges) == 4)
            await beginning.send(GET[:-2])
            await uploading.send(post(b"abc")[:-1])
            await until(lambda: served.server.body_memory == 2)

            def end(exchange: Exchange, *, is_begun: bool) -> None:
                assert not exchange.is_closed
                if is_begun:
                    exchange.write(b"sorry")
                    exchange.end()
                else:
                    exchange.send(503, b"", b"sorry")

            handler.exchanges[1].on_cancel = partial(end, handler.exchanges[1], is_begun=True)
            handler.exchanges[2].on_cancel = partial(end, handler.exchanges[2], is_begun=False)
            drain = asyncio.ensure_future(served.server.drain(60))
            assert await idle.is_ended()
            served.server.shut_down_now()
            assert (await begun.reader.read()).endswith(b"sorry\r\n0\r\n\r\n")
            assert (await plain.read_answer()).status == 503
            for peer in (uploading, beginning):
                answer = await peer.read_answer()
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert b"shutting down" in answer.body
                assert await peer.is_ended()
                peer.finish()
            assert await silent.is_ended()
            assert await drain == 3

    run(case())


def test_end_of_a_drain_waits_only_briefly_for_unread_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_FLUSH_S", 0.05)

    async def case() -> None:
        def fill(exchange: Exchange) -> None:
            exchange.start(200, b"")
            while exchange.write(b"x" * 65536):
                pass
            exchange.on_cancel = exchange.end

        async with serving(Recorder(fill)) as served:
            peer = await served.connect()
            await peer.send(GET)
            await served.handler.arrived.wait()
            served.server.shut_down_now()
            assert await served.server.drain(60) == 1
            assert not (await peer.reader.read(100_000_000)).endswith(b"0\r\n\r\n")

    run(case())


def test_drain_disconnects_clients_whose_answers_do_not_end_in_time() -> None:
    async def case() -> None:
        handler = Recorder(start)
        async with serving(handler) as served:
            peers = [await served.connect() for _ in range(3)]
            for peer in peers:
                await peer.send(GET)
            await until(lambda: len(handler.exchanges) == 3)
            before = monotonic()
            assert await served.server.drain(0.1) == 3
            assert monotonic() - before > 0.09
            assert handler.disconnects == 3
            for peer in peers:
                assert not (await peer.reader.read()).endswith(b"0\r\n\r\n")

    run(case())


def test_ending_a_drain_early_returns_the_number_of_aborted_requests() -> None:
    async def case() -> None:
        handler = Recorder(start)
        async with serving(handler) as served:
            peer = await served.connect()
            await peer.send(GET)
            await handler.arrived.wait()
            drain = asyncio.ensure_future(served.server.drain(60))
            served.server.shut_down_now()
            assert await drain == 1

    run(case())


def test_drain_without_connections_ends_at_once() -> None:
    async def case() -> None:
        async with serving() as served:
            assert await served.server.drain(60) == 0

    run(case())
