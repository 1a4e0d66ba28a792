"""Reads the configuration for commands that inspect it without serving it."""

import os
from pathlib import Path

import typer

from pointsman.cli._terminal import print_line
from pointsman.config.compile import Checked, compile_file
from pointsman.config.defaults import compile_default, default_document
from pointsman.config.problems import Problem, render
from pointsman.config.snapshot_file import Compiled


def compiled_or_exit(path: Path | None, *, reads_secrets: bool = True) -> Compiled:
    """Compile the configuration in `path`, or the one `serve` would build from the environment.

    Errors go to standard error and end the process with status 1. Only `pointsman check` prints warnings.
    """
    if path is not None:
        checked = compile_file(path, os.environ, reads_secrets=reads_secrets)
    else:
        default = default_document(os.environ)
        checked = Checked(None, (default,)) if isinstance(default, Problem) else compile_default(default, os.environ)
    if checked.compiled is None:
        errors = [problem for problem in checked.problems if problem.severity == "error"]
        for line in render(errors, str(path or "environment")):
            print_line(line, err=True)
        raise typer.Exit(1)
    return checked.compiled
