"""Docstrings, messages and docs are plain English, as docs/style.md describes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[2]
MAX_WHAT = 3  # per 1,000 words of docstrings
MAX_WORDS = 30  # nine of ten sentences of a page have no more words than this
HEADLESS = re.compile(
    r"(?:(?:Of|For|From|By|To|In) )?(?:What|Who|Whom|Whose|Whether|Where|Which)\b(?!-)", re.IGNORECASE
)
PUZZLE = re.compile(r"test_(?:what|who|whom|whose|whether|where|which|of|it|they|these|those|this|that|there)_")
WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def packages() -> list[Path]:
    """Return every folder with Python files."""
    return sorted({path.parent for top in ("src", "tests", "bench", "tools") for path in (ROOT / top).rglob("*.py")})


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])


def sentences(text: str) -> list[str]:
    """Split a paragraph at full stops, question marks and colons that end a sentence or a line."""
    return [part for part in re.split(r"(?<=[.!?])[)*_\"]*\s+(?=[^a-z])", " ".join(text.split())) if part]


def is_headless(sentence: str) -> bool:
    """A question may begin with any of these words. So may a name in quotes that is the subject of a sentence."""
    return bool(HEADLESS.match(sentence.lstrip("*_(-| "))) and not sentence.rstrip("*_) ").endswith("?")


def is_puzzle(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    """A test whose name begins with a pronoun, which only the body of the test explains."""
    return isinstance(node, ast.FunctionDef) and bool(PUZZLE.match(node.name))


def literals(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Yield the line and the text of every string, and whether it is a docstring. Placeholders become `{}`."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings: set[int] = set()
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr):
            docstrings.add(id(node.body[0].value))
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, text, False
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value, id(node) in docstrings


def paragraphs(page: str) -> list[str]:
    """The prose of a page of Markdown: no code, no headings, and each cell of a table by itself."""
    page = re.sub(r"^```.*?^```|^    .*?$|<!--.*?-->", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"^[ ]*(?:[-*>]|\d+\.) ", "\n", page, flags=re.MULTILINE)
    page = re.sub(r"^#.*$|^\|[-| ]+\|$", "", page, flags=re.MULTILINE)
    page = re.sub(r"\]\([^)]*\)|(?<!\\)\|", lambda match: "\n\n" if match[0] == "|" else "]", page)
    return [part.strip() for part in page.split("\n\n") if part.strip()]


@pytest.mark.parametrize("package", packages(), ids=name)
def test_docstrings_and_messages_begin_with_a_noun_or_a_verb(package: Path) -> None:
    """In `src` every string of three words or more is taken for a message; elsewhere only docstrings count."""
    in_source = package.is_relative_to(ROOT / "src")
    for path in sorted(package.glob("*.py")):
        for line, text, is_docstring in literals(ast.parse(path.read_text())):
            if is_docstring:
                for paragraph in text.split("\n\n"):
                    for sentence in sentences(paragraph):
                        assert not is_headless(sentence), f"{name(path)}:{line}: {sentence}"
            elif in_source and text.count(" ") > 1:
                for sentence in sentences(text):
                    assert not is_headless(sentence), f"{name(path)}:{line}: {sentence}"


@pytest.mark.parametrize("package", packages(), ids=name)
def test_docstrings_rarely_say_what(package: Path) -> None:
    text = " ".join(
        text
        for path in sorted(package.glob("*.py"))
        for _, text, is_docstring in literals(ast.parse(path.read_text()))
        if is_docstring
    )
    count, words = len(WHAT.findall(text)), len(text.split())
    assert count <= max(1, MAX_WHAT * words / 1000), f"{name(package)}: {count} in {words} words"


@pytest.mark.parametrize("package", packages(), ids=name)
def test_names_of_tests_begin_with_their_subject(package: Path) -> None:
    for path in sorted(package.glob("test_*.py")):
        puzzles = [node.name for node in ast.walk(ast.parse(path.read_text())) if is_puzzle(node)]
        assert not puzzles, f"{name(path)}: {puzzles}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_of_docs_have_a_subject_and_end_soon(page: Path) -> None:
    found = [sentence for part in paragraphs(page.read_text()) for sentence in sentences(part)]
    headless = [sentence for sentence in found if is_headless(sentence)]
    assert not headless, headless
    lengths = sorted((len(sentence.split()), sentence) for sentence in found if len(sentence.split()) > 3)
    ninth = lengths[len(lengths) * 9 // 10]
    assert ninth[0] <= MAX_WORDS, f"{name(page)}: nine of ten sentences have up to {ninth[0]} words: {ninth[1]}"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("What is kept stays here.", True),
        ("whether it may be used", True),
        ("Of which nothing arrived", True),
        ("What happens when a worker dies?", False),
        ("The requests that are kept stay here.", False),
        ("Whole numbers may be fractions.", False),
    ],
)
def test_headless_sentences_are_recognized(sentence: str, expected: bool) -> None:
    assert is_headless(sentence) == expected
