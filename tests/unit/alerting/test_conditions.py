"""Conditions over the facts of subjects."""

import pytest

from fakes.alerts import limit, state
from pointsman.alerting.api import Check
from pointsman.alerting.conditions import VOCABULARIES, CompiledCheck, both, fact_kinds
from pointsman.alerting.subjects import SUBJECTS
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.conditions.references import ConditionError


def check(each: str, when: str) -> CompiledCheck:
    return CompiledCheck(Check(each=each, when=when, text=""))


def test_condition_reads_the_facts_of_a_row() -> None:
    one = check("limit", 'used_percent >= 80 && owner.startsWith("team:")')
    assert [one.holds(limit(percent)) for percent in (79, 80)] == [False, True]
    assert check("state", "workers > 0 && state in ['failed']").holds(state()) is True


def test_unknown_fact_and_failure_have_no_result() -> None:
    assert check("limit", "runs_out_in_s < 10").holds(limit(1, runs_out_in_s=None)) is None
    assert check("state", "1 / (workers - 1) > 0").holds(state()) is None


def test_unknown_name_is_an_error_that_names_near_ones() -> None:
    compiler = Compiler(VOCABULARIES["target"])
    with pytest.raises(ConditionError, match="did you mean 'error_rate'"):
        compiler.check("eror_rate > 0.5", compiler.declare("eror_rate > 0.5", ""))


def test_both_conditions_keep_their_precedence_and_comments() -> None:
    joined = both("false && true // a comment", "false || true")
    assert check("state", joined).holds(state()) is False
    assert (both("a", ""), both("", "b")) == ("a", "b")


def test_every_fact_has_a_type() -> None:
    for subject in SUBJECTS.values():
        assert fact_kinds(subject).keys() == set(subject.facts.__struct_fields__)
