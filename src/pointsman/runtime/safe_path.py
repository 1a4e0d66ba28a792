"""Keeps Python files in the working folder from being imported as modules of the gateway.

Imports no module that such a file could replace.
"""

import os
import sys


def leave_out_working_folder() -> None:
    """Remove the working folder from the module search path, where `python -m` puts it first. PYTHONPATH stays."""
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 -- see above
        del sys.path[0]


def python(module: str) -> list[str]:
    """Return the beginning of a command that runs a module of the gateway, never a file of the working folder."""
    return [sys.executable, "-P", "-m", module]
