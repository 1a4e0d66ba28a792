"""Access to the gateway: trusted proxies, the gateway's own names and permitted web pages."""

from msgspec import Struct


class Access(Struct, frozen=True):
    """The addresses, names and pages that the gateway accepts. `trusted_proxies` are networks that are trusted to
    report a client's address. `allowed_hosts` are the gateway's names, in lower case, in addition to those of loopback.
    `origins` are the web pages that may call it; `*` stands for all."""

    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
