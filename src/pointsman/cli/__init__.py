"""The `pointsman` command: one file per subcommand, each with a function named `command`, or a group of subcommands.

A command imports its dependencies inside the function, so that `pointsman version` does not load a web server.
"""

import os
from collections.abc import Callable
from typing import Any, cast

import typer

from pointsman.registry import members


def build_app() -> typer.Typer:
    """Assemble the subcommands. A command's name is its file's name with dashes for underscores. One at the end is for
    names that Python reserves, such as `import_`."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_no_options)  # otherwise a single command would have no name
    for module, command in members(__name__, "command"):
        name = module.removesuffix("_").replace("_", "-")
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(cast("Callable[..., Any]", command))
    return app


def _no_options() -> None:
    """A self-hosted AI gateway: one address for clients of OpenAI's, Anthropic's and Gemini's APIs, in front of every
    LLM provider."""


def main() -> None:
    """Run the `pointsman` script. Only the current user can read the files that it and the gateway's processes
    create, whatever the umask is."""
    os.umask(0o077)
    build_app()()
