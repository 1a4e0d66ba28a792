"""Runs the gateway."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="The configuration file. Default: built from the environment."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The address for clients, instead of server.listen."),
    ] = None,
    console: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The address of the console and admin API, instead of console.listen."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The folder for the journal, store and snapshot, instead of data_dir.")
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT. SIGHUP reloads the configuration and reopens the log. SIGUSR2 upgrades
    every process to the installed version without losing a connection.

    Without a configuration file, the gateway configures every known provider whose usual key variable is set, and
    prints a new virtual key. The variables POINTSMAN_LISTEN, POINTSMAN_CONSOLE_LISTEN and POINTSMAN_DATA_DIR set
    --listen, --console and --data-dir.
    """
    import os

    from pointsman.config import overrides
    from pointsman.runtime.start import serve, start_or_exit

    options = {overrides.LISTEN: listen, overrides.CONSOLE_LISTEN: console, overrides.DATA_DIR: data_dir}
    os.environ.update({name: str(value) for name, value in options.items() if value is not None})
    raise typer.Exit(serve(start_or_exit(config, os.environ), config))
