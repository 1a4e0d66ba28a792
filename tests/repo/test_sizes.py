"""No file, function, signature, class or import list grows beyond its bound."""

import ast
from collections.abc import Iterator
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
PACKAGE = ROOT / "src" / "pointsman"
FILES = sorted(path for folder in ("src", "tests", "bench", "tools") for path in (ROOT / folder).rglob("*.py"))


VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def in_any_file(text: str, tree: ast.Module) -> Iterator[str]:
    """Yield the problems of a file: it is long, or a function is, or has many parameters."""
    if text.count("\n") > MAX_FILE:
        yield f"has more than {MAX_FILE} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
            if lines > MAX_FUNCTION:
                yield f"{node.name} has {lines} lines"
            if count > MAX_PARAMETERS and "PLR0913" not in text.splitlines()[node.lineno - 1]:
                yield f"{node.name} has {count} parameters"


def in_source(path: Path, tree: ast.Module) -> Iterator[str]:
    """Yield the problems of a module of the package: its name, docstring, imports, classes and calls."""
    if VAGUE & set(path.stem.strip("_").split("_")):
        yield "has a vague name"
    if not ast.get_docstring(tree):
        yield "has no docstring"
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("pointsman."):
            imported.add(node.module)
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
            if methods > MAX_METHODS:
                yield f"{node.name} has {methods} methods"
        elif isinstance(node, ast.Call) and len(node.args) > MAX_POSITIONAL:
            called = ast.unparse(node.func).rpartition(".")[2]
            if called not in OF_ANY_NUMBER:
                yield f"line {node.lineno}: {called} has {len(node.args)} positional arguments"
    if len(imported) > MAX_INTERNAL_IMPORTS:
        yield f"imports from {len(imported)} modules of ours"


def classes(within: str, tree: ast.Module) -> Iterator[str]:
    """Yield the names of the classes in a module, as far as they must be unique."""
    is_json = within.startswith(("wire/", "providers/"))
    if not within.startswith("simulate/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not (is_json and node.name.startswith("_")):
                yield node.name.lstrip("_")


def test_files_stay_small_and_class_names_unique() -> None:
    """Simulated providers share no code with the gateway, so they may reuse its names. A leading underscore does not
    make names different, except for the shapes of JSON: `wire` and `providers` name them after the API's own words.

    This is one test for all files, as each of thousands of tests would cost more than its check.
    """
    problems: list[str] = []
    places: dict[str, set[str]] = {}
    for path in FILES:
        text = path.read_text()
        tree = ast.parse(text)
        found = list(in_any_file(text, tree))
        if path.is_relative_to(PACKAGE):
            found += in_source(path, tree)
            within = path.relative_to(PACKAGE).as_posix()
            for given in classes(within, tree):
                places.setdefault(given, set()).add(within)
        problems += [f"{path.relative_to(ROOT)}: {problem}" for problem in found]
    problems += [f"{given} is in {sorted(found)}" for given, found in places.items() if len(found) > 1]
    assert not problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n" * 601, "has more than 600 lines"),
        ("def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        ("def f(a, b, c, d, e, f, g, h, *, i): ...\n", "f has 9 parameters"),
        ("f(1, 2, 3, 4, 5, 6)\n", "line 1: f has 6 positional arguments"),
        ("x = 1\n", "has no docstring"),
        ("class A:\n" + "".join(f"    def f{number}(self): ...\n" for number in range(26)), "A has 26 methods"),
        ("".join(f"from pointsman.m{number} import x\n" for number in range(16)), "imports from 16 modules of ours"),
    ],
)
def test_a_problem_is_found(text: str, expected: str) -> None:
    tree = ast.parse(text)
    assert expected in [*in_any_file(text, tree), *in_source(Path("module.py"), tree)]
