import pytest

from pointsman.transport._answer_head import headers_of, read_again


def test_names_are_in_lower_case_and_in_order() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a: 2\r\n\r\n"
    headers = headers_of({b"X-B": b"1", b"x-a": b"2"}, raw, 2)
    assert list(headers.items()) == [(b"x-b", b"1"), (b"x-a", b"2")]


@pytest.mark.parametrize("again", [b"Via", b"via"])
def test_values_of_a_name_that_comes_again_are_joined(again: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nVia: a\r\n" + again + b": b\r\nx: 1\r\n\r\nrest"
    found = {b"Via": b"a", again: b"a" if again == b"Via" else b"b", b"x": b"1"}
    assert headers_of(found, raw, 3) == {b"via": b"a, b", b"x": b"1"}


def test_what_follows_the_head_is_not_looked_at() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: 1\r\nX: 2\r\n\r\n"
    assert read_again(head + b"1\r\na\r\n0\r\nx: trailer\r\n\r\n") == {b"transfer-encoding": b"chunked", b"x": b"1, 2"}
    assert read_again(head + b"no chunk") == {b"transfer-encoding": b"chunked", b"x": b"1, 2"}
