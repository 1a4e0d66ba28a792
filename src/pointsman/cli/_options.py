"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", help="The address of the console.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="A file with the admin token.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoSecrets = Annotated[
    bool,
    typer.Option(
        "--no-secrets",
        help="Do not read secrets and certificates; use placeholders instead. Useful in CI, where they are missing.",
    ),
]
