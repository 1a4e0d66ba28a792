"""The access to the gateway that the configuration permits: proxies, host names and origins."""

import re
from collections.abc import Sequence
from ipaddress import ip_network

from pointsman.config.problems import Findings
from pointsman.config.schema import ServerSettings
from pointsman.config.source import Location
from pointsman.domain.access import Access

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]+")


def compile_access(server: ServerSettings, findings: Findings) -> Access:
    """Check addresses, names and origins; faults are among the findings."""
    networks = compile_networks(server.trusted_proxies, ("server", "trusted_proxies"), findings)
    origins = [origin.lower() for origin in server.cors.origins]
    for number, origin in enumerate(origins):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            message = f"{origin!r} is not an origin; write scheme and host, such as https://app.example.com"
            findings.error(("server", "cors", "origins", number), message)
    hosts = compile_hosts(server.allowed_hosts, ("server", "allowed_hosts"), findings)
    return Access(networks, hosts, frozenset(origins))


def compile_networks(texts: Sequence[str], place: Location, findings: Findings) -> tuple[str, ...]:
    """Return networks in their normal form."""
    networks: list[str] = []
    for number, text in enumerate(texts):
        try:
            networks.append(str(ip_network(text, strict=False)))
        except ValueError:
            findings.error(
                (*place, number), f"{text!r} is not an IP address or network; write it as 192.0.2.1 or 10.0.0.0/8"
            )
    return tuple(networks)


def compile_hosts(names: Sequence[str], place: Location, findings: Findings) -> frozenset[str]:
    """Return names without port, in lower case."""
    found = [name.lower().strip("[]").removesuffix(".") for name in names]
    for number, name in enumerate(found):
        if not _HOST.fullmatch(name):
            findings.error((*place, number), f"{names[number]!r} is not a host name; write it without scheme and port")
    return frozenset(found)
