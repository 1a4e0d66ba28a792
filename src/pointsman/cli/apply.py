"""Makes the resources of a gateway be those in a file."""

from pathlib import Path
from typing import Annotated, Any

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
    server's own configuration file has must be equal in both, and stay. Virtual keys are made and changed, but never
    deleted; only digests of their values are sent. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
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
    governance = document.get("governance")
    if isinstance(governance, dict) and isinstance(governance.get("virtual_keys"), dict):
        governance["virtual_keys"] = _digested(governance["virtual_keys"], url, token_file)
    path = f"config/apply{'?dry_run=true' if dry_run else ''}"
    tell(post(url, path, {"document": document, "note": note}, token_file), as_json)


def _digested(keys: dict[str, Any], url: str, token_file: Path | None) -> dict[str, Any]:
    """Return virtual keys with digests instead of references, except those of the server's file. Exit with a message
    if a reference cannot be resolved."""
    from hashlib import sha256

    from pointsman.cli._resources import resolve_text

    full = {name: entry if isinstance(entry, dict) else {"value": entry} for name, entry in keys.items()}
    references = {
        name: entry
        for name, entry in full.items()
        if isinstance(entry.get("value"), str) and entry["value"].startswith(("env.", "file:"))
    }
    own = _keys_of_file(url, token_file) if references else set[str]()
    for name, entry in references.items():
        if name not in own:
            value = resolve_text(entry["value"], f"virtual_key {name}: value")
            full[name] = {**entry, "value": f"sha256:{sha256(value.encode()).hexdigest()}"}
    return {name: keys[name] if name in own else entry for name, entry in full.items()}


def _keys_of_file(url: str, token_file: Path | None) -> set[str]:
    from pointsman.cli._admin import get

    found, after = set[str](), None
    while True:
        page = get(url, "keys", {"managed_by": "file", "limit": 1000, "after": after}, token_file)
        found |= {one["name"] for one in page["keys"]}
        after = page.get("next")
        if after is None:
            return found
