"""Each routing feature has a golden file: a configuration, requests, and their explanations."""

from pathlib import Path

import pytest

from golden.explanations import files, with_explanations

FEATURES = {
    "budgets", "capabilities", "cheapest", "class_fallbacks", "context_windows", "duplicates", "failover", "pacing",
    "requirements", "rules", "sticky", "translation", "weights",
}  # fmt: skip


def test_every_feature_has_a_file() -> None:
    assert {path.stem for path in files()} == FEATURES


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_explanations_are_those_of_the_file(path: Path) -> None:
    """After an intended change, `python -m tests.golden.explanations` writes the files anew."""
    assert with_explanations(path.read_text()) == path.read_text()
