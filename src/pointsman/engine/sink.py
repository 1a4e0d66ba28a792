"""The place that an answer is written to."""

from typing import Protocol


class Sink(Protocol):
    """An answer is sent whole, or started, written in pieces, and then ended or aborted. `transport.http_exchange` has
    the sink that leads to the client. Others stand before it and change or copy the answer on its way."""

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Give the whole answer. `headers` are lines that each end with CRLF."""

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Begin an answer of `length` bytes, or of as many as there will be."""

    def write(self, data: bytes) -> bool:
        """Take a piece. False: the next ones must wait until the client has caught up."""
        ...

    def end(self) -> None:
        """The answer is complete."""

    def abort(self) -> None:
        """The answer broke off. Its client must not take it for complete."""
