"""Examines an installation: a file for each check, with a function `check` that returns its findings.

Checks read files, open ports and connections, and ask providers. They change nothing, except that they may open
and close the lock of the data folder.
"""

from pointsman.doctor.api import Check
from pointsman.registry import members


def checks() -> dict[str, Check]:
    """Return all checks by name, with spaces for underscores."""
    return {name.replace("_", " "): check for name, check in members(__name__, "check")}  # type: ignore[misc]
