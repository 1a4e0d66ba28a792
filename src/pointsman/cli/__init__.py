"""The `pointsman` command: a file per subcommand, each with a function named `command`.

What a command needs it imports inside the function, so that `pointsman version` does not wait for a web server.
"""

import os
from collections.abc import Callable
from typing import Any, cast

import typer

from pointsman.registry import members


def build_app() -> typer.Typer:
    """Assemble the subcommands; the name of a file, with dashes for underscores, is the name of its command."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_no_options)  # keeps subcommands as such, however few there are
    for module, command in members(__name__, "command"):
        app.command(module.replace("_", "-"))(cast("Callable[..., Any]", command))
    return app


def _no_options() -> None:
    """A self-hosted AI gateway: one OpenAI-compatible address in front of every LLM provider."""


def main() -> None:
    """Entry point of the `pointsman` script. What it writes, and what the processes of a gateway write, is for nobody
    but the user they run as, whatever the umask was."""
    os.umask(0o077)
    build_app()()
