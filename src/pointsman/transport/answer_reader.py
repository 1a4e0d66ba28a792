"""The framing of a provider's answers. It uses no socket, no clock and no callback: it takes bytes and returns events.

llhttp parses the answers. `AnswerReader` decides if an answer is accepted, at which byte it ends, and if another may
follow on the same connection. `feed` takes a read and returns an event, whose data are in attributes.

llhttp reports each header by a callback. A method would cost a Python call for each of the twenty or so headers of an
answer. So the callback is `setdefault` of a dictionary. That loses the later values of a repeated name. In this case
there are fewer names than lines, and the head is parsed again.
"""

from contextlib import suppress
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pointsman.domain.messages import Headers
from pointsman.transport.decoding import PIECE_BYTES, BodyDecoder, BodyPieces
from pointsman.transport.errors import safe_value
from pointsman.transport.header_names import lower_name

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200
MAX_INTERIM = 10  # informational answers before the final one
MAX_FRAMING_BYTES = 64 * 1024  # of chunk extensions and trailers, since the last byte of body

# The events.
PIECE: Final = "piece"  # a piece from the middle of a plain answer is in `body`
WHOLE: Final = "whole"  # a plain answer has ended; the rest is in `body`, and its head is new if `is_head_new`
PART: Final = "part"  # anything else: a head, some of a `body`, the end of an answer, or a `fault`

_LAST_CHUNK = b"0\r\n\r\n"
_DECODABLE = (b"gzip", b"x-gzip", b"deflate")
_LOST_BY_DECODING = (b"content-encoding", b"content-length")


class AnswerReader:
    """Reads the answers on one connection, one after the other. Set `is_bodiless` for the answer to a HEAD request.

    If there is a `decoder`, the body is taken from it. An answer is plain if it needs no decoder, has a length or is
    chunked, and leaves the connection open.
    """

    __slots__ = (
        "_after_head", "_found", "_framing_bytes", "_head", "_interim", "_is_chunked", "_is_stray", "_is_until_eof",
        "_parser", "_pieces", "_tail", "body", "decoder", "fault", "has_head", "headers", "is_bodiless", "is_done",
        "is_head_new", "is_keep_alive", "is_plain", "is_silent", "on_body", "on_header", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called by the parser without a Python frame, as is `on_header`
        self._found: dict[bytes, bytes] = {}  # the headers, and later the trailers, that the parser has found
        self.on_header = self._found.setdefault
        self._parser = HttpResponseParser(self)
        self.is_bodiless = False
        self.is_silent = True  # no byte of an answer has arrived
        self.has_head = False  # a final head was parsed and accepted
        self.is_head_new = False  # the latest read completed the head
        self.is_done = False  # the answer was parsed to its end
        self.is_keep_alive = False
        self.status = 0
        self.headers: Headers = {}
        self.body = b""
        self._head = b""  # the reads so far, until the head is complete
        self._after_head = 0  # bytes after the head in the read that completed it
        self._expect_anything()

    def _expect_anything(self) -> None:
        """Clear the attributes that only unusual answers change."""
        self.is_plain = True  # the attributes below have their first values
        self.fault: str | None = None
        self.decoder: BodyDecoder | BodyPieces | None = None
        self._is_chunked = False
        self._is_until_eof = False
        self._is_stray = False
        self._framing_bytes = 0
        self._interim = 0
        self._tail = b""  # the latest bytes: at least four, if there were so many

    def reset(self) -> None:
        """Expect another answer."""
        self._pieces.clear()
        self.body = b""
        self.is_silent = True
        self.has_head = False
        self.is_done = False
        if not self.is_plain:
            self._found.clear()  # of trailers
            self._expect_anything()

    def close(self) -> None:
        """Read no more answers."""
        del self._parser  # the parser refers back to this object: without the cycle, both are freed at once

    def feed(self, data: bytes) -> str:
        """Take the bytes of one read. Return an event."""
        had_head = self.has_head
        if not had_head:
            self.is_silent = False
            self._head += data
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.is_plain, self._is_stray = False, True
            if not self.is_done and self.fault is None:
                self.fault = f"the answer is not valid HTTP ({error})"
        if len(data) > PIECE_BYTES and self.decoder is None and self.has_head:
            self.decoder = BodyPieces()
            self.is_plain = False
        pieces = self._pieces
        if had_head and pieces and not (self.fault or self.decoder or self.is_done):
            if len(pieces) == 1:  # nearly always
                self.body = pieces.pop()
            else:
                self.body = b"".join(pieces)
                pieces.clear()
            if self._is_chunked:
                self._tail = data if len(data) >= 4 else (self._tail + data)[-4:]
                self._framing_bytes = 0
            return PIECE
        self.is_head_new = self.has_head and not had_head
        if self.is_done and self.is_plain:
            if len(self.body) != (len(data) if had_head else self._after_head):
                self.is_keep_alive = False
            return WHOLE
        self._read_part(data, had_head)
        return PART

    def end(self) -> bool:
        """Handle a proper end of the connection. Return true if it also ends the answer."""
        if not (self.has_head and self._is_until_eof):
            return False
        self.is_done = True
        self.is_keep_alive = False
        return True

    def how_lost(self, error: Exception | None, *, is_announced: bool) -> str:
        """Describe how the provider ended the connection, as a predicate that follows its name. `is_announced` means
        that the provider sent FIN, and over TLS an alert before it."""
        if error is not None:
            how = "reset the connection"
        elif is_announced:
            how = "closed the connection"
        else:  # uvloop reports a TLS alert and a missing one alike
            how = "ended the TLS connection abruptly"
            if self.is_silent:
                return f"{how} without an answer; it may require a client certificate (client_cert)"
        if self.has_head:
            return f"{how} in the middle of the answer"
        return f"{how} without an answer" if self.is_silent else f"{how} in the middle of the answer's head"

    # The parser's callbacks.

    def on_headers_complete(self) -> None:
        if self.is_done:
            self._is_stray = True
            self.is_plain = False
            return
        if self.fault is not None:
            return
        status: int = self._parser.get_status_code()
        raw, self._head = self._head.lstrip(b"\r\n"), b""  # llhttp ignores empty lines before a head
        end = raw.find(b"\r\n\r\n")
        if status < 200 or status > 599:
            self._take_interim(status, raw, end)
            return
        self._after_head = len(raw) - end - 4
        lines = raw.count(b"\r\n", 0, end)
        found = self._found
        headers = dict(zip(map(lower_name, found), found.values()))  # noqa: B905 -- `strict` doubles the cost
        if len(headers) != lines:
            headers = read_again(raw)
        found.clear()
        if end > MAX_HEAD_BYTES:
            self._reject(f"the answer's head is larger than {MAX_HEAD_BYTES} bytes")
            return
        if lines > MAX_HEADERS:
            self._reject(f"the answer has more than {MAX_HEADERS} headers")
            return
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            self.is_plain = False
            self._is_chunked = True
            if coding.strip().lower() != b"chunked":
                self._reject(f"the answer has an unsupported Transfer-Encoding ({safe_value(coding)})")
                return
        self.status = status
        self.headers = headers
        self.is_keep_alive = self._parser.should_keep_alive()
        if self.is_bodiless:
            # There is no body, even if the head announces one. The parser expects one, so it is not used again.
            self.is_done = True
            self.is_keep_alive = False
        elif not (self.is_keep_alive and self.is_plain) or b"content-encoding" in headers:
            self._settle_framing(status)
        self.has_head = self.fault is None

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_done:
            self.is_done = True
            self.body = b"".join(self._pieces)

    def _take_interim(self, status: int, raw: bytes, end: int) -> None:
        self.is_plain = False
        self._interim += 1
        self._found.clear()
        self._head = raw[end + 4 :].lstrip(b"\r\n")
        if end < 0:
            self.fault = "the answer's head has lines that do not end with CRLF"
        elif status == 101:
            self.fault = "the answer switches protocols (status 101), which is not supported"
        elif status < 100 or status > 599:
            self.fault = f"the answer has the invalid status {status:03}"
        elif self._interim > MAX_INTERIM:
            self.fault = f"the answer follows more than {MAX_INTERIM} interim answers (status 1xx)"

    def _settle_framing(self, status: int) -> None:
        """Find out how a body that is not plain ends, and its encoding."""
        self.is_plain = False
        if status in {204, 304}:
            return
        if not self.is_keep_alive and not self._is_chunked:
            self._is_until_eof = b"content-length" not in self.headers
        value = self.headers.get(b"content-encoding", b"")
        encoding = value.strip().lower()
        if encoding in _DECODABLE:
            self.decoder = BodyDecoder(encoding)
            self.headers = {name: self.headers[name] for name in self.headers if name not in _LOST_BY_DECODING}
        elif encoding not in {b"", b"identity"}:
            self.fault = f"the answer has a Content-Encoding that the request did not allow ({safe_value(value)})"

    def _reject(self, fault: str) -> None:
        self.is_plain = False
        self.fault = fault
        self.has_head = False

    # Answers that are not plain.

    def _read_part(self, data: bytes, had_head: bool) -> None:
        """Take the body's bytes from one read. Bound the size of heads, chunk extensions and trailers."""
        if len(self._head) > MAX_HEAD_BYTES and self.fault is None:
            self._reject(f"the answer's head is larger than {MAX_HEAD_BYTES} bytes")
        if not self.is_done:
            self.body = b"".join(self._pieces)
        self._pieces.clear()
        size = len(self.body)
        if not self.has_head:
            self.is_plain = False
            self.body = b""
        elif self.is_done:
            if not self._ends_cleanly(data, (len(data) if had_head else self._after_head) - size):
                self.is_keep_alive = False
        elif self._is_chunked:
            self._tail = data if len(data) >= 4 else (self._tail + data)[-4:]
            self._framing_bytes = 0 if size else self._framing_bytes + len(data)
            if self._framing_bytes > MAX_FRAMING_BYTES and self.fault is None:
                self.fault = (
                    f"the answer has {MAX_FRAMING_BYTES} bytes of chunk extensions or trailers without a byte of body"
                )
        if self.decoder is not None and self.body:
            self.decoder.feed(self.body)
            self.body = b""

    def _ends_cleanly(self, data: bytes, excess: int) -> bool:
        """Return whether no byte follows the end of the answer in this read. For an answer with a length, `excess`
        bytes follow. llhttp does not report line ends, or the first letters of another answer, after the end."""
        if self._is_stray:
            return False
        if self._is_chunked:
            return (data if len(data) >= len(_LAST_CHUNK) else self._tail + data).endswith(_LAST_CHUNK)
        return excess == 0


def read_again(raw: bytes) -> Headers:
    """Return all headers of the head at the start of `raw`, which llhttp has already accepted."""
    reader = _RepeatedHeaders()
    with suppress(HttpParserError, HttpParserUpgrade):  # an error after the head
        HttpResponseParser(reader).feed_data(raw)
    return reader.headers


class _RepeatedHeaders:
    def __init__(self) -> None:
        self.headers: Headers = {}
        self._is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_complete:  # llhttp reports trailers here as well
            name = name.lower()
            headers = self.headers
            headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        self._is_complete = True
