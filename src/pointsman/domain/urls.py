"""Addresses of the web, read into origins."""

import re
from ipaddress import ip_address
from urllib.parse import quote

from pointsman.domain.origin import Origin

DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_USER = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:(?=[/\\]))?[/\\]*)[^/\\]*@")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>.*)\]|(?P<name>[^\[:]*))(?::(?P<port>.*))?")


def split_url(text: str) -> tuple[Origin, str]:
    """Return the origin, and the rest of the address as it is: path, query and fragment. Raises `ValueError` with a
    message for the user."""
    scheme, separator, after = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("the address must begin with https:// or http://")
    authority = re.split(r"[/?#]", after, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("the address must not contain credentials; remove them")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("the address is invalid; write it as https://host:port/path")
    if found["name"] is not None and not is_host(found["name"]):
        raise ValueError("the address has no valid host name or IP address; write it as https://host:port/path")
    host = found["name"] or read_ipv6(found["v6"])
    port = read_port(found["port"], lowest=1) if found["port"] is not None else DEFAULT_PORTS[scheme]
    return Origin(scheme, host.lower(), port), after[len(authority) :]


def target_of(rest: str) -> bytes:
    """Return the request target for the rest of an address: path and query without the fragment. Characters that no
    target may have are percent-encoded."""
    path, mark, query = rest.partition("#")[0].partition("?")
    target = quote(path or "/", safe="/%:@!$&'()*+,;=~-._")
    return (target + mark + quote(query, safe="/?%:@!$&'()*+,;=~-._[]")).encode("ascii")


def described(address: str) -> str:
    """Return the words for an address in a reason not to send it: nothing fetches one outside the web."""
    is_of_web = address[:8].lower().startswith(("https://", "http://"))
    return "an address" if is_of_web else "an address that does not begin with https"


def without_secrets(address: str, most_chars: int = 200) -> str:
    """Return the scheme, host and path of an address for a message. Its query may hold a signature, and the text before
    its host a password."""
    head = re.split(r"[?#]", address.strip(), maxsplit=1)[0]
    shown = _USER.sub(r"\1", head)
    return shown if len(shown) <= most_chars else f"{shown[: most_chars - 3]}..."


def is_host(host: str) -> bool:
    """Return whether a text is a host name or an IPv4 address."""
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ip_address(host)
        except ValueError:
            return False
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def read_ipv6(text: str) -> str:
    """Return an IPv6 address in its usual form. Raises `ValueError`."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"[{text[:60]}] is not an IPv6 address") from None
    if address.version != 6:
        raise ValueError("only an IPv6 address may be in brackets")
    return str(address)


def read_port(text: str, lowest: int) -> int:
    """Return the number of a port, at least `lowest`. Raises `ValueError`."""
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not lowest <= int(text) <= 65535:
        raise ValueError(f"the port must be a number from {lowest} to 65535")
    return int(text)
