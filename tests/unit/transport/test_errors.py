"""The errors of the transport."""

from pointsman.domain import failures
from pointsman.transport.errors import ConnectError


def test_text_of_a_connect_error_is_its_message() -> None:
    error = ConnectError(failures.DNS_FAILED, "the name a.test is unknown")
    assert (error.kind, str(error)) == (failures.DNS_FAILED, "the name a.test is unknown")
