"""Compiles `console`: the address for browsers, sessions, and single sign-on."""

from pointsman.config.addresses import parse_base_url
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import Document
from pointsman.config.settings import Console
from pointsman.config.sign_on import compile_sign_on
from pointsman.config.source import Location
from pointsman.domain.network import is_loopback

_URL: Location = ("console", "public_url")


def compile_console(document: Document, references: References, findings: Findings) -> Console:
    """Return the settings. With errors among the findings, they are not usable."""
    settings = document.console
    return Console(
        public_url=_public_url(settings.public_url, findings),
        idle_s=min(settings.sessions.idle_s, settings.sessions.max_s),
        max_s=settings.sessions.max_s,
        sign_on=compile_sign_on(document, references, findings),
    )


def _public_url(text: str | None, findings: Findings) -> str | None:
    if text is None:
        return None
    try:
        origin, path = parse_base_url(text)
    except ValueError as error:
        findings.error(_URL, str(error))
        return None
    if path:
        findings.error(_URL, "must not have a path; serve the console at a host name of its own")
    if origin.scheme == "http" and not is_loopback(origin.host):
        message = "http:// sends passwords and sessions unencrypted; put a TLS proxy in front, and use https://"
        findings.warning(_URL, message)
    return text.rstrip("/")
