"""Compiles the channels of alerts."""

from pointsman.alerting.channels import CHANNELS
from pointsman.config.addresses import parse_base_url
from pointsman.config.alerts_schema import ChannelSettings
from pointsman.config.egress_schema import GlobalEgressSettings
from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.references import BadReference, References
from pointsman.config.servers import GUARDED, compile_server
from pointsman.config.settings import ChannelTarget
from pointsman.config.source import Location
from pointsman.config.webhooks import compile_secrets
from pointsman.domain.origin import Secret


def compile_channel(
    name: str, settings: ChannelSettings, egress: GlobalEgressSettings, references: References, findings: Findings
) -> ChannelTarget | None:
    """Return the channel of this name. Return `None` if it is faulty; the error is then among the findings."""
    place = ("alerts", "channels", name)
    kind = CHANNELS.get(settings.type)
    if kind is None:
        message = f"unknown type {settings.type!r}; use one of: {listed(CHANNELS)}{nearest(settings.type, CHANNELS)}"
        findings.error((*place, "type"), message)
        return None
    if kind.is_signed != bool(settings.secrets):
        message = "is required, since it signs the messages" if kind.is_signed else "has no use here; remove it"
        findings.error((*place, "secrets"), message)
    address, url = _address(settings.url, (*place, "url"), references, findings)
    if url is None:
        return None
    server = compile_server(settings, egress, place, references, findings, base=GUARDED, address=("url", url))
    secrets = compile_secrets(settings.secrets, place, references, findings)
    if server is None:
        return None
    return ChannelTarget(
        origin=server.origin,
        path=server.path,
        headers=server.headers,
        network=server.network,
        timeout_s=server.timeout_s,
        secrets=secrets,
        name=name,
        type=settings.type,
        address=address,
    )


def _address(
    text: str, place: Location, references: References, findings: Findings
) -> tuple[Secret | None, str | None]:
    """Return an address that is a secret, and the address without its secret path; `None` for one without."""
    if not text.startswith(("env.", "file:")):
        return None, text
    try:
        secret = references.resolve(text)
        if not references.reads_secrets:
            return secret, "https://placeholder.invalid"
        origin, _ = parse_base_url(secret.reveal())
    except (BadReference, ValueError) as error:
        findings.error(place, str(error))
        return None, None
    return secret, f"{origin.scheme}://{origin.address}"
