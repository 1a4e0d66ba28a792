"""Dates in HTTP headers. https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache


@lru_cache(maxsize=256)  # the dates of answers repeat within a second
def http_unix_s(text: str) -> float | None:
    """Return the time of an HTTP date in Unix seconds, `None` if it is invalid. One without a zone is in UTC."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
