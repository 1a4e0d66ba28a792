"""Warnings of settings of failover that defeat each other."""

import pytest

from fakes.configuration import OPEN, checked, found

PROVIDER = f"{OPEN}providers: {{openai: env.OPENAI_API_KEY}}\n"
CHAT = "models: {chat: {targets: [openai/gpt-4o, openai/gpt-4o-mini], "


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "routing: {max_attempts: 2, failover: {same_target_retries: 1}}",
            "routing.failover.same_target_retries: leaves",
        ),
        ("routing: {failover: {first_token_s: 600}}", "routing.failover.first_token_s: has no effect"),
        (
            "routing: {commit_buffer: 1024, failover: {stream_recovery: buffer}}",
            "routing.failover.stream_recovery: holds",
        ),
        ("routing: {max_attempts: 1, duplicates: hedge}", "routing.duplicates: has no effect"),
        (CHAT + "failover: {same_target_retries: 9}}}", "models.chat.failover.same_target_retries: leaves"),
    ],
)
def test_settings_that_defeat_each_other_are_warnings(text: str, warning: str) -> None:
    problems = found(checked(f"{PROVIDER}{text}\n"), "warning")
    assert any(one.startswith(warning) for one in problems), problems


@pytest.mark.parametrize(
    "text",
    [
        "routing: {failover: {same_target_retries: 1, retry_after_wait_s: 5, first_token_s: 10}}",
        "routing: {failover: {stream_recovery: buffer}, duplicates: hedge}",
    ],
)
def test_usual_settings_are_no_warnings(text: str) -> None:
    assert not found(checked(f"{PROVIDER}{text}\n"), "warning")


def test_settings_that_a_name_inherits_are_reported_once() -> None:
    routing = "routing: {max_attempts: 1, duplicates: hedge}"
    problems = found(checked(f"{PROVIDER}{routing}\n{CHAT}response_model: served}}}}\n"), "warning")
    assert [one.partition(":")[0] for one in problems] == ["routing.duplicates"]


def test_hedging_of_a_single_target_is_a_note() -> None:
    chat = "{targets: [openai/gpt-4o], fallbacks: [openai/gpt-4o-mini], duplicates: hedge}"
    text = f"{PROVIDER}models: {{chat: {chat}}}\n"
    (note,) = [one for one in found(checked(text), "note") if "duplicates" in one]
    assert "a rival needs a second target" in note
