"""HTTP messages without I/O: providers build and read them, the transport carries them."""

from msgspec import Struct

Headers = dict[bytes, bytes]  # names in lower case, in order of arrival; the values of a repeated one joined by ", "


class UpstreamRequest(Struct, frozen=True, gc=False):
    """A request to an origin. `headers` are whole header lines, each ended by CRLF. Host, Content-Length,
    Transfer-Encoding and Connection are left to the transport. `is_replayable` allows a second sending, as an attempt
    of its own, if a kept-alive connection fails before the first byte of an answer. `wants_fresh` sends that attempt on
    a new connection. `dropped` are the fields of the client's request that the provider's dialect does not have.
    """

    method: bytes
    target: bytes
    headers: bytes
    body: bytes
    is_replayable: bool = True
    wants_fresh: bool = False
    dropped: tuple[str, ...] = ()
