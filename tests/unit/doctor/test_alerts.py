"""The check of alerts."""

from pathlib import Path
from typing import Any

import pytest

from fakes.examined import CONFIG, examine, subject

CHANNEL = "alerts: {channels: {ops: {type: slack, url: 'https://hooks.example/x'}}}\n"
WELL: dict[str, Any] = {"problem": "", "channels": [{"name": "ops", "problem": ""}]}


@pytest.mark.parametrize(
    ("config", "level", "text"),
    [
        ("", "skipped", "none are configured"),
        ("alerts: {}\n", "warning", "rules have no channel"),
        (CHANNEL, "ok", "rules have channels"),
    ],
)
def test_configuration(config: str, level: str, text: str, tmp_path: Path) -> None:
    (found,) = examine("alerts", subject(tmp_path, CONFIG + config))
    assert found.level == level
    assert text in found.text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (WELL, "no channel has failed"),
        (None, "needs the admin token"),
        ({**WELL, "problem": "alerts cannot be recorded: away"}, "alerts cannot be recorded: away"),
        (
            {**WELL, "channels": [{"name": "ops", "problem": "status 404"}]},
            "the channel ops takes no messages: status 404",
        ),
    ],
)
def test_running_gateway(state: dict[str, Any] | None, text: str, tmp_path: Path) -> None:
    (found,) = examine("alerts", subject(tmp_path, CONFIG + CHANNEL, is_running=True, ask=lambda _: state))
    assert text in found.text


def test_gateway_without_an_answer_is_reported_elsewhere(tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise OSError("refused")

    assert examine("alerts", subject(tmp_path, CONFIG + CHANNEL, is_running=True, ask=fail)) == []
