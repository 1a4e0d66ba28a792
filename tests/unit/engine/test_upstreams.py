"""Upstreams have one HTTP client for each network, through reloads."""

import asyncio

import pytest
from msgspec.structs import replace

from fakes.origin import OK, Peer, ask, run, serving
from fakes.routing import endpoint, snapshot
from pointsman.domain.network import Network
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.deadlines import Deadlines

DIRECT = Network()
SLOW = Network(connect_timeout_s=30.0)
ALPHA, BETA = endpoint("alpha"), endpoint("beta")
GAMMA = replace(endpoint("gamma"), network=SLOW)


def upstreams() -> Upstreams:
    loop = asyncio.get_running_loop()
    return Upstreams(loop, Deadlines(loop))


def test_providers_with_the_same_network_share_a_client() -> None:
    async def main() -> None:
        clients = upstreams()
        assert clients.client(ALPHA) is clients.client(ALPHA) is clients.client(BETA)
        assert clients.client(GAMMA) is not clients.client(ALPHA)
        assert set(clients) == {clients.client(ALPHA), clients.client(GAMMA)}
        await clients.close()

    run(main())


def test_reload_keeps_the_clients_in_use() -> None:
    async def main() -> None:
        clients = upstreams()
        direct, slow = clients.client(ALPHA), clients.client(GAMMA)
        # Another endpoint object with equal settings keeps its connections.
        again = replace(endpoint("alpha"), network=Network())
        assert clients.swap(snapshot([again])) == [slow]
        assert clients.client(again) is direct
        assert list(clients) == [direct]
        assert clients.client(GAMMA) is not slow, "a network that is used again gets a new client"
        await clients.close()
        await slow.close()

    run(main())


def test_provider_with_a_changed_network_gets_a_new_client() -> None:
    async def main() -> None:
        clients = upstreams()
        direct = clients.client(ALPHA)
        moved = replace(ALPHA, network=SLOW)
        assert clients.swap(snapshot([moved])) == [direct]
        assert clients.client(moved) is not direct
        await clients.close()
        await direct.close()

    run(main())


def test_retired_client_serves_until_it_is_closed() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(OK)

        clients = upstreams()
        async with serving(script) as fake:
            client = clients.client(ALPHA)
            (retired,) = clients.swap(snapshot([GAMMA]))
            assert retired is client
            assert (await ask(retired, fake.origin)).body == b"ok"
            await retired.close()
        await clients.close()

    run(main())


def test_close_closes_and_forgets_every_client() -> None:
    async def main() -> None:
        clients = upstreams()
        closed = [clients.client(ALPHA), clients.client(GAMMA)]
        await clients.close()
        assert list(clients) == []
        for client in closed:
            with pytest.raises(RuntimeError, match="closed"):
                await ask(client, ALPHA.origin)

    run(main())
