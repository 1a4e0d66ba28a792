"""A disconnect of the client, at any moment and in any way, cancels its work at once. No provider is blamed."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any, Literal, TypeVar

import pytest

from fakes.lag import Lag, lag
from integration.client import Client
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.bill import Entry, Phase

Ending = Literal["fin", "rst"]
MODELS = {"chat": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]}
ALPHA_AND_BETA = {"alpha": Settings(output_tokens=500.0), "beta": Settings()}
P99_S = 0.1
HOPS = 5  # processes in sequence between the disconnect and its detection by the provider

pytestmark = [
    pytest.mark.parametrize("ending", ["fin", "rst"]),
    pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)]),
]


class Silent:
    """A server that accepts connections and bytes and never answers. `received` counts the bytes of each connection;
    `closed_at` is its end in monotonic seconds."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.closed_at: list[float] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(0)
        with contextlib.suppress(ConnectionError):
            await self.talk(len(self.received) - 1, reader, writer)
        self.closed_at.append(monotonic())
        writer.close()

    async def talk(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        while data := await reader.read(65536):
            self.received[number] += len(data)


class Endless(Silent):
    """A server whose answer never ends: a stream of chat events, or bytes for a GET. `written` counts its pieces by
    connection."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []

    async def talk(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.received[number] += len(head)
        self.written.append(0)
        is_file = head.startswith(b"GET")
        kind = b"application/octet-stream" if is_file else b"text/event-stream"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
        piece = bytes(65536) if is_file else b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n' * 1000
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            self.written[number] += 1


S = TypeVar("S", bound=Silent)


@contextlib.asynccontextmanager
async def listening(server: S) -> AsyncIterator[S]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


def only(server: Silent, scheme: str = "http") -> dict[str, Any]:
    """Return the provider settings of a gateway in front of this server alone."""
    return {"alpha": {"base_url": f"{scheme}://127.0.0.1:{server.port}/v1"}}


def disconnect(client: Client, ending: Ending) -> float:
    """Disconnect, and return the time."""
    disconnected_at = monotonic()
    if ending == "fin":
        client.finish()
    else:
        client.reset()
    return disconnected_at


async def check_delays(delays_s: list[float], count: int, kind: str, late: Lag) -> None:
    assert len(delays_s) == count
    ordered = sorted(delays_s)
    p99_s = ordered[math.ceil(0.99 * count) - 1]
    lag_s = await late.worst_s()
    delays = f"{ordered[count // 2] * 1e3:.1f} ms (p50), {p99_s * 1e3:.1f} ms (p99)"
    print(f"{kind}: upstream closed after {delays}, on a machine that is late by {lag_s * 1e3:.1f} ms")
    assert ordered[0] >= 0
    assert p99_s <= P99_S + HOPS * lag_s


async def check_records(gateway: Gateway, count: int, *, attempts: int = 1) -> None:
    for record in await gateway.wait_for_records(count):
        assert record["code"] == "client_disconnected"
        assert record["status"] == 499
        assert len(record["attempts"]) == attempts
        assert record["attempts"][-1]["outcome"] == "client_disconnected"
    health_metrics = ("pointsman_target_unhealthy", "pointsman_key_blocked")
    assert not [name for name in await gateway.metrics() if name.startswith(health_metrics)]


Ready = Callable[[Client, Entry], Awaitable[object]]


async def disconnect_from_provider(
    gateway: Gateway, ending: Ending, count: int, request: dict[str, Any], ready: Ready, phase: Phase
) -> None:
    """Send a request, disconnect as soon as `ready` returns, and return the provider's view."""
    provider, delays_s = gateway.providers["alpha"], []
    async with lag() as late:
        for number in range(count):
            client = await gateway.connect()
            client.send(**request)
            entry = await arrived(provider, number)
            await ready(client, entry)
            disconnected_at = disconnect(client, ending)
            await until(lambda entry=entry: entry.outcome != "open", "the provider has detected the disconnect")  # type: ignore[misc]
            assert entry.outcome == "cancelled"
            assert entry.phase == phase
            assert entry.peer_closed_at is not None
            delays_s.append(entry.peer_closed_at - disconnected_at)
            await client.close()
        await check_delays(delays_s, count, f"{phase}, {ending}", late)
    await check_records(gateway, count)
    assert gateway.providers["beta"].counters.requests_received == 0


async def arrived(provider: SimulatedProvider, number: int) -> Entry:
    await until(lambda: len(provider.bill.entries) > number, "the request has arrived")
    return provider.bill.entries[number]


async def at_once(client: Client, entry: Entry) -> None:
    pass


async def first_content(client: Client, entry: Entry) -> None:
    answer = await client.receive(stop=lambda answer: b'"content":"' in answer.body.partition(b"\n\n")[2])
    assert answer.status == 200


@pytest.mark.parametrize("fault", ["hang", "hang_after_head"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_disconnect_before_the_first_token(ending: Ending, count: int, stream: bool, fault: str) -> None:
    async def main() -> None:
        async with serving(providers=ALPHA_AND_BETA, models=MODELS) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            phase: Phase = "before_answer" if fault == "hang" else "before_first_token"
            await disconnect_from_provider(gateway, ending, count, {"body": chat(stream=stream)}, at_once, phase)

    run(main())


@pytest.mark.parametrize("as_process", [False, True], ids=["worker", "process"])
def test_disconnect_during_a_stream(ending: Ending, count: int, as_process: bool) -> None:
    async def main() -> None:
        async with serving(providers=ALPHA_AND_BETA, models=MODELS, as_process=as_process) as gateway:
            gateway.providers["alpha"].set_fault("slow_tokens=10")
            await disconnect_from_provider(
                gateway, ending, count, {"body": chat(stream=True)}, first_content, "mid_stream"
            )
            entries = gateway.providers["alpha"].bill.entries
            assert all(0 < entry.tokens_sent < 400 for entry in entries)

    run(main())


@pytest.mark.parametrize("request_of", ["stream", "file"])
def test_disconnect_with_every_buffer_full(ending: Ending, count: int, request_of: str) -> None:
    """The client has stopped reading, so the gateway has stopped reading from the provider."""
    request: dict[str, Any] = {"body": chat("alpha/any", stream=True)}
    if request_of == "file":
        request = {"method": "GET", "path": "/v1/files/any/content", "headers": {"x-pointsman-provider": "alpha"}}

    async def main() -> None:
        async with listening(Endless()) as server, serving(provider_settings=only(server)) as gateway, lag() as late:
            delays_s = []
            for number in range(count):
                client = await gateway.connect(receive_buffer=4096)
                client.send(**request)
                await until(lambda number=number: any(server.written[number:]), "the answer has begun")  # type: ignore[misc]
                await standstill(server, number)
                delays_s.append(await disconnect_from_server(client, ending, server, number))
            await check_delays(delays_s, count, f"{request_of} with full buffers, {ending}", late)
            await check_records(gateway, count)

    run(main())


async def standstill(server: "Endless", number: int) -> None:
    """Wait until the server has written nothing for a while."""
    written, since = -1, monotonic()

    def is_still() -> bool:
        nonlocal written, since
        if written != server.written[number]:
            written, since = server.written[number], monotonic()
        return monotonic() - since > 0.05

    await until(is_still, "the provider cannot write any more")


async def disconnect_from_server(client: Client, ending: Ending, server: "Silent", number: int) -> float:
    """Disconnect, and return the time until the server detected the end of its connection."""
    disconnected_at = disconnect(client, ending)
    await until(lambda: len(server.closed_at) > number, "the connection is closed")
    await client.close()
    return server.closed_at[number] - disconnected_at


def test_disconnect_during_a_tls_handshake(ending: Ending, count: int) -> None:
    async def main() -> None:
        async with (
            listening(Silent()) as server,
            serving(provider_settings=only(server, "https")) as gateway,
            lag() as late,
        ):
            delays_s = []
            for number in range(count):
                client = await gateway.connect()
                client.send(chat("alpha/gpt-4o-mini"))
                await until(lambda number=number: any(server.received[number:]), "the handshake has begun")  # type: ignore[misc]
                delays_s.append(await disconnect_from_server(client, ending, server, number))
            await check_delays(delays_s, count, f"in the TLS handshake, {ending}", late)
            await check_records(gateway, count)

    run(main())


def test_disconnect_while_connecting(ending: Ending, count: int) -> None:
    """The provider's backlog is full, so the kernel answers no connection request."""

    async def main() -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        given = {"alpha": {"base_url": f"http://127.0.0.1:{port}/v1"}}
        async with serving(provider_settings=given) as gateway, lag() as late:
            delays_s = []
            for _ in range(count):
                client = await gateway.connect()
                client.send(chat("alpha/gpt-4o-mini"))
                await until(gateway.connections_upstream, "the gateway tries to connect")
                disconnected_at = disconnect(client, ending)
                await until(lambda: not gateway.connections_upstream(idle=True), "the gateway gives up")
                delays_s.append(monotonic() - disconnected_at)
                await client.close()
            await check_delays(delays_s, count, f"connecting, {ending}", late)
            await check_records(gateway, count)
        for sock in (listener, *fillers):
            sock.close()

    run(main())


def test_disconnect_during_an_upload(ending: Ending, count: int) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    start += b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + bytes(200_000)
    headers = {"content-type": "multipart/form-data; boundary=b", "x-pointsman-provider": "alpha"}

    async def main() -> None:
        async with listening(Silent()) as server, serving(provider_settings=only(server)) as gateway, lag() as late:
            delays_s = []
            for number in range(count):
                client = await gateway.connect()
                client.send(start, path="/v1/files", headers=headers, length=1_000_000)
                await until(lambda number=number: sum(server.received[number:]) > len(start), "the upload has begun")  # type: ignore[misc]
                delays_s.append(await disconnect_from_server(client, ending, server, number))
            await check_delays(delays_s, count, f"during an upload, {ending}", late)
            await check_records(gateway, count)

    run(main())


def test_disconnect_in_the_pause_before_a_retry(ending: Ending, count: int) -> None:
    async def main() -> None:
        models = {"chat": ["alpha/gpt-4o-mini"]}
        async with serving(providers={"alpha": Settings()}, models=models) as gateway, lag() as late:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("status=500")
            assert gateway.worker is not None
            public = gateway.worker.plane.server
            delays_s = []
            for number in range(count):
                client = await gateway.connect()
                client.send(chat())
                entry = await arrived(alpha, number)
                await until(lambda entry=entry: entry.outcome == "failed", "the first attempt has failed")  # type: ignore[misc]
                await until(lambda: not gateway.live.in_progress, "the pause has begun")
                assert public.requests == 1
                disconnected_at = disconnect(client, ending)
                await until(lambda: not public.requests, "the request has ended")
                delays_s.append(monotonic() - disconnected_at)
                await client.close()
            await check_delays(delays_s, count, f"in the pause before a retry, {ending}", late)
            await asyncio.sleep(0.5)  # longer than the pause
            assert alpha.counters.requests_received == count
            for record in await gateway.wait_for_records(count):
                assert record["code"] == "client_disconnected"
                assert [attempt["outcome"] for attempt in record["attempts"]] == ["upstream_error"]

    run(main())
