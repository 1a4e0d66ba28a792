"""Addresses of the web are read in one place, strictly, and the rest behind the origin stays as it is."""

import pytest

from pointsman.domain.origin import Origin
from pointsman.domain.urls import split_url, target_of, without_secrets


@pytest.mark.parametrize(
    ("text", "origin", "rest"),
    [
        ("https://host.test/a/b?c=d#e", Origin("https", "host.test", 443), "/a/b?c=d#e"),
        ("HTTP://Host.Test:8080", Origin("http", "host.test", 8080), ""),
        ("https://[2001:DB8::1]?x", Origin("https", "2001:db8::1", 443), "?x"),
        ("http://127.0.0.1/", Origin("http", "127.0.0.1", 80), "/"),
    ],
)
def test_origin_and_rest_of_an_address(text: str, origin: Origin, rest: str) -> None:
    assert split_url(text) == (origin, rest)


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("", b"/"),
        ("#d", b"/"),
        ("?a=b", b"/?a=b"),
        ("/a/b%20c?d=[e]#f", b"/a/b%20c?d=[e]"),
        ("/a b\r\n[c]?\u00e9", b"/a%20b%0D%0A%5Bc%5D?%C3%A9"),
    ],
)
def test_target_has_no_characters_that_end_a_request_line(rest: str, target: bytes) -> None:
    assert target_of(rest) == target


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host.test/a", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https://", "no valid host"),
        ("https:///a", "no valid host"),
        ("https://user:pass@host.test/", "must not contain credentials; remove them"),
        ("https://host.test:0/", "the port must be a number from 1"),
        ("https://[::1/", "is invalid"),
        ("https://[zz]/", "is not an IPv6 address"),
        ("https://[127.0.0.1]/", "only an IPv6 address"),
        ("https://256.1.1.1/", "no valid host"),
        ("https://hôst.test/", "no valid host"),
    ],
)
def test_invalid_address_has_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_url(text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://b.s3.example/x.png?X-Amz-Signature=SIG", "https://b.s3.example/x.png"),
        ("https://user:p%40w@host.test:8080/a#t=SIG", "https://host.test:8080/a"),
        (" HTTPS:\\\\user:pw@host.test/a", "HTTPS:\\\\host.test/a"),
        ("//user:pw@host.test/a?b", "//host.test/a"),
        ("https://host.test/@name/a", "https://host.test/@name/a"),
        ("user:pw@host.test", "host.test"),
        ("https://host.test/" + "a" * 200, "https://host.test/" + "a" * 179 + "..."),
        ("file-id", "file-id"),
    ],
)
def test_messages_hold_no_secrets_of_an_address(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
