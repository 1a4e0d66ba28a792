"""The check of the running gateway."""

from pathlib import Path
from typing import Any

import pytest

from fakes.examined import examine, subject
from pointsman.doctor.api import Subject

WELL: dict[str, Any] = {
    "workers": [{"draining": False}, {"draining": True}],
    "store": "ok",
    "caught_up_s": 0.1,
    "config_refused": [],
}


def running(folder: Path, **state: Any) -> Subject:
    of = subject(folder)
    assert of.snapshot is not None
    answer = {**WELL, "digest": of.snapshot.digest, **state}
    return subject(folder, is_running=True, ask=lambda path: answer if path == "status" else None)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "runs well, with the configuration of the file"),
        ({"workers": []}, "0 of 1 workers serve"),
        ({"store": "no route to host"}, "the store is away: no route to host"),
        ({"caught_up_s": 9.0}, "the store is 9 s behind the journals"),
        ({"config_refused": ["a: b"]}, "the file on disk is not in force: a: b"),
        ({"digest": "other"}, "the configuration in force is not that of this file and environment"),
    ],
)
def test_state(state: dict[str, Any], text: str, tmp_path: Path) -> None:
    (found,) = examine("gateway", running(tmp_path, **state))
    assert found.text == text


def test_console_that_does_not_answer(tmp_path: Path) -> None:
    def ask(path: str) -> Any:
        raise OSError("connection refused")

    (found,) = examine("gateway", subject(tmp_path, is_running=True, ask=ask))
    assert found.level == "error"


def test_without_a_gateway_or_a_token(tmp_path: Path) -> None:
    assert [examine("gateway", subject(tmp_path, is_running=is_running))[0].level for is_running in (False, True)] == [
        "skipped",
        "skipped",
    ]
