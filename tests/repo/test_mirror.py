"""The tests mirror the source, so that the tests of a module are easy to find."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pointsman"
UNIT = ROOT / "tests" / "unit"

# Members of these packages are alike, so one suite tests them all. The tests of the admin API test the answers to its
# inquiries.
BY_SUITE = (
    "alerting/channels",
    "alerting/kinds",
    "control/answers",
    "providers",
    "routing/policies",
    "routing/strategies",
    "wire/api",
)


def modules() -> list[str]:
    """Return the modules that need their own test file.

    Modules with a leading underscore are tested through their users. Modules without behaviour are not tested.
    """
    found: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        module = path.relative_to(SOURCE)
        if not path.name.startswith("_") and module.parent.as_posix() not in BY_SUITE and _does_something(path):
            found.append(module.with_suffix("").as_posix())
    return found


def _does_something(path: Path) -> bool:
    """Return true if any function in it has a body besides a docstring and `...`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(
        not all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in node.body)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions)
    )


def test_every_module_has_its_test_file() -> None:
    paths = [UNIT / Path(module).parent / f"test_{Path(module).name}.py" for module in modules()]
    assert not [path.relative_to(ROOT).as_posix() for path in paths if not path.exists()]


def test_every_folder_of_tests_has_its_package() -> None:
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    assert not [folder for folder in folders if not (SOURCE / folder).is_dir()]


@pytest.mark.parametrize("package", BY_SUITE)
def test_packages_with_a_suite_have_one(package: str) -> None:
    suites = [path.name for path in (ROOT / "tests" / "conformance").glob("test_*.py")]
    assert f"test_{package.rpartition('/')[2]}.py" in suites
