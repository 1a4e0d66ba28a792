"""The interface that an answer is written to."""

from typing import Protocol


class Sink(Protocol):
    """An answer is sent whole, or started, written in pieces, and then ended or aborted. The sink in
    `transport.http_exchange` leads to the client. Other sinks write to another sink, and change or copy the answer."""

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Send the whole answer. `headers` are lines that each end with CRLF."""

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Begin an answer of `length` bytes, or of unknown length."""

    def write(self, data: bytes) -> bool:
        """Write a piece. Return false if the next piece must wait until the client has caught up."""
        ...

    def end(self) -> None:
        """Complete the answer."""

    def abort(self) -> None:
        """Abort the answer, so that its client does not take it for complete."""
