"""The network settings of an egress path."""

from ipaddress import ip_address, ip_network

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
    `is_public_only`, only public addresses are connected to: for addresses that clients choose.
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
_TUNNELS = tuple(ip_network(text) for text in ("2002::/16", "2001::/32", "64:ff9b:1::/48"))  # to IPv4 addresses
_MAPPED = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))  # addresses that contain an IPv4 address


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet: no private, local, shared or reserved one, and none that
    contains such an IPv4 address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if found.version == 6:
        if any(found in network for network in _MAPPED):
            found = ip_address(int(found) & 0xFFFFFFFF)
        elif any(found in network for network in _TUNNELS):
            return False
    return found.is_global and not found.is_multicast and not is_metadata(str(found))


def is_metadata(host: str) -> bool:
    """Return whether a name or address is that of a metadata service, or any address of the local link."""
    name = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return name in _METADATA_NAMES
    if any(address in network for network in _MAPPED):
        address = ip_address(int(address) & 0xFFFFFFFF)
    return any(address in network for network in _METADATA_NETWORKS)
