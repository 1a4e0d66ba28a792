"""The parts of a worker are made from its settings."""

from fakes.origin import run
from fakes.workers import GET, configured, connect, posted, working


def test_limits_of_the_configuration_are_in_force() -> None:
    async def main() -> None:
        async with working(configured(server="limits: {body_bytes: 1024, head_bytes: 2048}")) as worker:
            peer = await connect(worker.plane.server.port)
            assert (await peer.ask(posted(b"x" * 1025))).status == 413
            peer.finish()
            peer = await connect(worker.plane.server.port)
            assert (await peer.ask(GET.format("/" + "x" * 2048).encode())).status == 431
            peer.finish()

    run(main())
