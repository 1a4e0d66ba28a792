"""The state of deliveries: problems are logged once, and so is their end."""

import logging

import pytest

from pointsman.admin.export.exporter import status_of


def test_first_failure_and_recovery_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = status_of("traces")
    one.fail("status 503")
    one.fail("no connection")
    assert (one.problem, one.failures) == ("no connection", 2)
    one.succeed(5, 0, "")
    assert (one.problem, one.sent, one.rejected) == ("", 5, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "the OpenTelemetry collector takes no traces: status 503" in caplog.text


def test_rejected_items_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    one = status_of("logs")
    for _ in range(2):
        one.succeed(5, 2, "partial success")
    assert (one.sent, one.rejected, one.problem) == (6, 4, "")
    assert caplog.text.count("which are lost: partial success") == 1
