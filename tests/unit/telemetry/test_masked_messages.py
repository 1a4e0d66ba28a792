"""Messages of the processes have no keys."""

import logging
import sys

from pointsman.telemetry.masked_messages import MaskingFormatter


def test_messages_and_tracebacks_are_masked() -> None:
    formatter = MaskingFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError("cannot connect to postgresql://me:canary@host/db with sk-canary-0123456789")  # noqa: TRY301
    except ValueError:
        record = logging.LogRecord(
            "a", logging.ERROR, "", 1, "key %s, %s", ("sk-canary-0123456789", "{1}"), sys.exc_info()
        )
    text = formatter.format(record)
    assert "canary" not in text
    assert "key [secret], {1}" in text
    assert "ValueError: cannot connect to postgresql://[secret]@host/db with [secret]" in text


def test_common_messages_are_left_alone() -> None:
    text = "cannot load the admin token: POINTSMAN_ADMIN_TOKEN is short; see http://127.0.0.1:8081/"
    record = logging.LogRecord("a", logging.INFO, "", 1, text, (), None)
    assert MaskingFormatter("%(message)s").format(record) == text
