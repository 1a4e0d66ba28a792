"""The copy of an answer on its way to a client."""

import pytest

from fakes.exchange import exchange_of
from pointsman.engine.copied_answer import AnswerCopy, exchange_like


def test_answer_reaches_the_client_and_the_copy() -> None:
    for is_stream in (False, True):
        exchange, client = exchange_of()
        copy = AnswerCopy()
        sink = copy.tee(exchange)
        if is_stream:
            sink.start(200, b"")
            assert sink.write(b"one ")
            assert copy.body is None, "it is incomplete"
            client.is_write_paused = True
            assert not sink.write(b"two")
            sink.end()
        else:
            sink.send(200, b"", b"one two")
        assert copy.body == b"one two"
        assert client.body == b"one two"
        assert client.ended == "finished"


def test_aborted_answer_has_no_copy() -> None:
    exchange, client = exchange_of()
    copy = AnswerCopy()
    sink = copy.tee(exchange)
    sink.start(200, b"")
    sink.write(b"one")
    sink.abort()
    assert (copy.body, client.ended) == (None, "aborted")


@pytest.mark.parametrize("is_cut", [False, True])
def test_only_the_beginning_of_a_long_answer_is_kept_if_at_all(is_cut: bool) -> None:
    exchange, client = exchange_of()
    copy = AnswerCopy(12, is_cut=is_cut)
    sink = copy.tee(exchange)
    sink.start(200, b"")
    for _ in range(5):
        sink.write(b"12345")
    sink.end()
    assert copy.body is None
    assert (copy.size, copy.kept) == (25, 12 if is_cut else 0)
    assert copy.beginning == (b"123451234512" if is_cut else b"")
    assert client.body == b"12345" * 5


def test_exchange_without_a_client_drops_what_is_written() -> None:
    original, client = exchange_of()
    exchange = exchange_like(original, 5.0)
    assert (exchange.head, exchange.received_at, exchange.peer) == (original.head, 5.0, original.peer)
    exchange.start(200, b"")
    assert exchange.write(b"data")
    exchange.end()
    assert client.written == b""
