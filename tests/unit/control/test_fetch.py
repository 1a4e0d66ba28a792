"""One request of control to a provider."""

import pytest

from fakes.origin import Peer, run, serving
from pointsman.control.fetch import AnswerError, StoredAt, fetch
from unit.control.test_listing import answer, endpoint


def test_stored_object_is_requested_with_its_key() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(b'{"id":"b"}'))

        async with serving(script) as fake:
            place = StoredAt(provider := endpoint("a", fake.origin), provider.keys[1])
            assert await fetch(provider, place.request("batch", "/batches/b")) == b'{"id":"b"}'
            received = fake.peers[0].received
            assert received.startswith(b"GET /v1/batches/b HTTP/1.1\r\n")
            assert b"authorization: Bearer secret of k\r\n" in received

    run(main())


def test_error_has_its_status() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(b"{}", b"404 Not Found"))

        async with serving(script) as fake:
            place = StoredAt(provider := endpoint("a", fake.origin), provider.keys[1])
            with pytest.raises(AnswerError, match="status 404") as caught:
                await fetch(provider, place.request("file", "/files/f/content"))
            assert caught.value.status == 404

    run(main())
