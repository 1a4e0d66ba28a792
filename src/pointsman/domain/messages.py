"""HTTP messages as the pure half sees them: built and read by providers, carried by the transport."""

from msgspec import Struct

Headers = dict[bytes, bytes]  # names in lower case, in order of arrival; the values of a repeated one joined by ", "


class UpstreamRequest(Struct, frozen=True, gc=False):
    """A request to an origin. `headers` are whole header lines, each ended by CRLF, without Host, Content-Length,
    Transfer-Encoding and Connection, which are the transport's. `is_replayable` allows a second sending, as an
    attempt of its own, when a kept-alive connection turns out to be dead before the first byte of an answer;
    `wants_fresh` makes that one travel on a new connection.
    """

    method: bytes
    target: bytes
    headers: bytes
    body: bytes
    is_replayable: bool = True
    wants_fresh: bool = False
