"""Compiles `server`, `console`, `store`, `journal`, `logging` and `egress` into the settings of the processes."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from pointsman.config.access import compile_hosts
from pointsman.config.addresses import ListenAddress, basic_credentials, parse_base_url, parse_listen, parse_proxy
from pointsman.config.egress_schema import EgressSettings, GlobalEgressSettings
from pointsman.config.guarded_addresses import private_networks
from pointsman.config.problems import Findings
from pointsman.config.references import LITERAL, PROXY, BadReference, References
from pointsman.config.schema import Document, LimitSettings, TlsSettings
from pointsman.config.settings import Settings
from pointsman.config.source import Location
from pointsman.domain.network import Network
from pointsman.domain.origin import Secret
from pointsman.transport.http_server import Limits
from pointsman.transport.server_tls import Tls, server_context
from pointsman.transport.tls import client_context, describe


def compile_settings(document: Document, folder: Path, references: References, findings: Findings) -> Settings | None:
    """Read addresses and paths. Return `None` if one of them is wrong; the error is then among the findings."""
    server = document.server
    listen = _listen(server.listen, ("server", "listen"), findings)
    console = _listen(document.console.listen, ("console", "listen"), findings)
    if server.default_provider is not None and server.default_provider not in document.providers:
        listed = ", ".join(sorted(document.providers))
        findings.error(("server", "default_provider"), f"unknown provider; the providers are {listed}")
    if server.limits.body_memory_bytes < server.limits.body_bytes:
        findings.error(("server", "limits", "body_memory_bytes"), "must not be less than body_bytes")
    tls = _server_tls(server.tls, folder, references, findings, "server") if server.tls is not None else None
    of_console = document.console.tls
    console_tls = _server_tls(of_console, folder, references, findings, "console") if of_console is not None else None
    log_file = folder / document.logging.file if document.logging.file is not None else None
    if log_file is not None and not log_file.parent.is_dir():
        findings.error(("logging", "file"), f"the folder {log_file.parent} does not exist; create it")
    if listen is None or console is None:
        return None
    overlaps = listen.host == console.host or "" in (listen.host, console.host)
    if listen.port == console.port != 0 and overlaps:
        findings.error(("console", "listen"), "is the same address as server.listen; choose another port")
    if not console.is_loopback and console_tls is None:
        message = "other machines can reach this address, and plain HTTP exposes the admin token"
        findings.warning(("console", "listen"), f"{message}; set console.tls, or listen on loopback behind a TLS proxy")
    return Settings(
        listen=listen,
        console=console,
        tls=tls,
        limits=_limits(server.limits),
        drain_s=server.drain_s,
        data_dir=folder / document.data_dir,
        log_file=log_file,
        log_level=document.logging.level,
        workers=server.workers,
        max_stale_s=document.governance.max_stale_s,
        store_url=_store_url(document.store.url, references, findings),
        keep_requests_days=document.store.keep_requests_days,
        keep_requests_bytes=document.store.keep_requests_bytes,
        keep_minutes_days=document.store.keep_minutes_days,
        durability=document.journal.durability,
        journal_bytes=document.journal.max_bytes,
        list_models_s=document.catalog.list_models_s,
        console_hosts=_console_hosts(document, console, findings),
        console_tls=console_tls,
    )


def _console_hosts(document: Document, console: ListenAddress, findings: Findings) -> frozenset[str]:
    """Return the names of the console. Without any, a console that other machines reach accepts all names."""
    hosts = compile_hosts(document.console.allowed_hosts, ("console", "allowed_hosts"), findings)
    try:
        public = parse_base_url(document.console.public_url or "")[0].host
    except ValueError:  # reported with the address itself
        return hosts
    return hosts | {public} if hosts or console.is_loopback else hosts


def _limits(settings: LimitSettings) -> Limits:
    times = settings.timeouts
    return Limits(
        head_bytes=settings.head_bytes,
        body_bytes=settings.body_bytes,
        body_memory_bytes=settings.body_memory_bytes,
        head_timeout_s=times.head_s,
        body_timeout_s=times.body_s,
        idle_timeout_s=times.idle_s,
        write_timeout_s=times.write_s,
        max_connections=settings.connections,
    )


def _listen(text: str, location: Location, findings: Findings) -> ListenAddress | None:
    try:
        return parse_listen(text)
    except ValueError as error:
        findings.error(location, str(error))
        return None


def _store_url(text: str | None, references: References, findings: Findings) -> Secret | None:
    place: Location = ("store", "url")
    if text is None:
        return None
    is_literal = "://" in text and not text.startswith("file:")
    try:
        url = Secret(text, LITERAL + text) if is_literal else references.resolve(text)
    except BadReference as error:
        findings.error(place, str(error))
        return None
    if not is_literal and not references.reads_secrets:
        return url
    parts = urlsplit(url.reveal())
    if parts.scheme not in ("postgresql", "postgres"):
        findings.error(place, "must begin with postgresql://; remove it to use SQLite in data_dir")
        return None
    if is_literal and parts.password:
        findings.error(place, "an address with a password must not be in this file; use env.NAME or file:PATH")
    return url


def _server_tls(settings: TlsSettings, folder: Path, references: References, findings: Findings, section: str) -> Tls:
    authorities = settings.client_ca_file
    tls = Tls(
        str(folder / settings.cert_file),
        str(folder / settings.key_file),
        str(folder / authorities) if authorities is not None else None,
        settings.client_certificates == "required",
    )
    place: Location = (section, "tls")
    if authorities is None and "client_certificates" in settings.model_fields_set:
        findings.error((*place, "client_certificates"), "has no effect without client_ca_file; set it, or remove this")
    if not references.reads_secrets:
        return tls
    try:
        server_context(replace(tls, client_ca_file=None))
    except ssl.SSLError as error:
        findings.error(place, f"cert_file and key_file are not a certificate and its key: {describe(error)}")
    except OSError as error:
        findings.error(place, f"cert_file or key_file cannot be read: {error.strerror}")
    if tls.client_ca_file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=tls.client_ca_file)
        except ssl.SSLError as error:
            findings.error((*place, "client_ca_file"), f"has no certificate of an authority: {describe(error)}")
        except OSError as error:
            findings.error((*place, "client_ca_file"), f"cannot be read: {error.strerror}")
    return tls


def compile_network(
    base: Network, egress: EgressSettings, location: Location, references: References, findings: Findings
) -> Network:
    """Return `base` with the fields that `egress` sets."""
    network = base
    if egress.connections is not None:
        network = replace(network, max_connections=egress.connections)
    if isinstance(egress, GlobalEgressSettings):
        network = replace(network, allow_private=private_networks(egress, findings))
    if egress.proxy is not None:
        network = _with_proxy(network, egress.proxy, (*location, "proxy"), references, findings)
    if egress.ca_file is not None:
        network = replace(network, ca_file=references.path(egress.ca_file))
    if egress.client_cert is not None:
        key = references.path(egress.client_key) if egress.client_key is not None else None
        network = replace(network, client_cert=references.path(egress.client_cert), client_key=key)
    elif egress.client_key is not None:
        findings.error((*location, "client_key"), "requires client_cert; set both, or remove client_key")
    if references.reads_secrets and (network.ca_file, network.client_cert) != (base.ca_file, base.client_cert):
        try:
            client_context(network)
        except ssl.SSLError as error:
            findings.error(location, f"ca_file, client_cert or client_key cannot be used: {describe(error)}")
        except OSError as error:
            message = f"ca_file, client_cert or client_key cannot be read: {error.strerror}"
            findings.error(location, message)
    return network


def _with_proxy(network: Network, text: str, location: Location, references: References, findings: Findings) -> Network:
    if not text:
        return replace(network, proxy=None, proxy_authorization=None)
    is_literal = "://" in text and not text.startswith("file:")
    if not is_literal and not references.reads_secrets:
        return network
    try:
        origin, userinfo = parse_proxy(text if is_literal else references.resolve(text).reveal())
    except BadReference as error:
        hint = "" if text.startswith(("env.", "file:")) else "; to set the address here, begin it with http://"
        findings.error(location, f"{error}{hint}")
        return network
    except ValueError as error:
        findings.error(location, str(error))
        return network
    if userinfo is None:
        return replace(network, proxy=origin, proxy_authorization=None)
    if is_literal:
        findings.error(location, "an address with a password must not be in this file; use env.NAME or file:PATH")
    authorization = Secret(basic_credentials(userinfo), PROXY + text)
    return replace(network, proxy=origin, proxy_authorization=authorization)
