"""CI's script runs failed tests once more, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MAKE = """#!/bin/sh
echo "$1 $3" >> "$CALLS"
[ "$1" = test ] || exit 0
echo "$PYTEST_CODE" > "${2#STATUS=}"
[ "$PYTEST_CODE" = 0 ] || exit 2
"""


@pytest.mark.parametrize(
    ("code", "expected", "calls"),
    [
        (0, 0, ["check", "test", "test-slice"]),
        (1, 0, ["check", "test", "test-failed", "test-slice"]),
        *[(code, 1, ["check", "test"]) for code in (2, 3, 4, 5)],
    ],
)
def test_only_failed_tests_run_again(tmp_path: Path, code: int, expected: int, calls: list[str]) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((REPOSITORY / ".ci" / "run").read_text())
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("make", "chromium", "nginx", "caddy", "ip"):
        (programs / name).write_text(MAKE if name == "make" else "")
        (programs / name).chmod(0o755)
    found = subprocess.run(
        ["bash", tmp_path / ".ci" / "run"],
        env={
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"),
            "PYTEST_CODE": str(code),
        },
        check=False,
    )  # fmt: skip
    assert found.returncode == expected
    assert [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()] == calls


def options(target: str, *given: str) -> str:
    """Return the command of a target that runs pytest."""
    outer = ("MAKE", "STATUS", "AFTER")  # of the make that runs the tests
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    done = subprocess.run(
        ["make", "--dry-run", target, *given],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return next(line for line in done.stdout.splitlines() if "-m pytest" in line)


@pytest.mark.parametrize("target", ["test", "test-slice"])
def test_rerun_has_the_marks_and_the_profile_of_the_first_run(target: str) -> None:
    first, again = options(target).split(), options("test-failed", f"AFTER={target}").split()
    assert "--last-failed" in again
    own = {"-n", "2", "--slice", "30"}
    assert [word for word in first if word not in own] == again[: again.index("--last-failed")]
    assert ("--hypothesis-profile" in again) is (target == "test-slice")


def test_exit_code_of_pytest_is_written_on_request() -> None:
    assert options("test", "STATUS=file").endswith("; code=$?; echo $code > file; exit $code")
    assert "code" not in options("test")
