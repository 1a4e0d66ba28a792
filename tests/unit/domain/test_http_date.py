"""Dates in HTTP headers."""

import pytest

from pointsman.domain.http_date import http_unix_s


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777.0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784_111_777.0),
        ("soon", None),
        ("", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
    ],
)
def test_date(text: str, at: float | None) -> None:
    assert http_unix_s(text) == at
