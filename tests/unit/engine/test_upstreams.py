"""One HTTP client for each way out, through reloads."""

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


def test_providers_share_the_client_of_their_way_out() -> None:
    async def main() -> None:
        clients = upstreams()
        assert clients.client(ALPHA) is clients.client(ALPHA) is clients.client(BETA)
        assert clients.client(GAMMA) is not clients.client(ALPHA)
        assert set(clients) == {clients.client(ALPHA), clients.client(GAMMA)}
        await clients.close()

    run(main())


def test_a_reload_keeps_the_clients_that_are_still_used() -> None:
    async def main() -> None:
        clients = upstreams()
        direct, slow = clients.client(ALPHA), clients.client(GAMMA)
        # Another endpoint object with settings that are equal: its warm connections are kept.
        again = replace(endpoint("alpha"), network=Network())
        assert clients.swap(snapshot([again])) == [slow]
        assert clients.client(again) is direct
        assert list(clients) == [direct]
        assert clients.client(GAMMA) is not slow, "a way out that comes back is a new client"
        await clients.close()
        await slow.close()

    run(main())


def test_a_provider_whose_way_out_changes_leaves_its_old_client() -> None:
    async def main() -> None:
        clients = upstreams()
        direct = clients.client(ALPHA)
        moved = replace(ALPHA, network=SLOW)
        assert clients.swap(snapshot([moved])) == [direct]
        assert clients.client(moved) is not direct
        await clients.close()
        await direct.close()

    run(main())


def test_a_retired_client_serves_until_it_is_closed() -> None:
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


def test_closing_closes_every_client_and_forgets_it() -> None:
    async def main() -> None:
        clients = upstreams()
        closed = [clients.client(ALPHA), clients.client(GAMMA)]
        await clients.close()
        assert list(clients) == []
        for client in closed:
            with pytest.raises(RuntimeError, match="closed"):
                await ask(client, ALPHA.origin)

    run(main())
