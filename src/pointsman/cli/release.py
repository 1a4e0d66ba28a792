"""Ends a hold."""

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line


def command(
    name: Annotated[str, typer.Argument(help="The name of the hold, as `pointsman health` prints it.")],
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """End a hold at once. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import delete

    found = delete(url, "health/holds", {"name": name}, token_file)
    if as_json:
        print_json(found)
    else:
        print_line(f"released {name}")
