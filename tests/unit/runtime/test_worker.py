"""A worker from start to stop, over sockets."""

import asyncio
import contextlib
import gc
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import indent

import pytest
import trustme
from msgspec.structs import replace

from fakes.configuration import compiled
from fakes.origin import Peer as Upstream
from fakes.origin import run, serving
from fakes.serving import Answer, Peer, post, until
from pointsman.config.snapshot_file import Compiled
from pointsman.domain.leases import Share
from pointsman.domain.snapshots import Snapshot
from pointsman.link.frames import FROM_WORKER, PROTOCOL, Ask, FrameReader, Granted, Hello, Welcome, encode
from pointsman.runtime.tasks import GC_THRESHOLD
from pointsman.runtime.worker import Worker

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)


def posted(body: bytes) -> bytes:
    """A chat as a client of this machine sends it: a gateway without keys minds the name it is called by."""
    return post(body, target=b"/v1/chat/completions").replace(b"Host: a", b"Host: localhost")


CHAT = posted(b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}')


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """A worker sets up the garbage collector of its process, which is here that of the tests."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def configured(name: str = "chat", port: int = 9, server: str = "") -> Compiled:
    """One provider at `port`, whose model `m` has a public name."""
    return compiled(
        f"server:\n  listen: 127.0.0.1:0\n  drain_s: 5\n{indent(server, '  ')}\n"
        "console: {listen: 127.0.0.1:0}\n"
        f"providers:\n  local: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1'}}\n"
        f"models: {{{name}: [local/m]}}\n"
        "governance: {require_key: false}\n"
    )


@asynccontextmanager
async def working(what: Compiled) -> AsyncIterator[Worker]:
    """A started worker, which is stopped in the end and then leaves nothing behind: no task, no connection."""
    before = asyncio.all_tasks()
    log_fd = os.open(os.devnull, os.O_WRONLY)
    worker = Worker(what.snapshot, what.settings, log_fd)
    await worker.start()
    try:
        yield worker
    finally:
        worker.hasten()
        await worker.stop()
        os.close(log_fd)
        await until(lambda: asyncio.all_tasks() == before)


async def connect(port: int, context: ssl.SSLContext | None = None) -> Peer:
    name = "localhost" if context is not None else None
    return Peer(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name))


async def get(port: int, path: str) -> Answer:
    peer = await connect(port)
    answer = await peer.ask(GET.format(path).encode())
    peer.finish()
    return answer


async def nobody_listens(port: int) -> None:
    """Wait until a listening socket is closed, which takes some turns of the loop."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            (await connect(port)).reset()


async def models(worker: Worker) -> list[str]:
    answer = await get(worker.public_port, "/v1/models")
    return [model["id"] for model in json.loads(answer.body)["data"]]


def test_clients_are_told_nothing_of_the_gateways_metrics() -> None:
    async def main() -> None:
        async with working(configured()) as worker:
            assert (await get(worker.public_port, "/readyz")).status == 200
            assert (await get(worker.public_port, "/metrics")).status == 404

    run(main())


def test_an_address_that_is_taken_is_an_error() -> None:
    async def main() -> None:
        async with working(configured()) as worker:
            what = configured().settings
            taken = type(what.listen)("127.0.0.1", worker.public_port)
            second = Worker(Snapshot("", {}, {}, {}), replace(what, listen=taken), worker._log._fd)
            with pytest.raises(OSError, match="in use"):
                await second.start()
            await second.stop()

    run(main())


def test_limits_of_the_configuration_are_in_force() -> None:
    async def main() -> None:
        async with working(configured(server="limits: {body_bytes: 1024, head_bytes: 2048}")) as worker:
            peer = await connect(worker.public_port)
            assert (await peer.ask(posted(b"x" * 1025))).status == 413
            peer.finish()
            peer = await connect(worker.public_port)
            assert (await peer.ask(GET.format("/" + "x" * 2048).encode())).status == 431
            peer.finish()

    run(main())


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
    files = f"tls: {{cert_file: '{tmp_path}/cert.pem', key_file: '{tmp_path}/key.pem'}}"
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main() -> None:
        async with working(configured(server=files)) as worker:
            peer = await connect(worker.public_port, context)
            assert (await peer.ask(GET.format("/healthz").encode())).status == 200
            peer.finish()

    run(main())


def test_a_swap_is_in_force_for_the_next_request() -> None:
    async def main() -> None:
        async with working(configured("old")) as worker:
            assert await models(worker) == ["old", "local/m"]
            new = configured("new")
            worker.swap(new.snapshot)
            assert await models(worker) == ["new", "local/m"]
            digest = json.loads((await get(worker.public_port, "/readyz")).body)["config"]
            assert new.snapshot.digest.startswith(digest)

    run(main())


def test_a_request_in_progress_outlives_the_provider_it_asks() -> None:
    async def main() -> None:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def script(upstream: Upstream) -> None:
            await upstream.request()
            asked.set()
            await may_answer.wait()
            upstream.send(ANSWER)
            await upstream.gone()

        async with serving(script) as fake, working(configured(port=fake.origin.port)) as worker:
            peer = await connect(worker.public_port)
            await peer.send(CHAT)
            await asked.wait()
            worker.swap(Snapshot("empty", {}, {}, {}, require_key=False))
            may_answer.set()
            assert (await peer.read_answer()).status == 200
            assert (await peer.ask(CHAT)).status == 404
            peer.finish()

    run(main())


@pytest.mark.parametrize("is_hastened", [False, True])
def test_a_stop_waits_for_requests_in_progress_unless_it_is_hastened(is_hastened: bool) -> None:
    async def main() -> None:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def script(upstream: Upstream) -> None:
            await upstream.request()
            asked.set()
            await may_answer.wait()
            upstream.send(ANSWER)
            await upstream.gone()

        async with serving(script) as fake:
            what = configured(port=fake.origin.port)
            log_fd = os.open(os.devnull, os.O_WRONLY)
            worker = Worker(what.snapshot, what.settings, log_fd)
            await worker.start()
            peer = await connect(worker.public_port)
            await peer.send(CHAT)
            await asked.wait()
            stopping = asyncio.ensure_future(worker.stop())
            await nobody_listens(worker.public_port)
            assert not stopping.done()
            if is_hastened:
                worker.hasten()
                answer = await peer.read_answer()
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert json.loads(answer.body)["error"]["code"] == "shutting_down"
                assert await stopping == 1
                assert await peer.is_ended()
            else:
                may_answer.set()
                answer = await peer.read_answer()
                assert (answer.status, answer.headers["connection"]) == (200, "close")
                assert await stopping == 0
            peer.finish()
            os.close(log_fd)

    run(main())


def test_what_is_there_after_start_and_swap_is_left_alone_by_the_garbage_collector() -> None:
    async def main() -> None:
        gc.unfreeze()
        async with working(configured()) as worker:
            assert gc.get_threshold()[0] == GC_THRESHOLD
            frozen = gc.get_freeze_count()
            assert frozen > 0
            worker.swap(configured("new").snapshot)
            assert gc.get_freeze_count() != frozen

    run(main())


def test_a_worker_waits_until_control_can_lend_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "link"
    lends = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask):
                        await lends.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def nothing_new(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), nothing_new, 60.0))
            done, _ = await asyncio.wait((waiting,), timeout=0.2)
            assert not done
            lends.set()
            await waiting
        lends.clear()
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            await worker.connect(0, 1, str(path), nothing_new, 0.1)
            lends.set()

    run(main())


def test_a_worker_waits_for_the_next_control_when_one_dies_right_after_its_welcome(tmp_path: Path) -> None:
    path = tmp_path / "link"
    calls: list[bool] = []
    lends = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        calls.append(True)
        is_first = len(calls) == 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask) and is_first:
                        writer.transport.abort()
                    elif isinstance(frame, Ask):
                        await lends.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def nothing_new(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), nothing_new, 60.0))
            await until(lambda: len(calls) == 2)
            assert not waiting.done(), "the first was no more able to lend than none"
            lends.set()
            await waiting

    run(main())
