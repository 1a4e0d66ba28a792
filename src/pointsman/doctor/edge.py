"""The gateway is safe where others can reach it."""

import os

from pointsman.admin.auth import METRICS_VARIABLE
from pointsman.config.settings import Settings
from pointsman.doctor.api import Finding, Subject, error, ok, warning
from pointsman.domain.identity import KeyTable
from pointsman.domain.snapshots import Snapshot

_BY_PROXY = "put a reverse proxy with TLS in front of it (docs/operations/deploying.md)"


async def check(subject: Subject) -> list[Finding]:
    settings, snapshot = subject.settings, subject.snapshot
    if settings is None or snapshot is None:
        return []
    found = [*_listeners(subject, settings), *_callers(snapshot)]
    if os.geteuid() == 0:
        text = "this command runs as root; a gateway that does so too gives root to whoever breaks into it"
        found.append(warning(text, "run the gateway as a user of its own, as deploy/pointsman.service does"))
    return found or [ok("nothing is open that should be closed")]


def _listeners(subject: Subject, settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    if not settings.listen.is_loopback and settings.tls is None:
        text = f"server.listen: other machines reach {settings.listen} over plain HTTP, which shows prompts and keys"
        found.append(warning(text, f"set server.tls, or {_BY_PROXY}"))
    if not settings.console.is_loopback and METRICS_VARIABLE not in subject.environ:
        text = f"console.listen: scrapers on other machines need the admin token to read metrics at {settings.console}"
        found.append(warning(text, f"set {METRICS_VARIABLE}, a token that opens nothing else"))
    return found


def _callers(snapshot: Snapshot) -> list[Finding]:
    found: list[Finding] = []
    if not snapshot.require_key:
        text = "governance.require_key is false: every program on this machine can spend the money of the provider keys"
        found.append(warning(text, "define virtual keys"))
    if "*" in snapshot.access.origins:
        text = "server.cors.origins has *: every web page may call the gateway with a key that its visitor enters"
        found.append(warning(text, "list the pages that may"))
    if any(network in ("0.0.0.0/0", "::/0") for network in snapshot.access.trusted_proxies):
        text = "server.trusted_proxies has every address, so a client can state any address as its own"
        found.append(error(text, "list the addresses of the proxies alone"))
    if not isinstance(snapshot.virtual_keys, KeyTable):
        names = sorted({key.name for key in snapshot.virtual_keys.values() if not key.limits})
        if names:
            text = f"virtual keys without a limit, also of their team and customer: {len(names)}, such as {names[0]}"
            found.append(warning(text, "give each a budget, so that a leaked key costs no more than that"))
    return found
