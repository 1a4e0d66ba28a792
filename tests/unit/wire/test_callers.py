"""The caller of a request is identified from its head."""

import pytest

from fakes.wire import rejected
from pointsman.domain.access import Access
from pointsman.wire.callers import check_caller, client_address, cors_lines, preflight_lines

PROXIES = Access(("10.0.0.0/8", "::1/128"))
PAGES = Access(allowed_hosts=frozenset({"gateway.example.com"}), origins=frozenset({"https://app.example.com"}))


@pytest.mark.parametrize(
    ("peer", "forwarded", "access", "address"),
    [
        ("192.0.2.1", b"198.51.100.7", PROXIES, "192.0.2.1"),  # anybody may write the header
        ("10.0.0.1", None, PROXIES, "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7", Access(), "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7", PROXIES, "198.51.100.7"),
        ("10.0.0.1", b"203.0.113.9, 198.51.100.7, 10.0.0.2", PROXIES, "198.51.100.7"),
        ("::1", b"[2001:db8::1]:443", PROXIES, "2001:db8::1"),
        ("::ffff:10.0.0.1", b"198.51.100.7:1234", PROXIES, "198.51.100.7"),
        ("10.0.0.1", b"unknown", PROXIES, "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7, <script>", PROXIES, "10.0.0.1"),
        ("10.0.0.1", b"10.0.0.3,10.0.0.2", PROXIES, "10.0.0.3"),
        ("fe80::1%eth0", None, PROXIES, "fe80::1"),
        (None, b"198.51.100.7", PROXIES, ""),
    ],
)
def test_client_is_first_address_that_is_no_proxy(
    peer: str | None, forwarded: bytes | None, access: Access, address: str
) -> None:
    assert client_address(peer, forwarded, access) == address


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8080", b"127.0.0.1:8080", b"127.1.2.3", b"[::1]:8080", b"app.localhost"]
)
def test_loopback_host_is_always_served(host: bytes) -> None:
    check_caller({b"host": host}, Access(), is_open=True)
    check_caller({b"host": host}, PAGES, is_open=False)


@pytest.mark.parametrize("host", [b"attacker.example", b"127.0.0.1.attacker.example", b"10.0.0.1", b"", b"localhost.a"])
def test_unlisted_host_is_rejected_without_keys(host: bytes) -> None:
    failure = rejected(lambda: check_caller({b"host": host}, Access(), is_open=True))
    assert failure.kind.status == 421
    assert "server.allowed_hosts" in failure.message
    check_caller({b"host": host}, Access(), is_open=False)
    assert rejected(lambda: check_caller({b"host": host}, PAGES, is_open=False)).kind.status == 421


def test_listed_hosts_are_served() -> None:
    check_caller({b"host": b"Gateway.example.com.:8080"}, PAGES, is_open=True)
    check_caller({}, Access(), is_open=True)  # a client of HTTP/1.0


@pytest.mark.parametrize("origin", [b"https://attacker.example", b"null", b"http://localhost:3000"])
def test_unlisted_origin_is_rejected_without_keys(origin: bytes) -> None:
    headers = {b"host": b"localhost", b"origin": origin}
    failure = rejected(lambda: check_caller(headers, PAGES, is_open=True))
    assert failure.kind.status == 403
    assert "server.cors.origins" in failure.message
    check_caller(headers, PAGES, is_open=False)  # it has no key
    check_caller({**headers, b"origin": b"https://app.example.com"}, PAGES, is_open=True)
    check_caller(headers, Access(origins=frozenset({"*"})), is_open=True)


def test_websocket_is_rejected_with_alternative() -> None:
    failure = rejected(lambda: check_caller({b"upgrade": b"WebSocket"}, Access(), is_open=False))
    assert failure.kind.status == 400
    assert "/v1/realtime" in failure.message


def test_only_listed_origins_get_cors_headers() -> None:
    assert cors_lines({b"origin": b"https://attacker.example"}, PAGES) == b""
    assert cors_lines({}, PAGES) == b""
    lines = cors_lines({b"origin": b"https://app.example.com"}, PAGES)
    assert b"access-control-allow-origin: https://app.example.com\r\n" in lines
    assert b"vary: origin\r\n" in lines


def test_preflight_lists_methods_and_headers() -> None:
    headers = {b"origin": b"https://app.example.com", b"access-control-request-headers": b"authorization,content-type"}
    lines = preflight_lines(headers, PAGES)
    assert b"access-control-allow-headers: authorization,content-type\r\n" in lines
    assert b"POST" in lines
    assert lines.endswith(b"\r\n")


def test_web_page_may_read_the_headers_that_sdks_read() -> None:
    lines = cors_lines({b"origin": b"https://app.example.com"}, PAGES)
    exposed = lines.partition(b"access-control-expose-headers: ")[2].partition(b"\r\n")[0].split(b", ")
    assert {b"request-id", b"x-request-id", b"retry-after", b"x-pointsman-dropped"} <= set(exposed)
    assert len(exposed) == len(set(exposed))
