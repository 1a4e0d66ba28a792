"""Guards addresses that were not written by the operator of the machine: they must be public, or listed."""

from ipaddress import ip_address, ip_network

from pointsman.config.egress_schema import GlobalEgressSettings
from pointsman.config.problems import Findings
from pointsman.config.source import Location
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin


def private_networks(egress: GlobalEgressSettings, findings: Findings) -> tuple[str, ...]:
    """Return the private networks in their usual form."""
    found: list[str] = []
    for at, text in enumerate(egress.allow_private):
        try:
            found.append(str(ip_network(text)))
        except ValueError:
            message = f"{text[:60]!r} is no network of addresses; write it like 10.1.0.0/16"
            findings.error(("egress", "allow_private", at), message)
    return tuple(found)


def check_guarded(origin: Origin, network: Network, place: Location, findings: Findings) -> None:
    """Report an address that the network does not allow. Names are looked at when they are connected to."""
    if network.proxy is None and _is_address(origin.bare_host) and not network.allows(origin.bare_host):
        findings.error(place, "is a private address; list its network in egress.allow_private")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
