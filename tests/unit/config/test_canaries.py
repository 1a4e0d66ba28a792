"""Guards of canaries."""

from fakes.configuration import OPEN, compiled, errors
from pointsman.domain.targets import Arm, Guard

HEAD = (
    OPEN
    + """
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
models:
  chat:
    strategy: weighted
    targets:
"""
)


def targets(*lines: str) -> str:
    return HEAD + "".join(f"      - {line}\n" for line in lines)


TRIAL = "{model: groq/b, weight: 10, variant: trial, canary: {abort_if: {error_rate_above_control: 0.05}}}"


def test_canary_and_control_become_arms() -> None:
    settings = "{abort_if: {ttft_ratio_to_control: 1.5}, min_requests: 100, resume_after_s: 600}"
    text = targets("{model: openai/a, weight: 90, variant: control}", f"{{model: groq/b, canary: {settings}}}")
    control, trial = compiled(text).snapshot.models["chat"].targets
    assert control.arm == Arm("chat", "openai/a", "control", 90.0)
    assert trial.arm == Arm("chat", "groq/b", "", 1.0, Guard(None, 1.5, 100, 600.0))


def test_targets_without_a_canary_have_no_arm() -> None:
    assert [item.arm for item in compiled(targets("openai/a", "groq/b")).snapshot.models["chat"].targets] == [
        None,
        None,
    ]


def test_canary_needs_a_control_with_a_weight() -> None:
    expected = "a canary has no control to compare it with; add a target without `canary` and with a weight above 0"
    for text in (targets(TRIAL), targets(TRIAL, "{model: openai/a, weight: 0}")):
        assert [expected in one for one in errors(text)] == [True]


def test_canary_needs_a_bound() -> None:
    text = targets("openai/a", "{model: groq/b, canary: {abort_if: {}}}")
    (message,) = errors(text)
    assert "sets no bound; set error_rate_above_control, ttft_ratio_to_control, or both" in message
