"""Conditions are checked with the names of the configuration. `test_rules.py` has the messages of every fault."""

import pytest

from pointsman.config.conditions import ConditionChecker
from pointsman.config.problems import Findings
from pointsman.config.source import parse


def checker() -> tuple[ConditionChecker, Findings]:
    findings = Findings(parse(b"a: 1"))
    return ConditionChecker(findings, ("x-key",), ("openai",)), findings


def test_constant_conditions_have_a_value() -> None:
    conditions, findings = checker()
    assert [conditions.check(text, "r", ()) for text in ("", " true ", "1 == 2", "stream")] == [True, True, False, None]
    assert not findings.has_errors


def test_headers_of_conditions_and_facts_are_collected() -> None:
    conditions, _ = checker()
    conditions.check("headers['X-Tier'] == 'a'", "r", ())
    assert conditions.fact("headers.x-other", ()) == 'headers["x-other"]'
    assert list(conditions.headers) == ["x-tier", "x-other"]


@pytest.mark.parametrize("text", ["headers['x-key'] == ''", "health.opnai == 'failed'", "nothing"])
def test_faults_are_findings(text: str) -> None:
    conditions, findings = checker()
    assert conditions.check(text, "r", ()) is None
    assert findings.has_errors
