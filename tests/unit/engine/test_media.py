"""Fetching media at addresses that clients choose: only public hosts, few redirects, known types, bounded bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from fakes.origin import Peer, serving
from pointsman.domain import network as addresses
from pointsman.domain.network import Network, is_public
from pointsman.engine import media
from pointsman.engine.media import MOST_REDIRECTS, PUBLIC, fetch_public
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.fetch import FetchError
from pointsman.transport.http_client import HttpClient
from pointsman.transport.resolver import Address, Resolver

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100


class Names:
    """A resolver whose hosts are those of a test. A name with several answers gives the next one at each lookup."""

    def __init__(self, **hosts: list[str]) -> None:
        self.hosts = {name.replace("_", "."): addresses for name, addresses in hosts.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[Address]:
        import socket

        self.asked.append(host)
        answers = self.hosts[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, found)]


@asynccontextmanager
async def client_of(names: Names, network: Network = PUBLIC) -> AsyncIterator[HttpClient]:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    client = HttpClient(loop, deadlines, network, resolver=Resolver(loop, names, ttl_s=0.0))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def _loopback_counts_as_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of tests are on the loopback address. Only this one counts as public, and its neighbour does not."""
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1" or is_public(address))


def answering(*answers: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Return a script that sends these answers, one for each request."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            peer.send(answer)
        await peer.drain()

    return script


def ok(body: bytes, kind: bytes = b"text/plain") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


def moved(location: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % location.encode()


async def refused(client: HttpClient, address: str, most: int = 1000, *, takes_http: bool = True) -> str:
    with pytest.raises(FetchError) as caught:
        await fetch_public(client, address, most, takes_http=takes_http)
    return str(caught.value)


def test_content_of_a_public_host() -> None:
    async def main() -> None:
        async with serving(answering(moved("/b.png?x=1"), ok(PNG))) as fake:
            names = Names(pictures_test=["127.0.0.1"])
            async with client_of(names) as client:
                address = f"http://pictures.test:{fake.origin.port}/a b.png"
                assert await fetch_public(client, address, 1000, takes_http=True) == PNG

    asyncio.run(main())


@pytest.mark.parametrize("target", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
def test_private_host_is_not_connected_to(target: str) -> None:
    async def main() -> None:
        async with client_of(Names(inner_test=[target])) as client:
            assert "no public address" in await refused(client, "http://inner.test/x") or target.startswith("169.254")
            said = await refused(client, f"http://{target}/x")
            assert "no public address" in said or "metadata" in said

    asyncio.run(main())


def test_redirect_to_a_private_host_is_not_followed() -> None:
    async def main() -> None:
        async with serving(answering(moved("http://inner.test/secret"))) as fake:
            names = Names(pictures_test=["127.0.0.1"], inner_test=["127.0.0.2"])
            async with client_of(names) as client:
                said = await refused(client, f"http://pictures.test:{fake.origin.port}/a")
                assert "no public address" in said

    asyncio.run(main())


def test_name_that_changes_its_address_is_checked_at_each_connection() -> None:
    """The first lookup gives a public address, the second a private one, as in DNS rebinding."""

    async def main() -> None:
        async with serving(
            answering(b"HTTP/1.1 302 Found\r\nlocation: /b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        ) as fake:
            names = Names(pictures_test=["127.0.0.1", "127.0.0.2"])
            async with client_of(names) as client:
                said = await refused(client, f"http://pictures.test:{fake.origin.port}/a")
                assert "no public address" in said
                assert names.asked == ["pictures.test"] * 2

    asyncio.run(main())


def test_only_few_redirects_are_followed() -> None:
    async def main() -> None:
        async with (
            serving(answering(*[moved("/again")] * (MOST_REDIRECTS + 1))) as fake,
            client_of(Names(pictures_test=["127.0.0.1"])) as client,
        ):
            said = await refused(client, f"http://pictures.test:{fake.origin.port}/a")
            assert said == f"it redirects more than {MOST_REDIRECTS} times"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ok(b"x" * 2000), "more than 1000 bytes"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "without an address"),
        (moved("file:///etc/passwd"), "does not begin with https or http"),
        (moved("http://user:pass@pictures.test/"), "no valid address"),
    ],
)
def test_answers_of_no_use(answer: bytes, reason: str) -> None:
    async def main() -> None:
        async with serving(answering(answer)) as fake, client_of(Names(pictures_test=["127.0.0.1"])) as client:
            assert reason in await refused(client, f"http://pictures.test:{fake.origin.port}/a")

    asyncio.run(main())


def test_addresses_without_https_need_permission() -> None:
    async def main() -> None:
        async with client_of(Names()) as client:
            said = await refused(client, "http://pictures.test/a", takes_http=False)
            assert said == "it does not begin with https"
            assert await refused(client, "https://[::1/a") == "it is no valid address"

    asyncio.run(main())


def test_slow_body_ends_with_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "TIMEOUT_S", 0.05)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\x89PNG")
        await peer.drain()
        await asyncio.sleep(3600)

    async def main() -> None:
        async with serving(script) as fake, client_of(Names(pictures_test=["127.0.0.1"])) as client:
            with pytest.raises((FetchError, TimeoutError)):
                await fetch_public(client, f"http://pictures.test:{fake.origin.port}/a", 1000, takes_http=True)

    asyncio.run(main())


def test_network_of_providers_is_not_limited() -> None:
    async def main() -> None:
        async with serving(answering(ok(PNG))) as fake, client_of(Names(inner_test=["127.0.0.1"]), Network()) as client:
            assert await fetch_public(client, f"http://inner.test:{fake.origin.port}/a", 1000, takes_http=True) == PNG

    asyncio.run(main())
