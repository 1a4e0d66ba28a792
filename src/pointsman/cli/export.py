"""Prints all resources as one document."""

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._resources import print_yaml
from pointsman.cli._terminal import print_json, print_line


def command(
    only_made: Annotated[bool, typer.Option("--only-made", help="Only the resources that were made by API.")] = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print all resources and virtual keys as YAML, in the form of the configuration file: those of the file, and those
    made by API. Of virtual keys made by API, it has the digests of their values.
    Secrets are sealed, so only this gateway can use them. `pointsman apply` reads the output. The admin token comes
    from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import get

    found = get(url, "config/export", {"only_made": "true"} if only_made else {}, token_file)
    if as_json:
        print_json(found["document"])
    else:
        print_yaml(found["document"])
    for note in found["notes"]:
        print_line(f"note: {note}", err=True)
