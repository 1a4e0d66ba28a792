"""From where the gateway may be called: what is known of proxies, of its own names and of web pages."""

from msgspec import Struct


class Access(Struct, frozen=True):
    """`trusted_proxies` are networks whose word counts for a client's address. `allowed_hosts` are names, in lower
    case, by which the gateway may be called beside those of loopback. `origins` are web pages that may call it; `*`
    stands for all."""

    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
