"""A worker from start to stop, over sockets."""

import asyncio
import contextlib
import gc
import json
import os
import socket
import ssl
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trustme
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.origin import Peer as Upstream
from fakes.origin import run, serving
from fakes.workers import GET, chat_request, configured, connect, get, running_worker
from pointsman.config.snapshot_file import write_snapshot
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import ProviderKey
from pointsman.runtime.tasks import GC_THRESHOLD, ChildTask
from pointsman.runtime.worker import Worker

WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)


CHAT = chat_request(b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}')


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Restore the garbage collector, because a worker tunes that of its process, which runs the tests here."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


async def wait_until_closed(port: int) -> None:
    """Wait until a listening socket is closed, which takes some iterations of the loop."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            (await connect(port)).reset()


async def models(worker: Worker) -> list[str]:
    answer = await get(worker.plane.server.port, "/v1/models")
    return [model["id"] for model in json.loads(answer.body)["data"]]


def test_clients_cannot_read_metrics() -> None:
    async def main() -> None:
        async with running_worker(configured()) as worker:
            assert (await get(worker.plane.server.port, "/readyz")).status == 200
            assert (await get(worker.plane.server.port, "/metrics")).status == 404

    run(main())


def test_address_in_use_is_an_error() -> None:
    async def main() -> None:
        async with running_worker(configured()) as worker:
            settings = configured().settings
            taken = type(settings.listen)("127.0.0.1", worker.plane.server.port)
            second = Worker(
                Snapshot(digest="", endpoints={}, models={}, virtual_keys={}),
                replace(settings, listen=taken),
                worker.plane.log._fd,
            )
            with pytest.raises(OSError, match="in use"):
                await second.start()
            await second.stop()

    run(main())


def test_worker_serves_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
    files = f"tls: {{cert_file: '{tmp_path}/cert.pem', key_file: '{tmp_path}/key.pem'}}"
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main() -> None:
        async with running_worker(configured(server=files)) as worker:
            peer = await connect(worker.plane.server.port, context)
            assert (await peer.ask(GET.format("/healthz").encode())).status == 200
            peer.finish()

    run(main())


def test_new_configuration_applies_to_the_next_request() -> None:
    async def main() -> None:
        async with running_worker(configured("old")) as worker:
            assert await models(worker) == ["old", "local/m"]
            new = configured("new")
            worker.swap(new.snapshot)
            assert await models(worker) == ["new", "local/m"]
            digest = json.loads((await get(worker.plane.server.port, "/readyz")).body)["config"]
            assert new.snapshot.digest.startswith(digest)

    run(main())


def test_request_in_progress_outlives_its_provider() -> None:
    async def main() -> None:
        received, may_answer = asyncio.Event(), asyncio.Event()

        async def script(upstream: Upstream) -> None:
            await upstream.request()
            received.set()
            await may_answer.wait()
            upstream.send(ANSWER)
            await upstream.wait_closed()

        async with serving(script) as fake, running_worker(configured(port=fake.origin.port)) as worker:
            peer = await connect(worker.plane.server.port)
            await peer.send(CHAT)
            await received.wait()
            worker.swap(Snapshot(digest="empty", endpoints={}, models={}, virtual_keys={}, require_key=False))
            may_answer.set()
            assert (await peer.read_answer()).status == 200
            assert (await peer.ask(CHAT)).status == 404
            peer.finish()

    run(main())


@pytest.mark.parametrize("is_immediate", [False, True])
def test_stop_waits_for_requests_in_progress_unless_shut_down_now(is_immediate: bool) -> None:
    async def main() -> None:
        received, may_answer = asyncio.Event(), asyncio.Event()

        async def script(upstream: Upstream) -> None:
            await upstream.request()
            received.set()
            await may_answer.wait()
            upstream.send(ANSWER)
            await upstream.wait_closed()

        async with serving(script) as fake:
            compiled = configured(port=fake.origin.port)
            log_fd = os.open(os.devnull, os.O_WRONLY)
            worker = Worker(compiled.snapshot, compiled.settings, log_fd)
            await worker.start()
            peer = await connect(worker.plane.server.port)
            await peer.send(CHAT)
            await received.wait()
            stopping = asyncio.ensure_future(worker.stop())
            await wait_until_closed(worker.plane.server.port)
            assert not stopping.done()
            if is_immediate:
                worker.plane.server.shut_down_now()
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


def test_start_and_swap_exclude_objects_from_garbage_collection() -> None:
    async def main() -> None:
        gc.unfreeze()
        async with running_worker(configured()) as worker:
            assert gc.get_threshold()[0] == GC_THRESHOLD
            frozen = gc.get_freeze_count()
            assert frozen > 0
            worker.swap(configured("new").snapshot)
            assert gc.get_freeze_count() != frozen

    run(main())


def number_of_keys() -> int:
    gc.unfreeze()
    return sum(type(one) is ProviderKey for one in gc.get_objects())


def test_old_configurations_are_freed_after_a_swap() -> None:
    """The garbage collector does not free them, because each swap excludes present objects from it. Connections stay
    open."""

    async def main() -> None:
        async def script(upstream: Upstream) -> None:
            while True:
                await upstream.request()
                upstream.send(ANSWER)

        async with serving(script) as fake, running_worker(configured(port=fake.origin.port)) as worker:
            old: list[weakref.ref[Snapshot]] = []
            peer, idle = await connect(worker.plane.server.port), await connect(worker.plane.server.port)
            assert (await peer.ask(CHAT)).status == 200
            keys = number_of_keys()
            for number in range(20):
                new = configured(f"chat-{number}", fake.origin.port).snapshot
                old.append(weakref.ref(new))
                worker.swap(new)
                del new
                await peer.ask(
                    chat_request(b'{"model":"chat-%d","messages":[{"role":"user","content":"hi"}]}' % number)
                )
                await peer.ask(GET.format("/v1/models").encode())
                if number == 3:
                    await idle.ask(CHAT.replace(b"Host:", b"X-Only-Once: 1\r\nHost:"))
            worker.swap(Snapshot(digest="last", endpoints={}, models={}, virtual_keys={}))
            assert [one() for one in old] == [None] * len(old)
            assert number_of_keys() < keys + 5
            peer.finish()
            idle.finish()

    run(main())


def test_worker_imports_neither_the_compiler_nor_its_libraries(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "snapshot", configured())
    listening, (ready, their_ready), (their_life, life) = socket.create_server(("127.0.0.1", 0)), os.pipe(), os.pipe()
    fds = (listening.fileno(), their_ready, their_life)
    folder = str(tmp_path)
    task = ChildTask(
        slot=0,
        epoch=1,
        listen_fds=[fds[0]],
        ready_fd=fds[1],
        life_fd=fds[2],
        data_dir=folder,
        snapshot=f"{folder}/snapshot",
        link=f"{folder}/link",
        patience_s=0.1,
        log_level="error",
    )
    command = [sys.executable, "-X", "importtime", "-P", "-m", "pointsman.runtime", "worker"]
    process = subprocess.Popen(
        [*command, msgspec.json.encode(task).decode()],
        pass_fds=fds,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(their_ready)
    assert os.read(ready, 1) == b"1"
    process.terminate()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    for fd in (ready, their_life, life):
        os.close(fd)
    listening.close()
    lines = (line for line in stderr.splitlines() if "import time:" in line)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert {"pointsman", "uvloop"} <= imported
    assert not imported & {"pydantic", "pydantic_core", "yaml", "sqlalchemy", "fastapi", "uvicorn"}
