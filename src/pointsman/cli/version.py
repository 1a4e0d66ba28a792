"""Prints the version."""

from pointsman.cli._terminal import say


def command() -> None:
    """Print the version of Pointsman."""
    from pointsman import __version__

    say(f"pointsman {__version__}")
