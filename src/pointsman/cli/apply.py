"""Makes the resources of a gateway be those in a file."""

from pathlib import Path
from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._resources import DryRun, Note, all_of, read_yaml, resolved, tell
from pointsman.cli._terminal import print_line


def command(
    file: Annotated[Path, typer.Argument(help="The YAML file, or `-` for standard input.", show_default=False)],
    note: Note = "",
    dry_run: DryRun = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the resources made by API be those in a file, which has the form of the configuration file: make, change and
    delete, all or none. References in the file, such as `env.OPENAI_API_KEY`, are resolved here. Entries that the
    server's own configuration file has must be equal in both, and stay. The admin token comes from
    POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import post

    document = read_yaml(file)
    if not isinstance(document, dict):
        print_line(f"{file} must be a mapping of sections, such as `providers:`", err=True)
        raise typer.Exit(1)
    providers = document.get("providers")
    if isinstance(providers, dict):
        own = {one["name"] for one in all_of(url, "providers", token_file, {"owner": "file"})}
        document["providers"] = {
            name: spec if name in own else resolved("provider", name, spec) for name, spec in providers.items()
        }
    path = f"config/apply{'?dry_run=true' if dry_run else ''}"
    tell(post(url, path, {"document": document, "note": note}, token_file), as_json)
