"""A whole answer is returned, whatever its status, and its size is bounded."""

import asyncio

import pytest

from fakes.origin import GET, OK, Peer, connecting, run, serving
from pointsman.domain import failures
from pointsman.domain.origin import Origin
from pointsman.transport.fetch import Fetched, FetchError, fetch, receive


async def fetched(answer: bytes, most_bytes: int = 100) -> Fetched:
    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        await peer.wait_closed()

    async with serving(script) as fake, connecting() as client:
        return await fetch(client, fake.origin, GET, 10.0, most_bytes)


def test_answer_is_returned_whole() -> None:
    assert run(fetched(OK)).body == b"ok"
    refused = run(fetched(b"HTTP/1.1 401 No\r\nContent-Length: 1\r\nX-A: b\r\n\r\nn"))
    assert (refused.status, refused.headers[b"x-a"], refused.body) == (401, b"b", b"n")


def test_longer_answer_is_an_error() -> None:
    with pytest.raises(FetchError, match="more than 1 bytes") as raised:
        run(fetched(OK, most_bytes=1))
    assert raised.value.kind is failures.MALFORMED_ANSWER


def test_error_of_the_reader_ends_the_request() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
            await peer.wait_closed()

        def take(status: int, data: bytes) -> None:
            raise ValueError(f"{status} {data!r}")

        async with serving(script) as fake, connecting() as client:
            with pytest.raises(ValueError, match="200 b'part'"):
                await receive(client, fake.origin, GET, 10.0, take=take)

    run(main())


def test_unreachable_origin_and_timeout_are_errors() -> None:
    async def refused() -> None:
        async with connecting() as client:
            await fetch(client, Origin("http", "127.0.0.1", 1), GET, 10.0, 100)

    async def silent() -> None:
        async def script(peer: Peer) -> None:
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            await fetch(client, fake.origin, GET, 0.02, 100)

    with pytest.raises(FetchError) as raised:
        run(refused())
    assert raised.value.kind is failures.CONNECT_FAILED
    with pytest.raises(FetchError) as raised:
        run(silent())
    assert raised.value.kind is failures.COMMIT_TIMEOUT


def test_cancelled_wait_ends_the_request() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            task = asyncio.create_task(fetch(client, fake.origin, GET, 10.0, 100))
            while not fake.peers:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.01)
            assert not any(pool.in_flight for pool in client.gauges().values())

    run(main())
