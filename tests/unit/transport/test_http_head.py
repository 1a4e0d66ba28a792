"""The cache of heads, which must return the same as parsing, and the checks of `parse`."""

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointsman.domain.failures import Rejection
from pointsman.transport.http_head import CHUNKED, Head, HeadMemo, parse

FIELDS = ("method", "target", "path", "query", "headers", "is_http11", "keep_alive", "expects_continue")
BASE = b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-A: b\r\n\r\n"

Result = tuple[object, ...] | None


def result_of(read: object, raw: bytes) -> Result:
    """Return all results of reading a head, or `None` if it is rejected."""
    assert callable(read)
    try:
        head, length = read(raw)
    except Rejection:
        return None
    assert isinstance(head, Head)
    return (*(getattr(head, field) for field in FIELDS), length)


def parsed(raw: bytes) -> Result:
    return result_of(lambda raw: parse(raw, 100), raw)


def test_third_request_with_a_head_is_not_parsed_whatever_its_length() -> None:
    memo = HeadMemo(100)
    for _ in range(2):
        assert memo.find(BASE, len(BASE)) is None
        first, length = memo.read(BASE)
        assert length == 5
    known = memo.find(BASE, len(BASE))
    assert known is not None
    assert known.measure(BASE + b"hello and more") == (len(BASE), 5)
    longer = BASE.replace(b": 5", b": 1234567")
    known = memo.find(longer, len(longer))
    assert known is not None
    assert known.measure(longer) == (len(longer), 1234567)
    head, length = memo.read(longer)
    assert (head, length) == (known.head, 1234567)
    assert head is not first or head is known.head


@pytest.mark.parametrize(
    "digits", [b"", b"+5", b"-5", b"5 ", b" 5", b"5a", b"0x5", b"5,5", b"1" * 16, b"\xb2", b"5\n", b"5\r\nX: y"]
)
def test_known_head_needs_digits_as_its_length(digits: bytes) -> None:
    memo = HeadMemo(100)
    for _ in range(3):
        memo.read(BASE)
    known = memo.find(BASE, len(BASE))
    assert known is not None
    other = BASE.replace(b": 5", b": " + digits)
    assert known.measure(other) is None
    assert result_of(memo.read, other) == parsed(other)


@pytest.mark.parametrize(
    "raw",
    [
        BASE.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        BASE.replace(b"X-A: b", b"Expect: 100-continue"),
        BASE.replace(b"Content-Length: 5", b"Content-Length:5"),
        BASE.replace(b"Content-Length: 5", b"Content-Length:  5"),
        BASE.replace(b"Host: a", b"Host: a\r\nX-Length: 7"),
        BASE.replace(b"X-A: b", b"X-A: " + b"b" * 4096),
    ],
)
def test_unusual_heads_are_never_cached(raw: bytes) -> None:
    memo = HeadMemo(100)
    for _ in range(4):
        assert result_of(memo.read, raw) == parsed(raw)
    assert memo.find(raw, len(raw)) is None


def test_heads_seen_once_do_not_evict_others() -> None:
    memo = HeadMemo(100)
    for _ in range(2):
        memo.read(BASE)
    for number in range(20_000):
        memo.read(BASE.replace(b"X-A: b", b"X-A: %d" % number))
    assert memo.find(BASE, len(BASE)) is not None
    assert len(memo._heads) == 1
    assert len(memo._seen) <= 8192


def test_memo_is_bounded() -> None:
    memo = HeadMemo(100)
    for number in range(5000):
        for _ in range(2):
            memo.read(BASE.replace(b"X-A: b", b"X-A: %d" % number))
        assert len(memo._heads) <= 2048


def test_keep_alive_depends_on_version_and_connection_header() -> None:
    def keeps(raw: bytes) -> bool:
        return parse(raw, 100)[0].keep_alive

    assert keeps(BASE)
    assert keeps(BASE.replace(b"X-A: b", b"Connection: keep-alive, closer"))
    assert not keeps(BASE.replace(b"X-A: b", b"Connection: x , CLOSE"))
    assert not keeps(BASE.replace(b"X-A: b", b"Connection: x\r\nconnection: close"))
    assert not keeps(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")


@pytest.mark.parametrize("second", [b"Host: a", b"hOST:b"])
def test_message_names_a_duplicate_host_header(second: bytes) -> None:
    with pytest.raises(Rejection) as caught:
        parse(BASE.replace(b"X-A: b", second), 100)
    assert caught.value.failure.message == "the request has more than one Host header; send exactly one"


HEADER = st.sampled_from(
    [
        b"Host: a",
        b"host:a",
        b"Content-Length: 5",
        b"content-length: 12",
        b"CONTENT-LENGTH: 7",
        b"Content-Length:3",
        b"Content-Length: 5 ",
        b"Content-Length: 5, 5",
        b"X-Content-Length: 9",
        b"X-Length: 9",
        b"X-Strength: great",
        b"X: Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"X-A: b",
        b"X-A:  c\t ",
        b"X-Empty:",
        b" folded",
        b"no colon",
        b"Bare: l\nf",
        b"Bare: c\rr",
    ]
)
LINE = st.sampled_from(
    [b"POST / HTTP/1.1", b"GET /a?b HTTP/1.1", b"POST / HTTP/1.0", b"POST /", b"CONNECT a:1 HTTP/1.1"]
)
HEADS = st.builds(lambda line, headers: b"\r\n".join([line, *headers, b"", b""]), LINE, st.lists(HEADER, max_size=6))
PLAIN = st.builds(
    lambda line, headers: b"\r\n".join([line, b"Host: a", *headers, b"", b""]), LINE, st.lists(HEADER, max_size=2)
)


@given(st.lists(st.one_of(HEADS, PLAIN), max_size=6), st.lists(st.integers(0, 5), max_size=20), st.integers(0, 10**16))
@settings(max_examples=300, deadline=None)
def test_cache_returns_the_same_as_the_parser(pool: list[bytes], order: list[int], length: int) -> None:
    memo = HeadMemo(100)
    for index in order:
        if index < len(pool):
            for raw in (pool[index], pool[index].replace(b": 5\r", b": %d\r" % length)):
                assert result_of(memo.read, raw) == parsed(raw)


@given(st.integers(0, len(BASE)), st.integers(0, 3), st.binary(max_size=4))
@example(0, 0, b"\r\n")
@settings(max_examples=700, deadline=None)
def test_changed_head_does_not_match_a_known_one(at: int, removed: int, inserted: bytes) -> None:
    memo = HeadMemo(100)
    for _ in range(2):
        memo.read(BASE)
    known = memo.find(BASE, len(BASE))
    assert known is not None
    changed = BASE[:at] + inserted + BASE[at + removed :]
    found = known.measure(changed)
    if found is not None:
        end, length = found
        assert changed.find(b"\r\n\r\n") + 4 == end
        expected = parsed(changed[:end])
        assert expected is not None
        assert expected[:-1] == parsed(BASE)[:-1]  # type: ignore[index]
        assert expected[-1] == length


class _Reader:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))


@given(HEADS)
@settings(max_examples=300, deadline=None)
def test_accepted_heads_have_the_headers_that_llhttp_read(raw: bytes) -> None:
    result = parsed(raw)
    if result is None:
        return
    reader = _Reader()
    try:
        httptools.HttpRequestParser(reader).feed_data(raw)
    except httptools.HttpParserUpgrade:
        assert b"Upgrade" in raw
    headers = result[FIELDS.index("headers")]
    length = result[-1]
    assert isinstance(headers, dict)
    joined: dict[bytes, bytes] = {}
    for name, value in reader.headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    announced = joined.pop(b"content-length", None)
    assert headers == joined
    assert length == (CHUNKED if b"transfer-encoding" in joined else int(announced or b"0"))


IDENTIFIED = BASE.replace(b"X-A: b", b"X-A: b\r\nX-Request-Id: 1\r\ntraceparent: 00-1-01")


def with_ids(number: int, base: bytes = IDENTIFIED) -> bytes:
    return base.replace(b"-Id: 1", b"-Id: id-%d" % number).replace(b"00-1-", b"00-%d-" % number)


def test_head_that_differs_in_ids_is_composed_from_a_parsed_one() -> None:
    memo = HeadMemo(100)
    first, _ = memo.read(with_ids(0))
    assert first.like is None
    for number in range(1, 2000):
        raw = with_ids(number).replace(b": 5", b": %d" % number)
        head, length = memo.read(raw)
        assert head.like is first
        assert result_of(memo.read, raw) == parsed(raw)
        assert (head.headers[b"x-request-id"], length) == (b"id-%d" % number, number)
        assert (head.derived, head.mode) == (None, None)
    assert first.headers[b"x-request-id"] == b"id-0"
    assert len(memo._varied) == 1


@pytest.mark.parametrize(
    "other",
    [
        IDENTIFIED.replace(b"Id: 1", b"Id: a b"),
        IDENTIFIED.replace(b"Id: 1", b"Id: "),
        IDENTIFIED.replace(b"Id: 1", b"Id:  1"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1 "),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\t"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\n"),
        IDENTIFIED.replace(b"Id: 1", b"Id: \x00"),
        IDENTIFIED.replace(b"Id: 1", b"Id: \xff"),
        IDENTIFIED.replace(b"Id: 1", b"Id: " + b"1" * 600),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\r\nX-Request-Id: 2"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\r\nx-request-id: 2"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\r\nTransfer-Encoding: chunked"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\r\nContent-Length: 7"),
        IDENTIFIED.replace(b"Id: 1", b"Id: 1\r\nConnection: close"),
        IDENTIFIED.replace(b": 5", b": 5x"),
        IDENTIFIED.replace(b": 5", b": " + b"1" * 16),
        IDENTIFIED.replace(b"X-A", b"x-request-id"),
        IDENTIFIED.replace(b"POST / ", b"POST /?X-Request-Id:1 "),
    ],
)
def test_composed_head_equals_a_parsed_one(other: bytes) -> None:
    for heads in (
        (IDENTIFIED, other),
        (other, IDENTIFIED),
        (other, with_ids(2, other), IDENTIFIED, with_ids(3, other)),
    ):
        memo = HeadMemo(100)
        for raw in (*heads, *heads):
            assert result_of(memo.read, raw) == parsed(raw)


def test_number_of_heads_with_ids_is_bounded() -> None:
    memo = HeadMemo(100)
    for number in range(2000):
        memo.read(IDENTIFIED.replace(b"X-A: b", b"X-A: %d" % number))
        assert len(memo._varied) <= 512
    memo.forget_derived()
    assert all(head.derived is None for head in memo._varied.values())
