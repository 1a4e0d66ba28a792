"""Compiles servers that the gateway sends its own data to, such as a collector and receivers of webhooks."""

from typing import Protocol

from msgspec.structs import replace

from pointsman.config.addresses import parse_base_url
from pointsman.config.egress_schema import EgressSettings, GlobalEgressSettings
from pointsman.config.guarded_addresses import check_guarded
from pointsman.config.problems import Findings
from pointsman.config.process import compile_network
from pointsman.config.references import BadReference, References
from pointsman.config.settings import RemoteServer
from pointsman.config.source import Location
from pointsman.domain.network import Network, is_loopback, is_metadata
from pointsman.domain.origin import Secret

GUARDED = Network(is_public_only=True, max_connections=1)
_RESERVED = frozenset({"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection"})


class RemoteSettings(Protocol):
    """The fields that all such servers have in the file."""

    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def egress(self) -> EgressSettings | None: ...


def compile_server(
    settings: RemoteSettings,
    egress: GlobalEgressSettings,
    place: Location,
    references: References,
    findings: Findings,
    *,
    base: Network,
    address: tuple[str, str],
) -> RemoteServer | None:
    """Return the server of some settings. `egress` is the global one. `address` is the name and the value of the field
    of the address. Return `None` if the address is invalid; the error is then among the findings."""
    network = replace(base, connect_timeout_s=min(5.0, settings.timeout_s))
    network = compile_network(network, egress, ("egress",), references, findings)
    if settings.egress is not None:
        network = compile_network(network, settings.egress, (*place, "egress"), references, findings)
    headers: list[tuple[str, Secret]] = []
    for name, reference in settings.headers.items():
        at = (*place, "headers", name)
        if name.lower() in _RESERVED:
            findings.error(at, "the gateway sets this header itself; remove it")
        try:
            headers.append((name.lower(), references.resolve(reference)))
        except BadReference as error:
            findings.error(at, str(error))
    at = (*place, address[0])
    try:
        origin, path = parse_base_url(address[1])
    except ValueError as error:
        findings.error(at, str(error))
        return None
    if is_metadata(origin.host):
        findings.error(at, "is the address of a metadata service; set another one")
    if origin.scheme == "http" and not is_loopback(origin.host):
        findings.warning(at, "http:// sends the data and the headers unencrypted; use https://")
    check_guarded(origin, network, at, findings)
    return RemoteServer(origin=origin, path=path, headers=tuple(headers), network=network, timeout_s=settings.timeout_s)
