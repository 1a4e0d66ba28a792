"""`python -m pointsman.simulate`: run a simulated provider as a process, and print its base URL."""

import argparse
import asyncio
import signal
import ssl
import sys

import msgspec
import uvloop

from pointsman.simulate.provider import SimulatedProvider
from pointsman.simulate.settings import Settings


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m pointsman.simulate", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 chooses a free port")
    parser.add_argument("--settings", default="{}", help="settings of the provider, as a JSON object")
    parser.add_argument("--tls-cert", help="path of the certificate chain (PEM); enables TLS")
    parser.add_argument("--tls-key", help="path of the private key of the certificate (PEM)")
    parser.add_argument("--until-eof", action="store_true", help="exit when standard input closes")
    arguments = parser.parse_args()
    try:
        settings = msgspec.json.decode(arguments.settings, type=Settings)
        context = None
        if arguments.tls_cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
        provider = SimulatedProvider(settings, port=arguments.port, ssl_context=context)
    except (msgspec.MsgspecError, ValueError) as problem:
        parser.error(str(problem))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(provider, until_eof=arguments.until_eof))


async def _serve(provider: SimulatedProvider, *, until_eof: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), ended.set)
    async with provider:
        sys.stdout.write(provider.base_url + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    main()
