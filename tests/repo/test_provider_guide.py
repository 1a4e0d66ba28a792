"""The guide for new providers shows a real one: its files, and the size of the change."""

import re

import pytest

from repo.test_docs import ROOT

GUIDE = (ROOT / "docs" / "guides" / "adding-a-provider.md").read_text()
PROVIDER = (ROOT / "src" / "pointsman" / "providers" / "stepfun.py").read_text()
SAMPLES = (ROOT / "tests" / "conformance" / "test_errors.py").read_text()
ROW, SAMPLE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_example_is_the_file_of_the_provider() -> None:
    assert ROW == PROVIDER
    assert SAMPLE in SAMPLES


def test_size_of_the_change_is_that_of_the_files() -> None:
    found = re.search(r"It took (\d+) lines in the file of the provider and (\d+) lines of samples", GUIDE)
    assert found is not None
    assert [int(count) for count in found.groups()] == [len(ROW.splitlines()), len(SAMPLE.splitlines())]


@pytest.mark.parametrize("column", re.findall(r"^\|.*\? \| (.*) \|$", GUIDE, re.MULTILINE))
def test_columns_of_the_questions_exist(column: str) -> None:
    row = (ROOT / "src" / "pointsman" / "providers" / "_openai_compatible.py").read_text()
    for name in re.findall(r"`([a-z_]+)`", column):
        assert re.search(rf"^    {name}: ", row, re.MULTILINE), name
