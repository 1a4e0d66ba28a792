"""HTTP messages as the pure half sees them: built and read by providers, carried by the transport."""

from msgspec import Struct

Headers = dict[bytes, bytes]  # names in lower case, in order of arrival; the values of a repeated one joined by ", "


class UpstreamRequest(Struct, frozen=True, gc=False):
    """A request to an origin. `headers` are whole header lines, each ended by CRLF, without Host, Content-Length,
    Transfer-Encoding and Connection, which are the transport's. `is_replayable` allows a second sending on a fresh
    connection when a kept-alive one turns out to be dead before the first byte of an answer.
    """

    method: bytes
    target: bytes
    headers: bytes
    body: bytes
    is_replayable: bool = True
