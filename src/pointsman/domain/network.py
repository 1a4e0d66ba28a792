"""The network settings of an egress path."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from pointsman.domain.origin import Origin, Secret


class Network(Struct, frozen=True, kw_only=True):
    """The network path from the gateway to a provider.

    `proxy` is an HTTP proxy that receives CONNECT for every origin; its own scheme is `http`. `proxy_authorization` is
    the whole value of `Proxy-Authorization`. `ca_file` is trusted in addition to the system's authorities.
    `client_cert` and `client_key` are PEM files; without `client_key` the key is in `client_cert`. `connect_timeout_s`
    covers name, TCP, proxy and TLS together. `idle_timeout_s` is the lifetime of an unused connection, shorter than
    that of providers (60 s is usual). `max_connections` is for each origin; `None` sets no limit but the available
    room. `reaches_metadata` allows the metadata services of clouds, which no provider's address may be. With
    `is_public_only`, only public addresses and those of the networks `allow_private` are connected to. A proxy resolves
    names itself, so both have no effect behind one.
    """

    proxy: Origin | None = None
    proxy_authorization: Secret | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    connect_timeout_s: float = 5.0
    idle_timeout_s: float = 55.0
    max_connections: int | None = None
    reaches_metadata: bool = False
    is_public_only: bool = False
    allow_private: tuple[str, ...] = ()

    def allows(self, address: str) -> bool:
        """Return whether an address may be connected to, unless it is one of a metadata service."""
        return not self.is_public_only or is_public(address) or _is_in(address, self.allow_private)


# The services by which clouds give machines their credentials. Only the code of credentials may reach them.
# https://cloud.google.com/compute/docs/metadata/querying-metadata,
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data.ec2.internal"})
_METADATA_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",
        "168.63.129.16/32",
        "100.100.100.200/32",
        "fe80::/10",
        "fd00:ec2::/64",
        "fd20:ce::254/128",
    )
)
_GLOBAL = ip_network("2000::/3")  # the only part of IPv6 from which public addresses are given out
_DOCUMENTATION = ip_network("3fff::/20")
_FOUR_BYTES = 0xFFFFFFFF
# Networks of IPv6 addresses that contain an IPv4 address, with the number of bits behind it, and its bits that are
# inverted. Packets to the first two reach the IPv4 address from usual networks.
# https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5, https://www.rfc-editor.org/rfc/rfc6052#section-2,
# https://www.rfc-editor.org/rfc/rfc8215, https://www.rfc-editor.org/rfc/rfc7915#section-5,
# https://www.rfc-editor.org/rfc/rfc3056, https://www.rfc-editor.org/rfc/rfc4380
_SEEN_AS_IPV4 = ((ip_network("::ffff:0:0/96"), 0, 0), (ip_network("64:ff9b::/96"), 0, 0))
_WITH_IPV4 = (
    *_SEEN_AS_IPV4,
    (ip_network("::/96"), 0, 0),  # IPv4-compatible
    (ip_network("::ffff:0:0:0/96"), 0, 0),  # translated without state
    (ip_network("64:ff9b:1::/48"), 0, 0),  # NAT64 of a local prefix
    (ip_network("2002::/16"), 80, 0),  # 6to4
    (ip_network("2001::/32"), 64, 0),  # Teredo: the address of its server
    (ip_network("2001::/32"), 0, _FOUR_BYTES),  # and that of its client
)


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet: no private, local, shared, reserved or obsolete one, and
    none that contains such an IPv4 address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if found.version == 6:
        seen = _inner(found, _SEEN_AS_IPV4)
        if seen:
            found = seen[0]
        elif found not in _GLOBAL or found in _DOCUMENTATION or _inner(found, _WITH_IPV4):
            return False
    return found.is_global and not found.is_multicast and not is_metadata(str(found))


def _is_in(address: str, networks: Sequence[str]) -> bool:
    """Return whether an address, or the IPv4 address that packets to it reach, is in one of these networks."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    seen = _inner(found, _SEEN_AS_IPV4) if found.version == 6 else []
    return any(one in ip_network(network) for one in (found, *seen) for network in networks)


def is_metadata(host: str) -> bool:
    """Return whether a name or address is that of a metadata service, or any address of the local link."""
    name = _bare(host)
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return name in _METADATA_NAMES
    every = (address, *_inner(address, _WITH_IPV4)) if address.version == 6 else (address,)
    return any(one in network for one in every for network in _METADATA_NETWORKS)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host. A name counts only if it is `localhost`."""
    name = _bare(host)
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]").rstrip(".").lower()


def _inner(
    address: IPv4Address | IPv6Address, networks: Sequence[tuple[IPv4Network | IPv6Network, int, int]]
) -> list[IPv4Address]:
    """Return the IPv4 addresses in an IPv6 address of one of these networks."""
    return [
        IPv4Address(((int(address) >> bits) & _FOUR_BYTES) ^ inverted)
        for network, bits, inverted in networks
        if address in network
    ]
