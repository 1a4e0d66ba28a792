"""Runs the gateway in front of simulated providers."""

from typing import Annotated

import typer


def command(
    port: Annotated[int, typer.Option(help="The gateway's port on 127.0.0.1.")] = 8080,
    console_port: Annotated[int, typer.Option(help="The console's port on 127.0.0.1.")] = 8081,
) -> None:
    """Run the gateway in front of two simulated providers, one of them flaky. No key and no network are needed."""
    from pointsman.runtime.demo import run

    raise typer.Exit(run(port, console_port))
