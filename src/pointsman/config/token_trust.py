"""Compiles the trust in the tokens of an issuer: its keys, and the path to them."""

from pathlib import Path

from msgspec.structs import replace

from pointsman.config.addresses import parse_base_url
from pointsman.config.guarded_addresses import check_guarded
from pointsman.config.identities_schema import JwtSettings
from pointsman.config.problems import Findings
from pointsman.config.process import compile_network
from pointsman.config.references import References
from pointsman.config.schema import Document
from pointsman.config.servers import GUARDED
from pointsman.config.source import Location
from pointsman.domain.callers import KeySource, TokenTrust
from pointsman.domain.network import is_loopback
from pointsman.engine.token_checks import read_keys

_FILE = "file:"
_CONNECT_S = 5.0


def compile_trust(
    settings: JwtSettings, document: Document, place: Location, references: References, findings: Findings
) -> TokenTrust | None:
    """Return the trust in the tokens of an issuer. Return `None` if its address is wrong; the error is then among the
    findings."""
    network = replace(GUARDED, connect_timeout_s=_CONNECT_S)
    network = compile_network(network, document.egress, ("egress",), references, findings)
    if settings.egress is not None:
        network = compile_network(network, settings.egress, (*place, "egress"), references, findings)
    url, path = settings.keys or "", ""
    if url.startswith(_FILE):
        url, path = "", references.path(url.removeprefix(_FILE))
        if references.reads_secrets:
            _check_file(Path(path), (*place, "keys"), findings)
    else:
        field, address = ("keys", url) if url else ("issuer", settings.issuer)
        try:
            origin, _ = parse_base_url(address)
        except ValueError as error:
            hint = "" if url else "; set `keys` to the address or the file of its keys"
            findings.error((*place, field), f"{error}{hint}")
            return None
        if origin.scheme != "https" and not is_loopback(origin.host):
            findings.error((*place, field), "must begin with https://: these keys decide who may come in")
        check_guarded(origin, network, (*place, field), findings)
    return TokenTrust(
        settings.issuer,
        frozenset(settings.audience),
        tuple(dict.fromkeys(settings.algorithms)),
        settings.clock_skew_s,
        KeySource(
            issuer=settings.issuer,
            url=url,
            path=path,
            network=network,
            refresh_s=settings.refresh_s,
            max_age_s=settings.keys_max_age_s,
        ),
    )


def _check_file(path: Path, place: Location, findings: Findings) -> None:
    try:
        read_keys(path.read_bytes())
    except OSError as error:
        findings.error(place, f"{path} cannot be read: {error.strerror}")
    except ValueError as error:
        findings.error(place, f"{path} {error}")
