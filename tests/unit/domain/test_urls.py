"""Addresses of the web are read in one place, strictly, and the rest behind the origin stays as it is."""

import pytest

from pointsman.domain.origin import Origin
from pointsman.domain.urls import split_url


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
