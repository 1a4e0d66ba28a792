"""Addresses of clients at the console: only trusted proxies report them."""

import pytest
from starlette.requests import Request

from pointsman.admin.logins import address_of, csrf_token, digest_of, is_secure, new_secret
from pointsman.control.inquiries.console import LoginSettings


def request(peer: str, forwarded: str | None = None, scheme: str = "http") -> Request:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded is not None else []
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    return Request({**scope, "client": (peer, 1), "scheme": scheme, "server": ("127.0.0.1", 80)})


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("192.0.2.1", None, (), "192.0.2.1"), ("192.0.2.1", "10.0.0.1", (), "192.0.2.1"),
        ("127.0.0.1", "10.0.0.1", (), "127.0.0.1"), ("127.0.0.1", "10.0.0.1", ("127.0.0.1/32",), "10.0.0.1"),
        ("127.0.0.1", "1.1.1.1, 10.0.0.1", ("127.0.0.1/32",), "10.0.0.1"),
    ],
)  # fmt: skip
def test_address_of_the_client(peer: str, forwarded: str | None, trusted: tuple[str, ...], expected: str) -> None:
    assert address_of(request(peer, forwarded), LoginSettings(trusted_proxies=trusted)) == expected


def test_secure_cookies_depend_on_the_address_for_browsers() -> None:
    assert is_secure(request("192.0.2.1"), LoginSettings(public_url="https://a.example"))
    assert not is_secure(request("192.0.2.1", scheme="https"), LoginSettings(public_url="http://127.0.0.1:1"))
    assert is_secure(request("192.0.2.1", scheme="https"), LoginSettings())
    assert not is_secure(request("192.0.2.1"), LoginSettings())


def test_secrets_are_long_and_their_digests_unrelated() -> None:
    secret = new_secret("pm-session")
    assert secret != new_secret("pm-session")
    assert len(secret) >= 50
    assert len({secret, digest_of(secret), csrf_token(secret)}) == 3
