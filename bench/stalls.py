"""Measures the longest stall of a worker and its memory, for each kind of `bench.hostile`, from a client and from a
provider.

    python -m bench.stalls --mib 8 --out docs/measurements/stalls.json

A stall is the CPU time of the whole process between two iterations of the loop. So other processes do not count, but a
thread that holds the interpreter lock does. Memory is the peak of the process, minus its size before the request. Each
kind has its own gateway.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import uvloop
from bench.hostile import ANSWERS, BODIES, CHAT, EMBEDDINGS, FORM_TYPE, Body, Reply
from msgspec import Struct

MIB = 1 << 20
PATIENCE_S = 120.0
# One answer per path, with the fields that the path requires.
_PLAIN = (
    b'{"choices":[{"index":0,"finish_reason":"stop","text":"hi","message":{"role":"assistant","content":"hi"}}],'
    b'"data":[{"index":0,"embedding":[0.5]}],"id":"resp_1","object":"response","status":"completed","output":[]}'
)


class Figure(Struct, frozen=True):
    """Figures of one kind. `stall_ms` is the longest stall; `peak_mib` the peak of added memory; `status` is 0 if the
    answer did not come in time."""

    kind: str
    mib: float
    status: int
    stall_ms: float
    peak_mib: float
    cpu_ms: float
    said: str = ""


class Watch:
    """Measures, inside the gateway, the CPU time between two iterations of the loop."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(0.0005)
            self.longest_s = max(self.longest_s, time.process_time() - before)


async def _gateway(config: Path, log: Path) -> None:
    """Run a worker, and print the figures since the last line for each line of input."""
    from pointsman.config.compile import compile_file  # noqa: PLC0415 -- only the child needs these modules
    from pointsman.runtime.worker import Worker  # noqa: PLC0415

    compiled = compile_file(config, os.environ).compiled
    assert compiled is not None
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    worker, watch = Worker(compiled.snapshot, compiled.settings, fd), Watch()
    await worker.start()
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    watching = loop.create_task(watch.run())
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(worker.plane.server.port, flush=True)
    while await reader.readline():
        Path("/proc/self/clear_refs").write_text("5")
        base, cpu_s, watch.longest_s = _memory("VmRSS"), time.process_time(), 0.0
        print("ready", flush=True)
        await reader.readline()
        print(json.dumps([watch.longest_s, _memory("VmHWM") - base, time.process_time() - cpu_s]), flush=True)
    watching.cancel()
    await worker.stop()


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


async def measured(kind: str, mib: float) -> Figure:
    """Measure one kind in the given size."""
    size = int(mib * MIB)
    body, reply = BODIES.get(kind.removeprefix("body ")), ANSWERS.get(kind.removeprefix("answer "))
    answer = _reply(reply, size) if kind.startswith("answer ") and reply is not None else _reply(_DEFAULT, 0)
    request = _request(body, size) if kind.startswith("body ") and body is not None else _asking(reply)
    broken = _BROKEN if kind.startswith("body ") else answer
    async with _provider(answer, broken) as port, _child(port) as (process, public):
        assert process.stdin is not None
        assert process.stdout is not None
        await _ask(public, _request(BODIES["honest: one short message"], 0))  # the first request's figures do not count
        process.stdin.write(b"begin\n")
        await process.stdout.readline()
        status, said = await _ask(public, request)
        if kind.startswith("body "):  # once more, for the figures that no answer reports
            await _ask(public, request)
        process.stdin.write(b"end\n")
        stall_s, peak, cpu_s = json.loads(await process.stdout.readline())
    sent = max(len(request), len(answer)) / MIB
    return Figure(
        kind, round(sent, 3), status, round(stall_s * 1e3, 1), round(peak / MIB, 1), round(cpu_s * 1e3, 1), said
    )


_BROKEN = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
_DEFAULT = Reply(lambda _: ("content-type: application/json\r\n", _PLAIN))


def _reply(reply: Reply, size: int) -> bytes:
    lines, body = reply.make(size)
    return f"HTTP/1.1 {reply.status} X\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def _request(body: Body, size: int) -> bytes:
    data = body.make(size)
    target = "/v1" + (body.target(size) if body.target is not None else body.path)
    lines = f"Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: {body.content_type}\r\nContent-Length: {len(data)}"
    if body.content_type != FORM_TYPE and body.path in ("/moderations", "/files"):
        lines += "\r\nx-pointsman-provider: a"
    return f"POST {target} HTTP/1.1\r\n{lines}\r\n\r\n".encode() + data


def _asking(reply: Reply | None) -> bytes:
    path = reply.path if reply is not None else CHAT
    fields: dict[str, object] = {"model": "m", "stream": reply.stream if reply is not None else False}
    fields |= {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"input": "hi"}
    if path == EMBEDDINGS:
        fields.pop("stream")
    data = json.dumps(fields).encode()
    head = f"POST /v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def _ask(port: int, request: bytes) -> tuple[int, str]:
    """Send a request and read the answer to its end. Return the status, and an error's message."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    sending = asyncio.get_running_loop().create_task(_send(writer, request))
    head, rest = b"", b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while data := await reader.read(MIB):
                head = (head + data)[:4096] if len(head) < 4096 else head
                rest = data
    sending.cancel()
    writer.close()
    if not head:
        return 0, "no answer"
    status = int(head[9:12])
    return status, (head.partition(b"\r\n\r\n")[2] if status >= 400 else rest)[-160:].decode("utf-8", "replace")


async def _send(writer: asyncio.StreamWriter, request: bytes) -> None:
    with contextlib.suppress(OSError):
        for start in range(0, len(request), MIB):
            writer.write(request[start : start + MIB])
            await writer.drain()


@contextlib.asynccontextmanager
async def _provider(answer: bytes, last: bytes) -> AsyncIterator[int]:
    """Read requests to their end. Answer the first with a short answer, the second with `answer`."""
    replies = iter([_reply(_DEFAULT, 0), answer])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, ValueError):
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                _, mark, length = head.partition(b"content-length:")
                if mark:
                    await reader.readexactly(int(length.split(b"\r\n")[0]))
                elif b"transfer-encoding" in head:
                    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                        await reader.readexactly(size + 2)
                    await reader.readexactly(2)
                reply = next(replies, last)
                writer.write(reply)
                await writer.drain()
                if reply is _BROKEN:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=64 * MIB)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def _child(port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    with tempfile.TemporaryDirectory(prefix="pointsman-stalls-") as folder:
        config = Path(folder) / "pointsman.json"
        provider = {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{port}/v1", "keys": {"only": ""}}
        provider |= {"bills_unfinished": "prompt"}
        config.write_text(
            json.dumps(
                {
                    "version": 1,
                    "server": {"listen": "127.0.0.1:0"},
                    "console": {"listen": "127.0.0.1:0"},
                    "providers": {"a": provider},
                    "models": {"m": ["a/m"]},
                    "routing": {"max_attempts": 1},
                    "governance": {"require_key": False},
                }
            )
        )
        pipe = asyncio.subprocess.PIPE
        command = ("-m", "bench.stalls", "--child", str(config), str(Path(folder) / "log"))
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        try:
            yield process, int(await process.stdout.readline())
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def kinds() -> list[str]:
    """Return all kinds: `body …` and `answer …`."""
    return [*(f"body {name}" for name in BODIES), *(f"answer {name}" for name in ANSWERS)]


async def table(names: list[str], mib: float, tell: Callable[[Figure], object]) -> list[Figure]:
    """Measure these kinds one after the other."""
    found = []
    for name in names:
        found.append(await measured(name, mib))
        tell(found[-1])
    return found


def _tell(figure: Figure) -> None:
    print(
        f"{figure.kind:62} {figure.mib:8.2f} MiB  {figure.status:3}  stall {figure.stall_ms:9.1f} ms  "
        f"peak {figure.peak_mib:8.1f} MiB  CPU {figure.cpu_ms:9.1f} ms",
        flush=True,
    )


def main() -> None:
    """Print the table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=float, default=8.0, help="the size of each, in MiB")
    parser.add_argument("--only", default="", help="measure only kinds whose names contain this text")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if given.child:
            runner.run(_gateway(*given.child))
            return
        found = runner.run(table([name for name in kinds() if given.only in name], given.mib, _tell))
    if given.out is not None:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "mib": given.mib}
        figures = [msgspec.to_builtins(figure) for figure in found]
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps({**machine, "figures": figures}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
