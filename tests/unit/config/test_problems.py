"""Problems are sorted and rendered, and names are suggested."""

from pointsman.config.problems import Findings, Problem, in_order, nearest, render
from pointsman.config.source import parse


def test_findings_are_sorted_by_line() -> None:
    findings = Findings(parse(b"a: 1\nb: 2\n"))
    findings.note(("b",), "second")
    assert not findings.has_errors
    findings.error(("a",), "first")
    assert findings.has_errors
    assert findings.in_order() == (Problem("a", "first", 1), Problem("b", "second", 2, "note"))


def test_problems_inside_and_around_lost_sections_are_dropped() -> None:
    findings = Findings(parse(b"a: {x: {y: 1}, z: 1}\nab: {x: 1}\n"))
    findings.error(("a", "x", "y"), "inside")
    findings.error(("a", "x"), "it")
    findings.error(("a",), "around it")
    findings.error(("a", "z"), "beside")
    findings.error(("ab", "x"), "of a like name")
    findings.warning(("ab",), "advice")
    findings.forget([])
    assert len(findings.in_order()) == 6
    findings.forget([("a", "x")])
    assert [problem.message for problem in findings.in_order()] == ["beside", "of a like name"]


def test_problems_are_rendered_in_the_format_of_compilers() -> None:
    problems = in_order([Problem("a.b", "is wrong", 3, "warning"), Problem("", "cannot be read")])
    assert render(problems, "x.yaml") == ["x.yaml: error: cannot be read", "x.yaml:3: warning: a.b: is wrong"]


def test_nearest_suggests_only_similar_names() -> None:
    assert nearest("Wieght", ["weight", "value"]) == "; did you mean 'weight'?"
    assert nearest("zzz", ["weight", "value"]) == ""
