"""The documentation mentions every command and example, and its links work."""

import re
from pathlib import Path

import pytest

from pointsman.registry import members

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
COMMANDS = [name.removesuffix("_").replace("_", "-") for name, _ in members("pointsman.cli", "command")]
# A file in backticks, by its path from the root of the repository, of the package, or of the page.
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|json|md|yaml))`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(command: str) -> None:
    by_hand = [page for page in PAGES if "reference" not in page.parts]
    assert any(f"pointsman {command}" in page.read_text() for page in by_hand)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} points at {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_files_exist(page: Path) -> None:
    for name in FILE.findall(page.read_text()):
        folders = (ROOT, ROOT / "src" / "pointsman", page.parent)
        assert any((folder / name).is_file() for folder in folders), f"{page.relative_to(ROOT)} names {name}"


def test_every_example_is_mentioned() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for example in sorted((ROOT / "examples").glob("*.yaml")):
        assert f"examples/{example.name}" in text
