"""Addresses in the configuration: those to listen on, and those of providers."""

import re
from base64 import b64encode
from urllib.parse import unquote

from msgspec import Struct

from pointsman.domain.network import is_loopback
from pointsman.domain.origin import Origin
from pointsman.domain.urls import is_host, read_ipv6, read_port, split_url

_PATH = re.compile(r"(?:/[A-Za-z0-9_.~:@!$&'()*+,;=%-]+)*")


class ListenAddress(Struct, frozen=True):
    """An address to listen on. An empty `host` means every address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def parse_listen(text: str) -> ListenAddress:
    """Read `host:port`, `:port` or `[v6]:port`. Raises `ValueError` with a message for the user."""
    if "://" in text:
        raise ValueError("must be host:port without a scheme, such as 127.0.0.1:8080")
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError("must be host:port, such as 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        host = read_ipv6(host[1:-1])
    elif ":" in host:
        raise ValueError("put an IPv6 address in brackets, such as [::1]:8080")
    elif host and not is_host(host):
        raise ValueError(f"{host!r} is not an IP address or a host name; set host:port, such as 127.0.0.1:8080")
    return ListenAddress(host.lower(), read_port(port_text, lowest=0))


def parse_base_url(text: str) -> tuple[Origin, str]:
    """Return origin and path, the path without a trailing slash. Raises `ValueError` with a message for the user."""
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("the address must contain only ASCII characters, without spaces and backslashes")
    origin, rest = split_url(text)
    path, mark, _ = rest.partition("?")
    if mark or "#" in rest:
        raise ValueError("the address must end with its path; remove the query or fragment")
    path = path.rstrip("/")
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise ValueError("the path of the address has an invalid character, or an empty, `.` or `..` segment")
    return origin, path


def parse_proxy(text: str) -> tuple[Origin, str | None]:
    """Return the origin of a proxy, and `user:password` if the address has them. Raises `ValueError`."""
    scheme, separator, rest = text.partition("://")
    userinfo, at, place = rest.rpartition("@")
    origin, path = parse_base_url(f"{scheme}{separator}{place}")
    if origin.scheme != "http":
        raise ValueError("the address of a proxy must begin with http://; HTTPS to providers stays encrypted")
    if path:
        raise ValueError("the address of a proxy must not have a path")
    return origin, userinfo if at else None


def basic_credentials(userinfo: str) -> str:
    """Return the value of an authorization header for the `user:password` of an address."""
    return f"Basic {b64encode(unquote(userinfo).encode()).decode()}"
