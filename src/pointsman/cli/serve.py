"""Run the gateway."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The configuration. Without one: from the environment."),
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again, and
    SIGUSR2 replaces every process by what is installed now without losing a connection.

    Without a configuration file every known provider whose usual key variable is set is configured, and a virtual
    key is made and printed.
    """
    import os

    from pointsman.serving import compile_or_exit, serve

    raise typer.Exit(serve(compile_or_exit(config, os.environ), config))
