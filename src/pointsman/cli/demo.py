"""The gateway in front of simulated providers."""

from typing import Annotated

import typer


def command(
    port: Annotated[int, typer.Option(help="Where the gateway listens, on 127.0.0.1.")] = 8080,
    console_port: Annotated[int, typer.Option(help="Where its console is, on 127.0.0.1.")] = 8081,
) -> None:
    """Run the gateway in front of two simulated providers, one of them flaky. Needs no key and no network."""
    from pointsman.runtime.demo import run

    raise typer.Exit(run(port, console_port))
