"""Addresses in the configuration: those to listen on, and those of providers."""

import re
from base64 import b64encode
from ipaddress import ip_address
from urllib.parse import unquote

from msgspec import Struct

from pointsman.domain.origin import Origin

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>.*)\]|(?P<name>[^\[:]*))(?::(?P<port>.*))?")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.~:@!$&'()*+,;=%-]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ListenAddress(Struct, frozen=True):
    """An address to listen on. An empty `host` means every address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host. A name counts only if it is `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_listen(text: str) -> ListenAddress:
    """Read `host:port`, `:port` or `[v6]:port`. Raises `ValueError` with a message for the user."""
    if "://" in text:
        raise ValueError("must be host:port without a scheme, such as 127.0.0.1:8080")
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError("must be host:port, such as 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        host = _ipv6(host[1:-1])
    elif ":" in host:
        raise ValueError("put an IPv6 address in brackets, such as [::1]:8080")
    elif host and not _is_host(host):
        raise ValueError(f"{host!r} is not an IP address or a host name; set host:port, such as 127.0.0.1:8080")
    return ListenAddress(host.lower(), _port(port_text, lowest=0))


def parse_base_url(text: str) -> tuple[Origin, str]:
    """Return origin and path, the path without a trailing slash. Raises `ValueError` with a message for the user."""
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("the address must contain only ASCII characters, without spaces and backslashes")
    origin, rest = _split_origin(text)
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


def _split_origin(text: str) -> tuple[Origin, str]:
    scheme, separator, after = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("the address must begin with https:// or http://")
    authority = re.split(r"[/?#]", after, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("the address must not contain credentials; set them in `keys`")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("the address is invalid; write it as https://host:port/path")
    if found["name"] is not None and not _is_host(found["name"]):
        raise ValueError("the address has no valid host name or IP address; write it as https://host:port/path")
    host = found["name"] or _ipv6(found["v6"])
    port = _port(found["port"], lowest=1) if found["port"] is not None else _DEFAULT_PORTS[scheme]
    return Origin(scheme, host.lower(), port), after[len(authority) :]


def _is_host(host: str) -> bool:
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ip_address(host)
        except ValueError:
            return False
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def _ipv6(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"[{text[:60]}] is not an IPv6 address") from None
    if address.version != 6:
        raise ValueError("only an IPv6 address may be in brackets")
    return str(address)


def _port(text: str, lowest: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not lowest <= int(text) <= 65535:
        raise ValueError(f"the port must be a number from {lowest} to 65535")
    return int(text)
