"""Compiles the addresses of providers."""

from msgspec.structs import replace

from pointsman.config.addresses import ListenAddress, parse_base_url
from pointsman.config.credentials import kind_in
from pointsman.config.guarded_addresses import check_guarded
from pointsman.config.problems import Findings
from pointsman.config.regions import contradiction
from pointsman.config.schema import ProviderSettings
from pointsman.config.source import Location
from pointsman.domain.network import Network, is_loopback, is_metadata
from pointsman.domain.origin import Origin
from pointsman.domain.targets import Endpoint
from pointsman.providers.api import Provider


def reject_own_address(endpoint: Endpoint, listen: ListenAddress | None, findings: Findings) -> None:
    """Reject a provider at the gateway's own address: it would call itself until every connection is taken."""
    origin = endpoint.origin
    if listen is None:
        return
    if origin.port == listen.port and is_loopback(origin.host) and (not listen.host or listen.is_loopback):
        message = f"the provider's address, {origin}, is the gateway's own; change server.listen or base_url"
        findings.error(("providers", endpoint.name), message)


def address_of(
    record: Provider, settings: ProviderSettings, location: Location, findings: Findings
) -> tuple[Origin, str] | None:
    """Return the origin and path of a provider, or `None` if they are not usable. The reason is then among the
    findings."""
    text = settings.base_url or record.base_url
    if text is None and record.regional_url is not None:
        text = record.regional_url(settings.region or "")
    place = (*location, "base_url") if settings.base_url else location
    if text is None:
        findings.error(location, f"`base_url` is required, because the type {record.name} has no default address")
        return None
    try:
        origin, base_path = parse_base_url(text)
    except ValueError as error:
        findings.error(place, str(error))
        return None
    if is_metadata(origin.host):
        message = "is the address of a metadata service; set that of a provider, and see `keys` for its credentials"
        findings.error(place, message)
        return None
    if origin.scheme == "http" and not is_loopback(origin.host):
        findings.warning(place, "http:// sends prompts and the key unencrypted; use https://")
    return origin, base_path


def guarded(network: Network, origin: Origin, place: Location, findings: Findings) -> Network:
    """Return the network of a provider that must be at a public address or in a listed network."""
    network = replace(network, is_public_only=True)
    check_guarded(origin, network, place, findings)
    return network


def check_cloud(record: Provider, settings: ProviderSettings, location: Location, findings: Findings) -> None:
    """Report a region or project that the type does not have, or that a credential requires, and tags that the region
    contradicts."""
    kinds = {kind_in(key) for key in settings.keys.values()}
    if settings.base_url:
        kinds.discard("value")  # such a key needs the region only for the address
    for field in ("region", "project"):
        if getattr(settings, field):
            if field not in record.takes:
                findings.error((*location, field), f"the type {record.name} has no {field}; remove it")
        elif kinds & record.takes.get(field, frozenset()):
            findings.error(location, f"`{field}` is required for the type {record.name}; set it")
    places = [
        (location, settings.tags),
        *(((*location, "keys", name), key.tags) for name, key in settings.keys.items()),
    ]
    for place, tags in places:
        wrong = contradiction(settings.region or "", [tag.value for tag in tags.get("region", ())])
        if wrong:
            findings.error((*place, "tags", "region"), wrong)
