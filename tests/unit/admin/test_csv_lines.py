"""Lines of CSV."""

import csv
import io

import pytest

from pointsman.admin.csv_lines import csv_lines


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_is_no_formula(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_lines([{"a": text}], ["a"]).decode(), newline=""))
    assert row == [f"'{text}"]


def test_cells_are_quoted_and_other_names_left_out() -> None:
    text = csv_lines([{"b": 'x "y"\nz', "a": None, "c": 1}, {"a": -5}], ["a", "b"]).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["", 'x "y"\nz'], ["-5", ""]]
