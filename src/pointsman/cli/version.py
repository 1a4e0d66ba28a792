"""Print the version."""

import typer


def command() -> None:
    """Print the version of Pointsman."""
    from pointsman import __version__

    typer.echo(f"pointsman {__version__}")
