"""Request heads: what may pass, what is kept of them, and the memo that spares parsing the same head again.

`parse` lets llhttp judge the syntax of one complete head and decides the framing itself, from the headers llhttp
reported: a fixed length, `CHUNKED`, or nothing at all. The parser never sees a body, so nothing that llhttp does
after a head (skipping the body behind `Upgrade`, trailers reported as headers, pipelined requests that cannot be
paused) can reach a request.

**The memo.** A client on a kept-alive connection sends the same head again and again but for the digits of
Content-Length. `HeadMemo` keeps heads under their bytes *without those digits*, and a hit runs no parser. Why that
accepts nothing `parse` would refuse:

- A head is kept only after `parse` accepted it, and only when the digits that were cut out are the whole value of its
  Content-Length: what stands before them ends with `\\r\\ncontent-length: ` (in any case) and CRLF follows.
- The cut is where the first `ength: ` of the head ends. That place is the same for the kept head and for the one
  looked up: if two heads have the same bytes without their digits but were cut at different places, the one cut
  later would hold the other's `ength: ` earlier still, and so would have been cut there.
- So the two differ in the digits alone, and 1 to 15 digits are all that llhttp and `parse` ask of that value
  (no sign, no space, no overflow below 2**64). What the number is decides nothing about the head; limits on it are
  checked for every request.
- A head without `ength: ` is kept only if it has no Content-Length, under all of its bytes.
- Heads with Transfer-Encoding or Expect are never kept: they take the long way. `Upgrade` needs no exception, since
  the framing here never depends on it.

A head is kept at its second sighting. Heads that never come again (a trace id in each) cost the memo a number, and
cannot push out the ones that do.
"""

import re
from enum import Enum

import httptools
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind, Refusal

CHUNKED = -1  # stands for a body length that is not known beforehand

EXPECTATION_FAILED = Kind("expectation_failed", 417, "invalid_request_error", Fault.REQUEST)

_VERSIONS = {b"HTTP/1.1": True, b"HTTP/1.0": False}
_LENGTH_DIGITS = 15
_MEMO_HEADS = 2048
_MEMO_HEAD_BYTES = 4096
_MEMO_SEEN = 8192


class BodyMode(Enum):
    """How a handler wants a request body."""

    BUFFER = "buffer"  # whole, before `handle` is called
    STREAM = "stream"  # `handle` is called right after the head and reads the body itself


class Head(Struct, eq=False):
    """A request head. Requests with the same head share one object: only `mode` and `derived` ever change.

    `target` is the request target as sent; `path` and `query` are its two parts, not decoded and not normalised.
    `headers` has names in lower case, without Content-Length (see `Exchange.body_length`); the values of a repeated
    header are joined by `, `. `keep_alive` says that the client will use the connection again.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    is_http11: bool
    keep_alive: bool
    expects_continue: bool
    mode: BodyMode | None = None  # what the handler's `accept` said of this head
    derived: object = None  # the handler's own: whatever it worked out from this head alone


class _HeadReader:
    """Receives llhttp's callbacks for one head."""

    __slots__ = ("_header_count", "completed", "headers", "hosts", "overrun", "too_many")

    def __init__(self, header_count: int) -> None:
        self._header_count = header_count
        self.headers: dict[bytes, bytes] = {}
        self.hosts = 0
        self.completed = False
        self.overrun = False
        self.too_many = False

    def on_url(self, _part: bytes) -> None:
        # A second request line inside the bytes of one head: llhttp and we disagree about where the head ends.
        self.overrun |= self.completed

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self.headers
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"host":
            self.hosts += 1
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value
        self._header_count -= 1
        if self._header_count < 0:
            self.too_many = True
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        self.overrun |= self.completed
        self.completed = True

    def on_body(self, _part: bytes) -> None:
        self.overrun = True

    def on_chunk_header(self) -> None:
        self.overrun = True


def _bad(message: str, kind: Kind = failures.INVALID_REQUEST) -> Refusal:
    return Refusal(Failure(kind, message))


def _read_syntax(raw: bytes, header_count: int) -> _HeadReader:
    """Have llhttp read the head; raises `Refusal` unless `raw` is one complete head and nothing more."""
    reader = _HeadReader(header_count)
    try:
        httptools.HttpRequestParser(reader).feed_data(raw)
    except httptools.HttpParserUpgrade as upgrade:
        reader.overrun |= upgrade.args[0] != len(raw)
    except httptools.HttpParserError as error:
        if reader.too_many:
            raise _bad(f"more than {header_count} headers", failures.HEADERS_TOO_LARGE) from error
        raise _bad(f"malformed HTTP request: {error}") from error
    if reader.overrun or not reader.completed:
        raise _bad("malformed HTTP request head")
    return reader


def _body_length(headers: dict[bytes, bytes], is_http11: bool) -> int:
    """The length of the body, or `CHUNKED`. Takes Content-Length out of `headers`."""
    announced = headers.pop(b"content-length", None)
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        if announced is not None:
            raise _bad("both Content-Length and Transfer-Encoding")
        if not is_http11:
            raise _bad("Transfer-Encoding in an HTTP/1.0 request")
        if coding.lower() != b"chunked":
            raise _bad("the only transfer coding supported is chunked", failures.UNSUPPORTED_OPERATION)
        return CHUNKED
    if announced is None:
        return 0
    if not announced.isdigit() or len(announced) > _LENGTH_DIGITS:
        raise _bad("malformed Content-Length")
    return int(announced)


def parse(raw: bytes, header_count: int) -> tuple[Head, int]:
    """Read `raw`, a request head up to and with its empty line. Returns it with the body's length or `CHUNKED`.

    Raises `Refusal` for whatever is malformed, ambiguous, or unsupported.
    """
    request_line = raw[: raw.index(b"\r\n")].split(b" ")
    reader = _read_syntax(raw, header_count)
    if len(request_line) != 3 or request_line[2] not in _VERSIONS:
        raise _bad("the request line is not that of HTTP/1.1 or HTTP/1.0")
    method, target, version = request_line
    is_http11 = _VERSIONS[version]
    if method == b"CONNECT":
        raise _bad("CONNECT is not supported", failures.METHOD_NOT_ALLOWED)
    if not target.startswith(b"/") or b"#" in target:
        raise _bad("the request target is not a path")
    if reader.hosts != 1 and (is_http11 or reader.hosts):
        raise _bad("there must be one Host header")
    headers = reader.headers
    length = _body_length(headers, is_http11)
    expectation = headers.get(b"expect") if is_http11 else None
    if expectation is not None and expectation.lower() != b"100-continue":
        raise _bad("unknown expectation", EXPECTATION_FAILED)
    connection = headers.get(b"connection")
    keep_alive = is_http11 and (
        connection is None or b"close" not in [token.strip() for token in connection.lower().split(b",")]
    )
    path, _, query = target.partition(b"?")
    return Head(method, target, path, query, headers, is_http11, keep_alive, expectation is not None), length


class HeadMemo:
    """The heads read lately, by their bytes without the digits of Content-Length. See the module's docstring."""

    __slots__ = ("_bare", "_header_count", "_heads", "_seen")

    def __init__(self, header_count: int) -> None:
        self._header_count = header_count
        self._heads: dict[bytes, Head] = {}  # heads with a Content-Length
        self._bare: dict[bytes, Head] = {}  # heads without
        self._seen: set[int] = set()

    def find(self, data: bytes, end: int) -> tuple[Head, int] | None:
        """The memoised head of the request that `data` begins with, and the length of its body.

        `end` is the index behind the first empty line of `data`.
        """
        cut = data.find(b"ength: ", 0, end) + 7
        if cut == 6:
            head = self._bare.get(data[:end]) if end <= _MEMO_HEAD_BYTES else None
            return None if head is None else (head, 0)
        stop = data.find(b"\r", cut, end)
        digits = data[cut:stop]
        if end > _MEMO_HEAD_BYTES or not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
            return None
        head = self._heads.get(data[:cut] + data[stop:end])
        return None if head is None else (head, int(digits))

    def read(self, raw: bytes) -> tuple[Head, int]:
        """As `parse`, but looks among the memoised heads first, and remembers what it had to parse."""
        found = self.find(raw, len(raw))
        if found is None:
            found = parse(raw, self._header_count)
            self._remember(raw, *found)
        return found

    def _remember(self, raw: bytes, head: Head, length: int) -> None:
        if len(raw) > _MEMO_HEAD_BYTES or head.expects_continue or length == CHUNKED:
            return
        cut = raw.find(b"ength: ") + 7
        if cut == 6:
            if re.search(rb"\r\ncontent-length", raw, re.IGNORECASE):
                return
            heads, key = self._bare, raw
        else:
            stop = raw.find(b"\r", cut)
            if not raw[:cut].lower().endswith(b"\r\ncontent-length: ") or not raw[cut:stop].isdigit():
                return
            heads, key = self._heads, raw[:cut] + raw[stop:]
        sighting = hash(key)
        if sighting not in self._seen:
            if len(self._seen) >= _MEMO_SEEN:
                self._seen.clear()
            self._seen.add(sighting)
            return
        if len(heads) >= _MEMO_HEADS:
            heads.clear()
        heads[key] = head
