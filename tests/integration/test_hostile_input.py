"""Any input from clients or providers: no crash, no hang, no smuggled request, and the next request is served."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import msgspec

from fakes.clock import PATIENCE_S
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.corpora import json_texts, llhttp, naughty_strings
from integration.gateway import Gateway, run, serving
from integration.wire import Wire, chat, connect, request
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
MODELS = {"chat": ["a/sim-1"]}
KEY_LINE = b"X-Api-Key: a-key-of-the-vectors\r\n"
KEYS = {"virtual_keys": {"one": {"value": f"sha256:{sha256(b'a-key-of-the-vectors').hexdigest()}"}}}
_TARGET = re.compile(rb"^([A-Z-]+) (\S+) (HTTP/\d)", re.MULTILINE)

AMBIGUOUS = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: -5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 5 5\r\n",
    b"Content-Length: 1e1\r\n",
    b"Content-Length: \r\n",
    b"Content-Length : 5\r\n",
    b" Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Content-Length: 5\n",
    b"X: y\rContent-Length: 5\r\n",
    b"X: \0\r\nContent-Length: 5\r\n",
    b"\x01: y\r\nContent-Length: 5\r\n",
]
BODY = b"hello"
# An empty chunk extension: llhttp rejects it, but the framing is clear, and bodies are framed again.
HARMLESS = {"transfer-encoding-8"}
# These are invalid because of their target, which the test replaces by a good one.
TARGETS = "uri-"


@contextlib.asynccontextmanager
async def _gateway(**sections: Any) -> AsyncIterator[Gateway]:
    settings = Settings(models=("sim-1",), output_tokens=2, kept_requests=2000)
    async with serving(providers={"a": settings}, models=MODELS, **sections) as gateway:
        yield gateway


async def _statuses(url: str, data: bytes) -> list[int]:
    """Send bytes and close the sending side. Return the statuses of all answers before the connection ended."""
    async with connect(url) as wire:
        wire.write(data)
        found = []
        with contextlib.suppress(TimeoutError, OSError):
            # An answer to an unfinished request may never come, so stop after a quiet time.
            async with asyncio.timeout(0.03):
                received = await wire.reader.read(1 << 20)
                found += _statuses_in(received)
        with contextlib.suppress(OSError):
            wire.writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(OSError):
                found += _statuses_in(await wire.reader.read(-1))
        return found


def _statuses_in(data: bytes) -> list[int]:
    return [int(match) for match in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


async def _serves_still(gateway: Gateway) -> None:
    async with connect(gateway.base_url) as wire:
        body, (name, value) = chat(), KEY_LINE.decode().strip().split(": ")
        headers = {name: value, "content-type": "application/json", "content-length": str(len(body))}
        assert (await wire.ask("POST", CHAT, body, headers)).status == 200


def test_request_vectors_of_llhttp_are_answered() -> None:
    vectors = llhttp("request")

    async def main() -> None:
        # The vectors have other host names, which are checked only if no key is required.
        async with _gateway(server={"allowed_hosts": []}, governance=KEYS) as gateway:
            bill = gateway.providers["a"].bill
            for vector in vectors:
                # First the paths are unknown. The second time, the path is one that passes through.
                there = _TARGET.sub(rb"\1 /v1/files \3", vector.data, count=2)
                there = there.replace(b"\r\n", b"\r\nX-Pointsman-Provider: a\r\nContent-Type: x/y\r\n%b" % KEY_LINE, 1)
                for data in (vector.data, there):
                    before = len(bill.entries)
                    statuses = await _statuses(gateway.base_url, data)
                    assert all(200 <= status < 500 for status in statuses), (vector, statuses)
                    reached = len(bill.entries) - before
                    if vector.name not in HARMLESS and not vector.name.startswith(TARGETS):
                        assert reached <= vector.messages, vector
                    if data is vector.data:
                        assert reached == 0, vector
            count = len(bill.entries)
            assert count > 10, "too few vectors reach a provider, so that the test proves nothing"
            await _serves_still(gateway)

    run(main())


def test_ambiguously_framed_requests_reach_no_provider() -> None:
    async def main() -> None:
        async with _gateway() as gateway:
            smuggled = request("GET", "/v1/files", headers={"x-pointsman-provider": "a"})
            for framing in AMBIGUOUS:
                for start in (b"POST /v1/files HTTP/1.1\r\n", b"POST /v1/chat/completions HTTP/1.1\r\n"):
                    head = start + b"Host: x\r\nContent-Type: x/y\r\nX-Pointsman-Provider: a\r\n" + framing + b"\r\n"
                    for body in (BODY, b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n"):
                        async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                            wire.write(head + body + smuggled)
                            received = await wire.answer()
                            assert received.status in (400, 413, 501), (
                                framing,
                                received,
                            )  # 501: an unknown coding, RFC 9112 6.1
                            assert received.error()["type"] == "invalid_request_error"
                            assert await wire.is_closed()
                    assert not gateway.providers["a"].bill.entries, framing
            await _serves_still(gateway)

    run(main())


def test_response_vectors_of_llhttp_are_handled() -> None:
    vectors = llhttp("response")
    good = msgspec.json.encode({"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}]})
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(good), good)

    async def hostile(peer: Peer) -> None:
        while data := await peer.request():
            number = int(data.partition(b'"user":"')[2].partition(b'"')[0] or -1)
            if number < 0:
                peer.send(answer)
                continue
            peer.send(vectors[number].data)
            await asyncio.sleep(0.01)
            peer.close()
            return

    async def main() -> None:
        async with serving_script(hostile) as fake:
            given = {"bad": {"base_url": f"{fake.origin}/v1"}}
            models = {"chat": ["bad/sim-1"], "pass": ["bad/sim-1"]}
            once = {"max_attempts": 1}
            async with serving(models=models, provider_settings=given, routing=once) as gateway:
                for number, vector in enumerate(vectors):
                    for path, body in (
                        (CHAT, chat(user=str(number))),
                        (CHAT, chat(user=str(number), stream=True)),
                        ("/v1/responses", msgspec.json.encode({"model": "chat", "user": str(number)})),
                    ):
                        async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                            wire.write(request("POST", path, body))
                            received = await wire.head()
                            with contextlib.suppress(Exception):
                                received.body = b"".join([piece async for piece in wire.pieces(received)])
                            if received.status >= 400 and received.body.startswith(b"{"):
                                assert "internal_error" not in received.body.decode(), vector
                            assert received.status != 500, (vector, received)
                            if path == CHAT and received.status == 200:
                                assert received.body, vector
                    gateway.live.conditions.clear()
                    gateway.live.key_blocks.clear()
                    gateway.live.change()
                async with connect(gateway.base_url) as wire:
                    received = await wire.ask("POST", CHAT, chat())
                    assert (received.status, received.body) == (200, good)
                await fake.stop()

    run(main())


def test_json_texts_are_handled_as_and_in_bodies() -> None:
    texts = json_texts()

    async def main() -> None:
        async with _gateway() as gateway:
            provider = gateway.providers["a"]
            async with connect(gateway.base_url) as wire:
                for name, text in texts:
                    assert await _status(wire, gateway, text) == 400, name
                    assert not provider.bill.entries, name
            for name, text in texts:
                body = chat(prediction="Z").replace(b'"Z"', text)
                before = len(provider.bill.entries)
                async with connect(gateway.base_url) as wire:
                    status = await _status(wire, gateway, body)
                reached = len(provider.bill.entries) - before
                if name.startswith("y_"):
                    assert (status, reached) == (200, 1), name
                    sent = msgspec.json.decode(provider.requests[-1].body, type=dict[str, msgspec.Raw])
                    assert bytes(sent["prediction"]).strip() == text.strip(), name
                elif name.startswith("n_") and not _is_json_inside(body):
                    assert (status, reached) == (400, 0), name
                else:
                    assert status in (200, 400), name
                    assert reached == (status == 200), name
            await _serves_still(gateway)

    run(main())


async def _status(wire: Wire, gateway: Gateway, body: bytes) -> int:
    async with asyncio.timeout(PATIENCE_S):
        received = await wire.ask(
            "POST", CHAT, body, {"content-type": "application/json", "content-length": str(len(body))}
        )
    if received.status != 200:
        received.error()
    return received.status


def _is_json_inside(body: bytes) -> bool:
    """Return true if an invalid JSON text makes the body around it valid JSON."""
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


HEADERS = (
    "x-pointsman-session", "x-pointsman-tag-a", "x-request-id", "authorization", "cookie", "accept", "idempotency-key",
    "x-pointsman-timeout-ms", "x-pointsman-provider",
)  # fmt: skip


def test_naughty_strings_are_handled_everywhere() -> None:
    strings = naughty_strings()

    async def main() -> None:
        async with _gateway() as gateway:
            provider = gateway.providers["a"]
            async with connect(gateway.base_url) as wire:
                for text in strings:
                    before = len(provider.bill.entries)
                    for body, expected in _bodies(text):
                        received = await wire.ask("POST", CHAT, body)
                        assert received.status in expected, (text, body, received)
                        if received.status != 200:
                            received.error()
                    assert len(provider.bill.entries) - before <= 6  # the provider decides on names such as `a/…`
            for number, text in enumerate(strings):
                value = text.encode().decode("latin-1")
                is_sendable = not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
                for name in HEADERS[number % 3 :: 3]:
                    async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                        received = await wire.ask("POST", CHAT, chat(), {name: value})
                        assert received.status in (200, 400), (name, text, received)
                        assert is_sendable or received.status == 400, (name, text)
            await _serves_still(gateway)

    run(main())


def _bodies(text: str) -> list[tuple[bytes, tuple[int, ...]]]:
    """Yield bodies with the string in every text field, and the allowed answers."""
    named = chat(text) if text else chat("")
    return [
        (chat(content=text), (200,)),
        (chat(user=text.replace("fault:", "")), (200,)),
        (chat(stop=[text]), (200,)),
        (chat(stop=text), (200,)),
        (chat(tools=[{"type": text}]), (200,)),
        (named, (400, 404)),
        (chat(f"a/{text}"), (400, 404)),
        (chat(fallbacks=[text]), (400, 404)),
        (chat(reasoning_effort=text, stream_options={"include_usage": True}), (400,)),
        (msgspec.json.encode({text: 1}), (400,)),
        (msgspec.json.encode({"model": "chat", "messages": text}), (400,)),
    ]
