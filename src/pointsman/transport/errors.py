"""What the transport says when a request came to nothing."""

from msgspec import Struct

from pointsman.domain.failures import Kind


class TransportFailure(Struct, frozen=True):
    """Why no whole answer came. `message` names hosts and causes, never secrets or query strings. `was_sent` says
    that at least one byte of the request may have reached the provider."""

    kind: Kind
    message: str
    was_sent: bool


class ConnectError(Exception):
    """A connection could not be made; `str()` of it is fit for `TransportFailure.message`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def shown(value: bytes) -> str:
    """A header's value as it may stand in a message."""
    return value[:40].decode("ascii", "replace")
