"""No file, function, signature, class or import list grows beyond its bound."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE = 600
MAX_FUNCTION = 70
MAX_PARAMETERS = 8  # as declared, with `self`; the linter allows 7 and requires a reason for more
MAX_METHODS = 25
MAX_INTERNAL_IMPORTS = 15  # modules of the package that one module imports from
MAX_POSITIONAL = 5  # arguments of a call
OF_ANY_NUMBER = {"Table", "create_table", "info", "to_thread"}  # functions that take any number of like arguments
SOURCES = sorted((ROOT / "src" / "pointsman").rglob("*.py"))
FILES = sorted(path for folder in ("src", "tests", "bench", "tools") for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE, f"{name(path)} has more than {MAX_FILE} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION, f"{name(path)}: {node.name} has {lines} lines"
            count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
            assert count <= MAX_PARAMETERS or "PLR0913" in text.splitlines()[node.lineno - 1], (
                f"{name(path)}: {node.name} has {count} parameters"
            )


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_module_has_a_vague_name(path: Path) -> None:
    words = set(path.stem.strip("_").split("_"))
    assert not words & {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_classes_and_imports_stay_few(path: Path) -> None:
    tree, within = ast.parse(path.read_text()), path.relative_to(ROOT / "src" / "pointsman").as_posix()
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    count = sum(module is not None and module.startswith("pointsman.") for module in imported)
    assert count <= MAX_INTERNAL_IMPORTS, f"{within} imports from {count} modules of ours"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
            assert methods <= MAX_METHODS, f"{within}: {node.name} has {methods} methods"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_calls_name_their_arguments(path: Path) -> None:
    within = path.relative_to(ROOT / "src" / "pointsman").as_posix()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and len(node.args) > MAX_POSITIONAL:
            called = ast.unparse(node.func).rpartition(".")[2]
            assert called in OF_ANY_NUMBER, (
                f"{within}:{node.lineno}: {called} has {len(node.args)} positional arguments"
            )


def test_class_names_are_unique() -> None:
    """Simulated providers share no code with the gateway, so they may reuse its names. A leading underscore does not
    make names different, except for the shapes of JSON: `wire` and `providers` name them after the API's own words."""
    places: dict[str, set[str]] = {}
    for path in SOURCES:
        within = path.relative_to(ROOT / "src" / "pointsman").as_posix()
        is_json = within.startswith(("wire/", "providers/"))
        if not within.startswith("simulate/"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not (is_json and node.name.startswith("_")):
                    places.setdefault(node.name.lstrip("_"), set()).add(within)
    double = {given: sorted(found) for given, found in places.items() if len(found) > 1}
    assert not double, double
