"""Identify the caller from a request's head: the client's address, the gateway's name it used, and a browser's web
page.

A gateway without keys serves every client that reaches it. A browser on the same machine reaches it for any open page,
in one of two ways. One is across origins, since a POST with a plain content type needs no permission. The other is
under a name that the page's owner points to 127.0.0.1. The head shows both: `Origin` is that of the page, and `Host` is
that name. https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.network import is_loopback

MAX_HOPS = 32  # entries of `X-Forwarded-For` that are checked
_EXPOSED = (
    b"x-request-id, x-pointsman-request-id, x-pointsman-provider, x-pointsman-model, x-pointsman-attempts, "
    b"x-pointsman-cost-usd, x-pointsman-max-tokens, x-pointsman-budget-remaining-usd, x-ratelimit-limit-requests, "
    b"x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    b"x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, x-pointsman-dropped, request-id, server-timing, "
    b"retry-after"
)
_NO_WEBSOCKETS = (
    "this gateway does not support WebSocket connections, such as those of the Realtime API (/v1/realtime); "
    "use the HTTP API"
)
_ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_MAX_AGE_S = 600
_WIDE_BITS = 64  # of an IPv6 address, which belong to one subscriber


def client_address(peer: str | None, forwarded_for: bytes | None, access: Access) -> str:
    """Return the client's address: the socket's, unless that is a trusted proxy. Then it is the right-most address in
    `X-Forwarded-For` that is not a trusted proxy. The entries left of it may be forged."""
    address = _plain(peer or "")
    if forwarded_for is None or not access.trusted_proxies or not is_trusted(address, access):
        return address
    for hop in reversed(forwarded_for[-4096:].split(b",")[-MAX_HOPS:]):
        found = _plain(hop.strip()[:64].decode("latin-1"))
        if not found:
            break
        address = found
        if not is_trusted(address, access):
            break
    return address


def is_trusted(address: str, access: Access) -> bool:
    """Return whether the address is a trusted proxy's."""
    return bool(access.trusted_proxies) and is_within(address, access.trusted_proxies)


def subscriber(address: str) -> str:
    """Return the address that counts as one subscriber: an IPv4 address, or the first half of an IPv6 address."""
    return str(IPv6Network((address, _WIDE_BITS), strict=False)) if ":" in address else address


def check_caller(headers: Mapping[bytes, bytes], access: Access, *, is_open: bool) -> None:
    """Raise `Rejection` for a request that this gateway must not serve. That is every WebSocket. It rejects a foreign
    host name if names are configured or no keys are required. Without keys, it rejects a web page that is not allowed.
    A request without a host name does not come from a browser."""
    if headers.get(b"upgrade", b"").lower() == b"websocket":
        raise Rejection(Failure(failures.NOT_SUPPORTED, _NO_WEBSOCKETS))
    if b"host" in headers and (is_open or access.allowed_hosts):
        host = host_of(headers[b"host"])
        if not _is_loopback(host) and host not in access.allowed_hosts:
            message = f"the host name {host[:100]!r} is not allowed; use a loopback address, or add the name to"
            raise Rejection(Failure(failures.HOST_NOT_ALLOWED, f"{message} server.allowed_hosts", param="host"))
    origin = headers.get(b"origin")
    if is_open and origin is not None and not _is_allowed(origin, access):
        message = "a gateway without virtual keys rejects web pages; add the page's origin to server.cors.origins"
        raise Rejection(Failure(failures.ORIGIN_NOT_ALLOWED, message, param="origin"))


def cors_lines(headers: Mapping[bytes, bytes], access: Access) -> bytes:
    """Return the header lines that let a web page read the answer, or nothing for all other clients."""
    origin = headers.get(b"origin")
    if origin is None or not access.origins or not _is_allowed(origin, access):
        return b""
    return b"access-control-allow-origin: %b\r\nvary: origin\r\naccess-control-expose-headers: %b\r\n" % (
        origin,
        _EXPOSED,
    )


def preflight_lines(headers: Mapping[bytes, bytes], access: Access) -> bytes:
    """Return the header lines that answer a browser's preflight request."""
    requested = headers.get(b"access-control-request-headers", b"")
    lines = cors_lines(headers, access)
    if requested and requested.isascii() and requested.decode().isprintable():
        lines += b"access-control-allow-headers: %b\r\n" % requested
    return lines + b"access-control-allow-methods: %b\r\naccess-control-max-age: %d\r\n" % (
        _ALLOWED_METHODS,
        _MAX_AGE_S,
    )


def host_of(header: bytes) -> str:
    """Return the name or address in a `Host` header, without its port and in lower case."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def _is_allowed(origin: bytes, access: Access) -> bool:
    return "*" in access.origins or origin.decode("latin-1").lower() in access.origins


@lru_cache(maxsize=256)  # of addresses
def _is_loopback(host: str) -> bool:
    return host.endswith(".localhost") or is_loopback(host)


@lru_cache(maxsize=1024)  # of addresses
def _plain(text: str) -> str:
    """Return an address without port, brackets and zone, or an empty text if it is invalid. A mapped IPv4 address is
    returned in IPv4 form."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@lru_cache(maxsize=1024)  # of addresses
def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Return whether an address is in one of these networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network, strict=False) for network in networks)
