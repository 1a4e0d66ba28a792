"""Pairs that were labelled from public pages and tables, without a look at the catalog."""

from pathlib import Path

import pytest
from tools.catalog import sheet

from pointsman.catalog.reader import ModelCatalog

SHEETS = sorted(Path(__file__).parent.glob("pairs-*.jsonl"))


@pytest.mark.parametrize("file", SHEETS, ids=lambda file: file.stem)
def test_siblings_are_the_same_model(file: Path) -> None:
    """An independent check allows one wrong pair of 150; undecided ones count as wrong."""
    score = sheet.score(ModelCatalog(sheet.FILE.read_bytes()), sheet.read(file))
    assert score.pairs >= 100
    assert len(score.wrong) <= 1, score.wrong
    assert len(score.missed) <= 2, score.missed
