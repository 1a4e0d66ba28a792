"""Request heads: their validation, their parts, and a cache of heads that need no second parsing.

`parse` lets llhttp check the syntax of one complete head. `parse` itself decides the framing, from the headers that
llhttp reported: a fixed length, `CHUNKED`, or no body. llhttp never gets a body, so its behaviour after a head does not
matter. (It skips the body after `Upgrade`, reports trailers as headers, and cannot pause pipelined requests.)

**The memo.** A client on a kept-alive connection repeats the same head, except for the digits of Content-Length.
`KnownHead` has a head that `parse` accepted: the bytes before those digits and the bytes after them. It recognizes the
head without a parser, and accepts nothing that `parse` would reject:

- A recognized head equals the parsed head byte for byte, except for 1 to 15 digits in the place of the earlier digits.
  The bytes before them end with `\\r\\ncontent-length: ` (in any case) and those after them begin with CRLF. So the
  digits are the whole value of that header.
- llhttp and `parse` require only 1 to 15 digits of that value (no sign, no space, no overflow). The number
  decides nothing else about the head. Limits on it are checked for every request.
- The head still ends at its first empty line, because digits neither contain nor complete one.
- A head without a Content-Length is recognized only by all of its bytes.
- Heads with Transfer-Encoding or Expect are never cached: each of them is parsed. `Upgrade` needs no exception, since
  the framing never depends on it.

**Heads with an id.** Proxies and tracers send a value that differs in every request (`PER_REQUEST`). A head that equals
a parsed one except for such values, and for the digits, is composed from that one without a parser. This accepts
nothing that `parse` would reject either:

- The values consist of 1 to 512 visible characters without a space, so llhttp accepts them. Each such header occurs
  once in the parsed head, and nothing else depends on its value. So the composed head has the same headers, with these
  values in their places.
- The values are cut out at the first occurrence of CRLF, the name as it was spelled, a colon and a space. Both heads
  agree up to there, so it is the same place in both. No value has a space, so none has the name of the length.

`HeadMemo` finds the `KnownHead` to compare with. It is only an index: an error in it would cost a cache miss and
nothing else. It stores a head when it sees it for the second time. So heads that never come again, such as those with a
trace id, cannot evict the others.
"""

import re
from collections.abc import Callable
from copy import copy
from enum import Enum

import httptools
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind, Rejection
from pointsman.transport.header_names import lower_name

CHUNKED = -1  # the length of a chunked body, which is not known beforehand

EXPECTATION_FAILED = Kind("expectation_failed", 417, "invalid_request_error", Fault.REQUEST)

_VERSIONS = {b"HTTP/1.1": True, b"HTTP/1.0": False}
_NEVER_IN_HEAD = re.compile(rb"(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LENGTH_DIGITS = 15
_LENGTH_NAME = b"\r\ncontent-length: "
_NAME_END = b"ength: "  # the end of that name; clients differ in the case of its first letters
PER_REQUEST = frozenset(
    {b"x-request-id", b"x-correlation-id", b"x-client-request-id", b"traceparent", b"x-amzn-trace-id", b"cf-ray"}
    | {b"x-cloud-trace-context", b"x-b3-traceid", b"x-b3-spanid"}
)
_VISIBLE = re.compile(rb"[!-~]{1,512}")
_MOST_VARIED = 8  # spellings of names in `PER_REQUEST`
_VARIED_HEADS = 512
_MEMO_HEADS = 2048
_MEMO_HEAD_BYTES = 4096
_MEMO_BYTES = 2 << 20  # of all heads together; a stored head takes a few times its bytes of memory
_MEMO_SEEN = 8192


class BodyMode(Enum):
    """The two ways in which a handler receives a request body."""

    BUFFER = "buffer"  # the body is collected before `handle` is called
    STREAM = "stream"  # `handle` is called after the head, and reads the body as it arrives


class Head(Struct, eq=False, kw_only=True):
    """A request head. Requests with the same head share one object: only `mode` and `derived` change.

    `target` is the request target as sent; `path` and `query` are its two parts, not decoded and not normalized.
    `headers` has names in lower case, without Content-Length (see `Exchange.body_length`). The values of a repeated
    header are joined by `, `. `keep_alive` says that the client will use the connection again. `like` is a parsed head
    that differs at most in the values of `PER_REQUEST`.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    is_http11: bool
    keep_alive: bool
    expects_continue: bool
    mode: BodyMode | None = None  # the result of the handler's `accept` for this head
    derived: object = None  # for the handler: any result that depends on this head alone
    like: "Head | None" = None


class _HeadReader:
    """Receives llhttp's callbacks for one head. `on_header` is called with name and value."""

    def __init__(self, on_header: Callable[[bytes, bytes], object]) -> None:
        self.on_header = on_header
        self.completed = 0
        self.overrun = False

    def on_headers_complete(self) -> None:
        self.completed += 1

    def on_body(self, _part: bytes) -> None:
        self.overrun = True

    def on_chunk_header(self) -> None:
        self.overrun = True


def _bad(message: str, kind: Kind = failures.INVALID_REQUEST) -> Rejection:
    return Rejection(Failure(kind, message))


def _check_syntax(raw: bytes, on_header: Callable[[bytes, bytes], object]) -> None:
    """Have llhttp read the head. Raises `Rejection` unless `raw` is one complete head and nothing more."""
    reader = _HeadReader(on_header)
    try:
        httptools.HttpRequestParser(reader).feed_data(raw)
    except httptools.HttpParserUpgrade as upgrade:
        reader.overrun |= upgrade.args[0] != len(raw)
    except httptools.HttpParserError as error:
        raise _bad(f"the head of the request is malformed HTTP: {error}") from error
    if reader.completed != 1 or reader.overrun:
        raise _bad("the head of the request is malformed HTTP")


def _read_headers(raw: bytes, count: int) -> dict[bytes, bytes]:
    """Return the `count` headers of the head, by their names in lower case."""
    found: dict[bytes, bytes] = {}
    _check_syntax(raw, found.setdefault)  # a callback without a Python frame
    if b" \r\n" not in raw and b"\t\r\n" not in raw:  # no value has trailing spaces, so none needs `rstrip`
        headers = dict(zip(map(lower_name, found), found.values()))  # noqa: B905 -- `strict` doubles the cost
    else:
        headers = {name.lower(): value.rstrip(b" \t") for name, value in found.items()}
    if len(headers) == count:
        return headers
    headers = {}
    hosts = 0

    def join(name: bytes, value: bytes) -> None:
        nonlocal hosts
        name = name.lower()
        value = value.rstrip(b" \t")
        hosts += name == b"host"
        headers[name] = headers[name] + b", " + value if name in headers else value

    _check_syntax(raw, join)
    if hosts > 1:
        raise _bad("the request has more than one Host header; send exactly one")
    return headers


def _check_coding(coding: bytes, announced: bytes | None, is_http11: bool) -> None:
    """Raise `Rejection` unless a body with this transfer encoding can be read, and no length is announced beside it."""
    if announced is not None:
        raise _bad("the request has both Content-Length and Transfer-Encoding; send only one of them")
    if not is_http11:
        raise _bad("an HTTP/1.0 request cannot have Transfer-Encoding; send Content-Length, or use HTTP/1.1")
    if coding.lower() != b"chunked":
        raise _bad("the Transfer-Encoding of the request is not supported; use chunked, or send Content-Length")


def parse(raw: bytes, header_count: int) -> tuple[Head, int]:
    """Parse `raw`, a request head with its empty line. Return it with the length of the body or `CHUNKED`.

    Raises `Rejection` for a head that is malformed, ambiguous or unsupported.
    """
    count = raw.count(b"\r\n") - 2
    if count > header_count:
        raise _bad(f"the request has more than {header_count} headers; send fewer", failures.HEADERS_TOO_LARGE)
    headers = _read_headers(raw, count)
    request_line = raw[: raw.index(b"\r\n")].split(b" ")
    if len(request_line) != 3 or request_line[2] not in _VERSIONS or raw[0] in b"\r\n":  # llhttp accepts these
        raise _bad("the request line is malformed; send a method, a path, and HTTP/1.1 or HTTP/1.0")
    method, target, version = request_line
    is_http11 = _VERSIONS[version]
    if method == b"CONNECT":
        raise _bad("the method CONNECT is not supported; the gateway is not a proxy", failures.METHOD_NOT_ALLOWED)
    if not target.startswith(b"/") or b"#" in target:
        raise _bad("the request target must be a path that begins with / and has no #")
    if is_http11 and b"host" not in headers:
        raise _bad("the Host header is required in an HTTP/1.1 request")
    announced = headers.pop(b"content-length", None)
    if b"transfer-encoding" in headers:
        _check_coding(headers[b"transfer-encoding"], announced, is_http11)
        length = CHUNKED
    elif announced is None:
        length = 0
    elif announced.isdigit() and len(announced) <= _LENGTH_DIGITS:
        length = int(announced)
    else:
        raise _bad(f"Content-Length must be a number of at most {_LENGTH_DIGITS} digits")
    expectation = headers.get(b"expect") if is_http11 else None
    if expectation is not None and expectation.lower() != b"100-continue":
        raise _bad("the Expect header must be 100-continue, or absent", EXPECTATION_FAILED)
    connection = headers.get(b"connection")
    keep_alive = is_http11 and (
        connection is None or b"close" not in [token.strip() for token in connection.lower().split(b",")]
    )
    path, _, query = target.partition(b"?")
    head = Head(
        method=method,
        target=target,
        path=path,
        query=query,
        headers=headers,
        is_http11=is_http11,
        keep_alive=keep_alive,
        expects_continue=expectation is not None,
    )
    return head, length


def check_part(buffer: bytearray, start: int, end: int, head_bytes: int) -> int:
    """Raise `Rejection` if the part of a head cannot become a valid head of at most `head_bytes`.

    `end` is the index after the head, or below 4 if it is incomplete. Bytes before `start` have been checked. Return
    the `start` of the next call, at which an empty line may have begun.
    """
    if end > head_bytes or len(buffer) > head_bytes:
        message = f"the request line and headers have more than {head_bytes} bytes; send fewer or shorter headers"
        raise _bad(message, failures.HEADERS_TOO_LARGE)
    if _NEVER_IN_HEAD.search(buffer, start):
        raise _bad("the head of the request is malformed HTTP")
    return max(0, len(buffer) - 3)


class KnownHead:
    """A head that `parse` has accepted, for comparison with the next ones. See the module's docstring."""

    __slots__ = ("_prefix", "_suffix", "cut", "head", "suffix_size")

    def __init__(self, head: Head, prefix: bytes, suffix: bytes) -> None:
        self.head = head
        self._prefix = prefix
        self._suffix = suffix  # empty when the head has no Content-Length
        self.cut = len(prefix)
        self.suffix_size = len(suffix)

    def measure(self, data: bytes) -> tuple[int, int] | None:
        """Return the end of the head and the length of its body, if `data` begins with this head."""
        if not data.startswith(self._prefix):
            return None
        cut = self.cut
        if not self.suffix_size:
            return cut, 0
        stop = data.find(b"\r", cut)
        digits = data[cut:stop]
        if not digits.isdigit() or len(digits) > _LENGTH_DIGITS or not data.startswith(self._suffix, stop):
            return None
        return stop + self.suffix_size, int(digits)


class HeadMemo:
    """A cache of recent heads."""

    __slots__ = ("_header_count", "_heads", "_seen", "_size", "_spelled", "_varied")

    def __init__(self, header_count: int) -> None:
        self._header_count = header_count
        self._heads: dict[bytes, KnownHead] = {}
        self._seen: set[int] = set()
        self._size = 0  # of the heads, in bytes
        self._varied: dict[bytes, Head] = {}  # heads by their bytes without digits and without values of `PER_REQUEST`
        self._spelled: dict[bytes, bytes] = {}  # names of `PER_REQUEST`, by their line ends and names as they were sent

    def forget_derived(self) -> None:
        """Drop the results that the handler computed from heads, because they are out of date."""
        for known in self._heads.values():
            known.head.derived = None
        for head in self._varied.values():
            head.derived = None

    def find(self, data: bytes, end: int) -> KnownHead | None:
        """Return the known head with which `data` probably begins. `end` is the index after the first empty line of
        `data`."""
        if end > _MEMO_HEAD_BYTES:
            return None
        cut = data.find(_NAME_END, 0, end)
        if cut < 0:
            return self._heads.get(data[:end])
        cut += len(_NAME_END)
        return self._heads.get(data[:cut] + data[data.find(b"\r", cut) : end])

    def find_after(self, known: KnownHead | None, data: bytes) -> KnownHead | None:
        """Return the known head with which `data` probably begins, if the previous request had the head `known`. The
        next head often has the same length and differs only in one value, such as a credential. This lookup is cheaper
        than a search for the end of the head."""
        if known is not None and known.suffix_size:
            cut = known.cut
            if data[cut - len(_NAME_END) : cut] == _NAME_END:
                stop = data.find(b"\r", cut)
                like = self._heads.get(data[:cut] + data[stop : stop + known.suffix_size])
                if like is not None:
                    return like
        return self.find(data, data.find(b"\r\n\r\n") + 4)

    def read(self, raw: bytes) -> tuple[Head, int]:
        """Return the same as `parse`, from the cache if possible. Add new heads to the cache."""
        known = self.find(raw, len(raw))
        found = known.measure(raw) if known is not None else None
        if known is not None and found is not None:
            return known.head, found[1]
        return self.learn(raw)

    def learn(self, raw: bytes) -> tuple[Head, int]:
        """Return a head that is not known. It is parsed, unless a parsed head differs only in values of `PER_REQUEST`.
        It is added to the cache when it is seen for the second time."""
        found = self._find_varied(raw) if self._spelled else None
        if found is not None:
            return found
        head, length = parse(raw, self._header_count)
        if not PER_REQUEST.isdisjoint(head.headers):
            self._learn_varied(raw, head, length)
        if length == CHUNKED or head.expects_continue or len(raw) > _MEMO_HEAD_BYTES:
            return head, length
        cut = raw.find(_NAME_END) + len(_NAME_END)
        stop = raw.find(b"\r", cut)
        if cut < len(_NAME_END):
            if b"\r\ncontent-length" in raw.lower():
                return head, length
            cut = stop = len(raw)
        elif raw[cut - len(_LENGTH_NAME) : cut].lower() != _LENGTH_NAME or not raw[cut:stop].isdigit():
            return head, length
        key = raw[:cut] + raw[stop:]
        key_hash = hash(key)
        if key_hash in self._seen:
            self._size += len(key)
            if len(self._heads) >= _MEMO_HEADS or self._size > _MEMO_BYTES:
                self._heads.clear()
                self._size = len(key)
            self._heads[key] = KnownHead(head, raw[:cut], raw[stop:])
        else:
            if len(self._seen) >= _MEMO_SEEN:
                self._seen.clear()
            self._seen.add(key_hash)
        return head, length

    def _find_varied(self, raw: bytes) -> tuple[Head, int] | None:
        """Return the head and the length of its body, if a parsed head differs only in values of `PER_REQUEST`."""
        cut_out = self._cut_out(raw)
        if cut_out is None:
            return None
        key, digits, values = cut_out
        like = self._varied.get(key)
        if like is None:
            return None
        head = copy(like)
        head.headers, head.like, head.mode, head.derived = {**like.headers, **values}, like, None, None
        return head, int(digits)

    def _learn_varied(self, raw: bytes, head: Head, length: int) -> None:
        """Keep a parsed head, for heads that differ only in values of `PER_REQUEST`."""
        if length == CHUNKED or head.expects_continue or len(raw) > _MEMO_HEAD_BYTES:
            return
        lower = raw.lower()
        for name in PER_REQUEST.intersection(head.headers):
            start = lower.find(b"\r\n%b: " % name)
            spelled = raw[start : start + len(name) + 4]
            if start >= 0 and spelled not in self._spelled and len(self._spelled) < _MOST_VARIED:
                self._spelled[spelled] = name
                self._varied.clear()  # their values of this name were not cut out
        cut_out = self._cut_out(raw)
        if cut_out is None or any(head.headers[name] != value for name, value in cut_out[2].items()):
            return
        if len(self._varied) >= _VARIED_HEADS:
            self._varied.clear()
        self._varied[cut_out[0]] = head

    def _cut_out(self, raw: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]] | None:
        """Return a head without its digits and values of `PER_REQUEST`, the digits, and the values by name. Return
        `None` if it has no such value, or not the form that is required."""
        values: dict[bytes, bytes] = {}
        for spelled, name in self._spelled.items():
            start = raw.find(spelled)
            if start >= 0:
                start += len(spelled)
                stop = raw.find(b"\r", start)
                value = raw[start:stop]
                if name in values or _VISIBLE.fullmatch(value) is None:
                    return None
                values[name] = value
                raw = raw[:start] + raw[stop:]
        cut = raw.find(_NAME_END) + len(_NAME_END)
        stop = raw.find(b"\r", cut)
        digits = raw[cut:stop]
        if not values or not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
            return None
        if raw[cut - len(_LENGTH_NAME) : cut].lower() != _LENGTH_NAME:
            return None
        return raw[:cut] + raw[stop:], digits, values
