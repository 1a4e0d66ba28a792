"""The parts of a request that the codecs of all dialects share."""

from pointsman.domain.origin import Secret
from pointsman.providers.api import bearer


def test_key_is_sent_as_bearer_unless_empty() -> None:
    assert bearer(Secret("k")) == b"authorization: Bearer k\r\n"
    assert bearer(Secret("")) == b""
