"""The layers point one way and the pure half does no I/O, as pyproject.toml requires."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pointsman"


def test_import_contracts_hold() -> None:
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("package", sorted(path.name for path in SOURCE.iterdir() if path.is_dir()))
def test_private_names_stay_in_their_package(package: str) -> None:
    for path in (SOURCE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("pointsman."):
                continue
            parts = (node.module or "").split(".")[1:]
            if parts[0] != package:
                private = [name for name in (*parts, *(one.name for one in node.names)) if name.startswith("_")]
                assert not private, f"{path.relative_to(SOURCE)} imports {private} of {parts[0]}"
