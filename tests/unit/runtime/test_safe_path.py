"""Python files in the working folder are never imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.runtime.safe_path import exclude_working_folder, python

MODULES = ("multipart", "python_multipart", "alembic", "sqlalchemy", "fastapi", "greenlet", "uvloop", "msgspec", "yaml")
STANDARD = ("json", "logging", "typing", "random", "argparse", "secrets", "sqlite3")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with Python files that create the file `caught` if they are imported."""
    for name in (*MODULES, *STANDARD):
        (tmp_path / f"{name}.py").write_text(f"import os\nos.open({str(tmp_path / 'caught')!r}, os.O_CREAT)\n")
    return tmp_path


def test_only_the_working_folder_is_excluded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for first in ("", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [first, "/elsewhere"])
        exclude_working_folder()
        exclude_working_folder()
        assert sys.path == ["/elsewhere"]


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "pointsman"], python("pointsman"), python("pointsman.simulate")]
)
def test_command_imports_no_file_of_the_working_folder(trap: Path, command: list[str]) -> None:
    done = subprocess.run([*command, "--help"], cwd=trap, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (trap / "caught").exists()


def test_folders_in_pythonpath_are_searched(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('found')\n")
    done = subprocess.run(
        python("mine"), cwd="/", env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.stdout == b"found\n", done.stderr
