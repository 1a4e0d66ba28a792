"""Prevents the import of Python files in the working folder as modules of the gateway.

This module imports no module that such a file could replace.
"""

import os
import sys


def exclude_working_folder() -> None:
    """Remove the working folder from the module search path, where `python -m` puts it first. Entries of
    PYTHONPATH stay."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 -- see above
        del sys.path[0]


def python(module: str) -> list[str]:
    """Return the beginning of a command that runs a module of the gateway, never of the working folder."""
    return [sys.executable, "-P", "-m", module]
