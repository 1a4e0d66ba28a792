"""Values of facts for the log, and the steps of a trace."""

from pointsman.domain.rules import MAX_SHOWN, RuleStep, RuleTrace, shown


def test_values_are_shown_as_in_a_condition() -> None:
    assert [shown(value) for value in ("premium", True, False, 80.0, -1, 0.5)] == [
        "premium",
        "true",
        "false",
        "80",
        "-1",
        "0.5",
    ]
    long = shown("x" * (MAX_SHOWN + 1))
    assert long == f"{'x' * MAX_SHOWN}… ({MAX_SHOWN + 1} characters)", "a cut is visible"


def test_steps_have_the_result_of_each_rule() -> None:
    unknown = RuleStep("b", "unknown", "user is unknown")
    trace = RuleTrace(("c",), ("a", "b", "c"), {}, {}, (unknown,))
    assert trace.steps() == [RuleStep("a", "no match"), unknown, RuleStep("c", "matched")]
