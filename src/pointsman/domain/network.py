"""The network settings of an egress path."""

from msgspec import Struct

from pointsman.domain.origin import Origin, Secret


class Network(Struct, frozen=True, kw_only=True):
    """The network path from the gateway to a provider.

    `proxy` is an HTTP proxy that receives CONNECT for every origin; its own scheme is `http`. `proxy_authorization` is
    the whole value of `Proxy-Authorization`. `ca_file` is trusted in addition to the system's authorities.
    `client_cert` and `client_key` are PEM files; without `client_key` the key is in `client_cert`. `connect_timeout_s`
    covers name, TCP, proxy and TLS together. `idle_timeout_s` is the lifetime of an unused connection, shorter than
    that of providers (60 s is usual). `max_connections` is for each origin; `None` sets no limit but the available
    room.
    """

    proxy: Origin | None = None
    proxy_authorization: Secret | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    connect_timeout_s: float = 5.0
    idle_timeout_s: float = 55.0
    max_connections: int | None = None
