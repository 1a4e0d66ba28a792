"""Calls the admin API of a running gateway."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
URL = "http://127.0.0.1:8081"


def ask(url: str, path: str, parameters: dict[str, Any], token_file: Path | None) -> Any:
    """The answer to a GET as data. Leaves the process with a message when there is none."""
    query = urlencode({name: value for name, value in parameters.items() if value not in (None, [])}, doseq=True)
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("begins with http:// or https://", param_hint="--url")
    request = Request(  # noqa: S310 -- the scheme was looked at
        f"{url.rstrip('/')}/api/v1/{path}?{query}", headers={"authorization": f"Bearer {_token(token_file)}"}
    )
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 -- the scheme was looked at
            return json.load(answer)
    except ValueError:
        typer.echo(f"{url} answers what is no JSON; is it the console's address?", err=True)
    except HTTPError as error:
        try:
            said = json.load(error)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = error.reason
        typer.echo(f"{url} answers {error.code}: {said}", err=True)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or reason
        typer.echo(f"{url} cannot be reached: {said}; is the gateway running?", err=True)
    raise typer.Exit(1)


def print_table(names: Sequence[str], lines: Iterable[Sequence[str]], numbers: Collection[str] = ()) -> None:
    """Print as wide as the terminal; elsewhere, as wide as it takes. The columns `numbers` are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))  # as it is: what clients send may look like markup
    console = Console()
    (console if console.is_terminal else Console(width=1000)).print(table)


def dollars(nano: int) -> str:
    """Nano-dollars as dollars, exact, with no more digits than it takes but cents."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    rest = f"{nano % 1_000_000_000:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${nano // 1_000_000_000:,}.{rest}"


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--token-file") from None
    token = os.environ.get(VARIABLE)
    if not token:
        raise typer.BadParameter(f"set {VARIABLE} to the admin token, or name a file that holds it with --token-file")
    return token
