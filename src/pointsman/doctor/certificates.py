"""Certificates are valid for some time."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from pointsman.doctor.api import Finding, Subject, days, error, ok, warning

SOON_S = 30 * 86_400.0


async def check(subject: Subject) -> list[Finding]:
    compiled = subject.checked.compiled
    if compiled is None:
        return []
    settings, collector = compiled.settings, compiled.telemetry.collector
    files: dict[Path, str] = {}
    for section, tls in (("server.tls", settings.tls), ("console.tls", settings.console_tls)):
        if tls is not None:
            files.setdefault(Path(tls.cert_file), f"{section}.cert_file")
        if tls is not None and tls.client_ca_file is not None:
            files.setdefault(Path(tls.client_ca_file), f"{section}.client_ca_file")
    networks = [(endpoint.name, endpoint.network) for endpoint in compiled.snapshot.endpoints.values()]
    if collector is not None:
        networks.append(("the OpenTelemetry collector", collector.network))
    if compiled.telemetry.alerts is not None:
        networks += [(f"the alert channel {one.name}", one.network) for one in compiled.telemetry.alerts.channels]
    for name, network in networks:
        if network.client_cert is not None:
            files.setdefault(Path(network.client_cert), f"the client certificate for {name}")
        if network.ca_file is not None:
            files.setdefault(Path(network.ca_file), f"the certificate authority of {name}")
    return [_validity(path, name, subject.now) for path, name in files.items()]


def _validity(path: Path, name: str, now: float) -> Finding:
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as problem:
        return error(f"{name}: {path} has no readable certificate: {problem}", "write the certificate in PEM format")
    first = min(certificates, key=lambda one: one.not_valid_after_utc)
    ends_at, begins_at = first.not_valid_after_utc.timestamp(), first.not_valid_before_utc.timestamp()
    until = f"{name}: {path} is valid until {datetime.fromtimestamp(ends_at, UTC):%Y-%m-%d %H:%MZ}"
    advice = "renew it, and reload the gateway (it reads its own certificates by itself)"
    if begins_at > now:
        return error(f"{name}: {path} is not valid yet", "check the clock of this machine, or use another certificate")
    if ends_at <= now:
        return error(f"{until}, so it has expired", advice)
    if ends_at - now < SOON_S:
        return warning(f"{until}, in {days(ends_at - now)}", advice)
    return ok(until)
