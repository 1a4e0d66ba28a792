"""What commands that read a configuration have in common: how its problems are shown, and what stands in for it."""

import os
from collections.abc import Iterable
from pathlib import Path

import typer

from pointsman.config.compile import Checked, Compiled, compile_file
from pointsman.config.defaults import compile_default, default_document
from pointsman.config.problems import Problem


def problem_lines(path: Path | None, problems: Iterable[Problem]) -> list[str]:
    """A line for each problem, as compilers write them, so that editors can jump there."""
    lines: list[str] = []
    for problem in problems:
        place = f"{path or 'environment'}:{problem.line}" if problem.line is not None else f"{path or 'environment'}"
        lines.append(f"{place}: {problem.severity.value}: {problem}")
    return lines


def compiled_or_exit(path: Path | None) -> Compiled:
    """The configuration in `path`, or the one the environment suggests. Warnings go to standard error; errors too,
    and then the process ends with status 1. A virtual key made up on the way is printed there as well: it is shown
    nowhere else."""
    checked = _from_environment() if path is None else compile_file(path, os.environ)
    for line in problem_lines(path, checked.problems):
        typer.echo(line, err=True)
    if checked.compiled is None:
        raise typer.Exit(1)
    return checked.compiled


def _from_environment() -> Checked:
    default = default_document(os.environ)
    if isinstance(default, Problem):
        return Checked(None, (default,))
    checked = compile_default(default, os.environ)
    if checked.compiled is not None:
        names = ", ".join(default.document.providers)
        typer.echo(f"no configuration file: serving {names}, found in the environment", err=True)
        typer.echo(f"virtual key (shown only now): {default.virtual_key}", err=True)
    return checked
