"""Run the gateway."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The configuration. Without one: from the environment."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where clients reach the gateway, instead of server.listen."),
    ] = None,
    console: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where console and admin API are, instead of console.listen."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The folder for journal, store and snapshot, instead of data_dir.")
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT. SIGHUP reads the configuration again and reopens the log;
    SIGUSR2 replaces every process by what is installed now without losing a connection.

    Without a configuration file every known provider whose usual key variable is set is configured, and a virtual
    key is made and printed. The options may also be stated as POINTSMAN_LISTEN, POINTSMAN_CONSOLE_LISTEN and
    POINTSMAN_DATA_DIR.
    """
    import os

    from pointsman.config import overrides
    from pointsman.runtime.start import compile_or_exit, serve

    stated = {overrides.LISTEN: listen, overrides.CONSOLE_LISTEN: console, overrides.DATA_DIR: data_dir}
    os.environ.update({name: str(value) for name, value in stated.items() if value is not None})
    raise typer.Exit(serve(compile_or_exit(config, os.environ), config))
