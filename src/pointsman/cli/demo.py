"""Runs the gateway in front of simulated providers."""

from typing import Annotated

import typer


def command(
    port: Annotated[int, typer.Option(help="The gateway's port on 127.0.0.1.")] = 8080,
    console_port: Annotated[int, typer.Option(help="The console's port on 127.0.0.1.")] = 8081,
    tour: Annotated[bool, typer.Option("--tour", help="Show five features, each with its commands, and exit.")] = False,
) -> None:
    """Run the gateway in front of three simulated providers, one of them flaky. No key and no network are needed."""
    if tour:
        from pointsman.cli._tour import take_tour

        raise typer.Exit(take_tour(port, console_port))
    from pointsman.runtime.demo import run

    raise typer.Exit(run(port, console_port))
