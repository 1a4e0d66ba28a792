"""Texts of alerts."""

import pytest

from fakes.alerts import limit, state
from pointsman.alerting.api import Check
from pointsman.alerting.texts import default_text, described, rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [(5.0, "5"), (4.0123, "4.01"), (0.00012345, "0.000123"), (0.0, "0"), (123456.7, "123457"), (None, "unknown")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert (
        described(Check(each="limit", when="", text="{runs_out_in_s} s"), limit(1, runs_out_in_s=value)) == f"{text} s"
    )


def test_braces_of_a_condition_and_of_a_fact_stay() -> None:
    text = default_text("state", 'reason.matches("a{2}")\n', ("provider",))
    assert described(Check(each="state", when="", text=text), state()) == 'provider p: reason.matches("a{2}")'
    assert described(Check(each="state", when="", text="{model}"), state(model="{0}")) == "{0}"


def test_facts_are_rounded() -> None:
    assert rounded({"a": 1 / 3, "b": 7, "c": None, "d": True}) == {"a": 0.333333, "b": 7, "c": None, "d": True}
