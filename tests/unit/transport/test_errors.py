"""What the transport says when a request came to nothing."""

from pointsman.domain import failures
from pointsman.transport.errors import ConnectError


def test_a_connect_error_says_what_went_wrong_in_words_fit_to_be_passed_on() -> None:
    error = ConnectError(failures.DNS_FAILED, "the name a.test is unknown")
    assert (error.kind, str(error)) == (failures.DNS_FAILED, "the name a.test is unknown")
