"""Rotates the key that seals secrets."""

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import TokenFile, Url
from pointsman.cli._terminal import print_line

command = typer.Typer(
    help="Rotate the key that seals secrets. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@command.callback()
def _no_options() -> None:
    """A single command would have no name otherwise."""


@command.command("rotate")
def rotate(url: Url = URL, token_file: TokenFile = None) -> None:
    """Seal all secrets with a new master key. If the gateway made its key itself, it makes the new one too. If the key
    is in the file of `master_key`, first put the new key in front of the old one there, and remove the old one
    afterwards. Do the same for POINTSMAN_MASTER_KEY, with a restart after each change."""
    from pointsman.cli._admin import post

    found = post(url, "master-key/rotate", {}, token_file)
    print_line(f"{found['sealed']} secrets are sealed with the new key")
