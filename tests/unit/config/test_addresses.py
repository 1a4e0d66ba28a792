"""Addresses in the configuration are parsed or rejected with a reason."""

import pytest

from pointsman.config.addresses import ListenAddress, parse_base_url, parse_listen, parse_proxy
from pointsman.domain.origin import Origin


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:8080", ListenAddress("127.0.0.1", 8080), True),
        ("127.9.9.9:0", ListenAddress("127.9.9.9", 0), True),
        ("localhost:80", ListenAddress("localhost", 80), True),
        ("[::1]:8080", ListenAddress("::1", 8080), True),
        ("[::]:8080", ListenAddress("::", 8080), False),
        (":8080", ListenAddress("", 8080), False),
        ("0.0.0.0:8080", ListenAddress("0.0.0.0", 8080), False),
        ("Gateway.example:8080", ListenAddress("gateway.example", 8080), False),
    ],
)
def test_listen(text: str, address: ListenAddress, loopback: bool) -> None:
    assert parse_listen(text) == address
    assert address.is_loopback is loopback
    assert parse_listen(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("8080", "localhost", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:\uff18", "::1:8080"),
        *("[::1:80", "[127.0.0.1]:80", "[x]:80", "1.2.3.4.5:80", "a b:80", "http://localhost:80", "a/b:80"),
    ],
)
def test_invalid_listen_addresses_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_listen(text)


def test_listen_address_with_a_scheme_is_rejected_for_its_scheme() -> None:
    with pytest.raises(ValueError, match="without a scheme, such as 127"):
        parse_listen("http://0.0.0.0:8080")


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "/v1"),
        ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), "/v1"),
        ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000), ""),
        ("HTTP://LocalHost", Origin("http", "localhost", 80), ""),
        ("https://[2001:DB8::1]:8443/a/b-c_d", Origin("https", "2001:db8::1", 8443), "/a/b-c_d"),
        ("https://host/openai/deployments/gpt-4o", Origin("https", "host", 443), "/openai/deployments/gpt-4o"),
    ],
)
def test_base_url(text: str, origin: Origin, path: str) -> None:
    assert parse_base_url(text) == (origin, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api.openai.com/v1", "must begin with https://"),
        ("ftp://host/", "must begin with https://"),
        ("https:///v1", "no valid host"),
        ("https://", "no valid host"),
        ("https://user:pass@host/", "must not contain credentials"),
        ("https://host/v1?x=1", "remove the query"),
        ("https://host/v1#x", "remove the query or fragment"),
        ("https://host?x", "remove the query"),
        ("https://host:/v1", "the port must be"),
        ("https://host:0/v1", "the port must be"),
        ("https://host:99999/v1", "the port must be"),
        ("https://host:80:80/v1", "the port must be"),
        ("https://[::1/v1", "is invalid"),
        ("https://[::1]x/v1", "is invalid"),
        ("https://[zz]/v1", "is not an IPv6 address"),
        ("https://host/a/../b", "invalid character, or an empty"),
        ("https://host/a//b", "invalid character"),
        ("https://ho st/", "without spaces"),
        ("https://host/\r\nx: y", "without spaces"),
        ("https://hôst/", "only ASCII"),
        ("https://host\\@evil/", "without spaces"),
        ("https://-host/", "no valid host"),
        ("https://256.1.1.1/", "no valid host"),
    ],
)
def test_invalid_base_urls_are_rejected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_base_url(text)


def test_proxy() -> None:
    assert parse_proxy("http://proxy:3128") == (Origin("http", "proxy", 3128), None)
    assert parse_proxy("http://me:p%40ss@proxy:3128/") == (Origin("http", "proxy", 3128), "me:p%40ss")


@pytest.mark.parametrize("text", ["https://proxy:3128", "proxy:3128", "http://proxy:3128/path", "socks5://proxy:1"])
def test_invalid_proxies_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_proxy(text)
