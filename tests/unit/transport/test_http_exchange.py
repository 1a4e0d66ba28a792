"""The calls of an exchange to its connection. See `test_http_server` for answers over a socket."""

from collections.abc import Callable

import pytest

from fakes.exchange import exchange_of, request_head
from pointsman.transport.http_exchange import Exchange, compose


@pytest.mark.parametrize(
    ("status", "closes", "is_bodiless", "expected"),
    [
        (200, False, False, b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"),
        (200, True, False, b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"),
        (200, False, True, b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\n\r\n"),
        (204, False, False, b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"),
        (304, True, True, b"HTTP/1.1 304 Not Modified\r\nA: b\r\nConnection: close\r\n\r\n"),
        (599, False, False, b"HTTP/1.1 599 \r\nA: b\r\nContent-Length: 4\r\n\r\nbody"),
    ],
)
def test_composed_answer_has_the_expected_bytes(status: int, closes: bool, is_bodiless: bool, expected: bytes) -> None:
    assert compose(status, b"A: b\r\n", b"body", closes=closes, is_bodiless=is_bodiless) == expected


def test_answer_in_one_piece_is_finished_at_once() -> None:
    exchange, client = exchange_of(closes=True)
    exchange.send(200, b"", b"ok")
    assert (client.body, client.ended, exchange.is_started, exchange.closes) == (b"ok", "finished", True, True)


def test_answer_to_a_head_request_has_no_body_but_is_finished() -> None:
    exchange, client = exchange_of(request_head("HEAD"))
    exchange.start(200, b"", 5)
    assert exchange.write(b"hello")
    exchange.end()
    assert (client.body, client.headers[b"content-length"], client.ended) == (b"", b"5", "finished")


def test_head_is_sent_with_the_first_piece() -> None:
    exchange, client = exchange_of()
    exchange.start(200, b"A: b\r\n")
    assert client.written == b""
    exchange.write(b"one")
    assert client.written == b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    exchange.write(b"two")
    exchange.end()
    assert (client.written.count(b"HTTP/1.1"), client.body, client.ended) == (1, b"onetwo", "finished")


@pytest.mark.parametrize("length", [None, 0, 10])
@pytest.mark.parametrize("end", [Exchange.end, Exchange.abort])
def test_answer_that_ends_before_its_first_piece_has_a_head(
    length: int | None, end: Callable[[Exchange], None]
) -> None:
    exchange, client = exchange_of()
    exchange.start(200, b"A: b\r\n", length)
    end(exchange)
    assert client.written.count(b"HTTP/1.1 200 OK\r\nA: b\r\n") == 1
    assert client.written.endswith(b"\r\n\r\n0\r\n\r\n") == (length is None and client.ended == "finished")


def test_write_returns_false_when_the_client_reads_too_slowly() -> None:
    exchange, client = exchange_of()
    exchange.start(200, b"")
    assert exchange.write(b"one ")
    client.is_write_paused = True
    assert not exchange.write(b"two")
    assert exchange.write(b""), "an empty piece does not wait for `on_drain`"
    assert client.body == b"one two"


@pytest.mark.parametrize(
    ("length", "is_http11", "ended"),
    [(None, True, "aborted"), (10, True, "aborted"), (None, False, "reset"), (10, False, "aborted")],
)
def test_abort_resets_only_an_answer_that_the_end_of_the_connection_would_complete(
    length: int | None, is_http11: bool, ended: str
) -> None:
    exchange, client = exchange_of(request_head(is_http11=is_http11))
    exchange.start(200, b"", length)
    exchange.write(b"half")
    exchange.abort()
    assert client.ended == ended


def test_answer_that_ends_before_its_announced_length_is_aborted() -> None:
    exchange, client = exchange_of()
    exchange.start(200, b"", 10)
    exchange.write(b"half")
    exchange.end()
    assert client.ended == "aborted"


@pytest.mark.parametrize("over", [lambda exchange: exchange.send(200, b"", b""), lambda exchange: exchange.abort()])
def test_methods_of_a_closed_exchange_do_nothing(over: Callable[[Exchange], None]) -> None:
    exchange, client = exchange_of()
    over(exchange)
    before = client.written, client.ended
    exchange.send(200, b"", b"more")
    exchange.start(200, b"")
    assert exchange.write(b"more")
    exchange.end()
    exchange.abort()
    exchange.pause_body()
    exchange.read_body(lambda _: None, lambda: None)
    assert (client.written, client.ended) == before
    assert not client.is_body_paused
    with pytest.raises(AssertionError, match="does not read the body"):
        client.upload(b"x")


@pytest.mark.parametrize(
    "misuse",
    [
        lambda exchange: exchange.write(b"x"),
        lambda exchange: exchange.end(),
        lambda exchange: (exchange.start(200, b""), exchange.start(200, b"")),
        lambda exchange: (exchange.start(200, b""), exchange.send(200, b"", b"")),
        lambda exchange: (exchange.start(200, b"", 1), exchange.write(b"xy")),
    ],
    ids=["write first", "end first", "start twice", "send after start", "more than announced"],
)
def test_misuse_is_an_error_of_the_caller(misuse: Callable[[Exchange], object]) -> None:
    exchange, _ = exchange_of()
    with pytest.raises(RuntimeError):
        misuse(exchange)
