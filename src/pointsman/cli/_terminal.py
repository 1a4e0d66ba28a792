"""All that commands print. What clients and providers wrote may hold what a terminal obeys: it is made visible first.

Escape sequences move the cursor, change the title or fill the clipboard; marks that turn the direction of writing show
a line as what it is not. None of them has a place in what a command prints.
"""

import json
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import typer

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, marks of direction, half characters, ends of lines


def visible(text: str) -> str:
    """Text in one line, as it is but for characters that are not seen: these as escapes, such as `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(one) if unicodedata.category(one) in _OBEYED else one for one in text)


def plain(value: str) -> str:
    """The same for a cell of CSV, which no spreadsheet takes for a formula."""
    return visible(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line."""
    typer.echo(visible(line), err=err)


def say_data(data: object) -> None:
    """Print JSON, which is all of ASCII."""
    typer.echo(json.dumps(data, indent=2))


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
        table.add_row(*(Text(visible(cell)) for cell in line))  # as it is: what clients send may look like markup
    console = Console()
    (console if console.is_terminal else Console(width=1000)).print(table)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
