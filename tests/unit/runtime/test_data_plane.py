"""The parts of a worker follow its settings."""

from fakes.origin import run
from fakes.workers import GET, chat_request, configured, connect, running_worker


def test_configured_limits_apply_to_requests() -> None:
    async def main() -> None:
        async with running_worker(configured(server="limits: {body_bytes: 1024, head_bytes: 2048}")) as worker:
            peer = await connect(worker.plane.server.port)
            assert (await peer.ask(chat_request(b"x" * 1025))).status == 413
            peer.finish()
            peer = await connect(worker.plane.server.port)
            assert (await peer.ask(GET.format("/" + "x" * 2048).encode())).status == 431
            peer.finish()

    run(main())
