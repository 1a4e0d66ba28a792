"""`pointsman version`."""

import subprocess
import sys

from pointsman import __version__


def test_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "pointsman", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pointsman {__version__}\n"


def test_version_imports_nothing_heavy() -> None:
    script = "import sys; from pointsman.cli import build_app; build_app(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"uvloop", "pydantic", "watchfiles", "pointsman.config.compile"} & set(done.stdout.split())
