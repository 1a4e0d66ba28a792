"""The failures that the transport reports for a request without a complete answer."""

import re

from msgspec import Struct

from pointsman.domain.failures import Kind


class TransportFailure(Struct, frozen=True):
    """The reason that no complete answer arrived. `message` names hosts and causes, never secrets or query strings.
    `was_sent` is true if at least one byte of the request may have reached the provider."""

    kind: Kind
    message: str
    was_sent: bool


class ConnectError(Exception):
    """The reason that a connection could not be opened. Its text is suitable for `TransportFailure.message`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_CODINGS = re.compile(rb"[a-z]{1,12}(?:, ?[a-z]{1,12}){0,3}", re.IGNORECASE)


def safe_value(value: bytes) -> str:
    """Return a header's value for a message if it consists of names of codings, else a substitute."""
    return value.decode("ascii") if _CODINGS.fullmatch(value) else "not a valid name"
