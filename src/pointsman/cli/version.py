"""Prints the version."""

from pointsman.cli._terminal import print_line


def command() -> None:
    """Print the version of Pointsman."""
    from pointsman import __version__

    print_line(f"pointsman {__version__}")
