"""Prints the output of commands. Characters that a terminal interprets are escaped, because clients and providers
choose some of the text.

Escape sequences can move the cursor, change the title or fill the clipboard. Marks of text direction can disguise a
line.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

_INTERPRETED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control characters, direction marks, surrogates, line ends


def visible(text: str) -> str:
    r"""Return the text on one line, with invisible characters as escapes such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(character) if unicodedata.category(character) in _INTERPRETED else character for character in text
    )


def plain(value: str) -> str:
    """Return a value for a CSV cell, on one line, in a form that no spreadsheet evaluates as a formula."""
    return visible(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)


def print_line(line: str = "", *, err: bool = False) -> None:
    """Print one line."""
    typer.echo(visible(line), err=err)


def print_row(row: str) -> None:
    """Print a row of an export with its line end: unchanged to a file or a pipe, and `visible` at a terminal."""
    typer.echo(f"{visible(row.rstrip())}\n" if sys.stdout.isatty() else row, nl=False)


def print_json(data: object) -> None:
    """Print JSON in ASCII."""
    typer.echo(json.dumps(data, indent=2))


def print_table(names: Sequence[str], lines: Iterable[Sequence[str]], numbers: Collection[str] = ()) -> None:
    """Print a table at the terminal's width, or at full width elsewhere. The columns `numbers` are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(visible(cell)) for cell in line))  # `Text` does not interpret square brackets as markup
    console = Console()
    (console if console.is_terminal else Console(width=1000)).print(table)


def show(page: Callable[[], RenderableType], *, once: bool) -> None:
    """Show one page after another on the whole screen, until Ctrl-C. Print a single one if `once`, or elsewhere than at
    a terminal. The text of pages must be `visible`."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if once or not console.is_terminal:
        console.print(page())
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(page(), refresh=True)
    except KeyboardInterrupt:
        return


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
