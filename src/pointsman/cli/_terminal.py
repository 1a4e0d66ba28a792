"""Prints the output of commands. Terminal control characters in texts of clients and providers are escaped.

Escape sequences can move the cursor, change the title or fill the clipboard. Marks of text direction can disguise a
line. Neither belongs in the output of a command.
"""

import json
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import typer

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control characters, direction marks, surrogates, line ends


def visible(text: str) -> str:
    r"""Return the text on one line, with invisible characters as escapes such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(one) if unicodedata.category(one) in _OBEYED else one for one in text)


def plain(value: str) -> str:
    """Make a value visible for a CSV cell, in a form that no spreadsheet takes for a formula."""
    return visible(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line."""
    typer.echo(visible(line), err=err)


def say_data(data: object) -> None:
    """Print JSON in pure ASCII."""
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
        table.add_row(*(Text(visible(cell)) for cell in line))  # no markup: texts may look like it
    console = Console()
    (console if console.is_terminal else Console(width=1000)).print(table)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
