"""Keeps Python files that lie where a process is started from being taken for modules of its own.

Imports nothing that such a file could stand in for.
"""

import os
import sys


def leave_out_working_folder() -> None:
    """Look for no modules in the working folder, where `python -m` looks first. What PYTHONPATH names stays."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 -- see above
        del sys.path[0]


def python(module: str) -> list[str]:
    """The beginning of a command that runs a module of ours, and none from the working folder."""
    return [sys.executable, "-P", "-m", module]
