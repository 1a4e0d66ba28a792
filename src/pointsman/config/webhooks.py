"""Compiles a receiver of webhooks."""

from base64 import b64decode
from binascii import Error
from collections.abc import Sequence

from pointsman.config.egress_schema import GlobalEgressSettings
from pointsman.config.problems import Findings
from pointsman.config.references import BadReference, References
from pointsman.config.servers import GUARDED, compile_server
from pointsman.config.settings import WebhookTarget
from pointsman.config.source import Location
from pointsman.config.webhooks_schema import WebhookSettings
from pointsman.domain.origin import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105 -- not a secret itself
_BYTES = range(24, 65)  # of a secret


def compile_webhook(
    settings: WebhookSettings, egress: GlobalEgressSettings, place: Location, references: References, findings: Findings
) -> WebhookTarget | None:
    """Return the receiver. `egress` is the global one. Return `None` if its address is invalid; the error is then among
    the findings."""
    address = ("url", settings.url)
    server = compile_server(settings, egress, place, references, findings, base=GUARDED, address=address)
    secrets = compile_secrets(settings.secrets, place, references, findings)
    if server is None:
        return None
    return WebhookTarget(
        origin=server.origin,
        path=server.path,
        headers=server.headers,
        network=server.network,
        timeout_s=server.timeout_s,
        secrets=secrets,
    )


def compile_secrets(
    given: Sequence[str], place: Location, references: References, findings: Findings
) -> tuple[Secret, ...]:
    """Return the secrets that sign messages. The errors of others are among the findings."""
    secrets: list[Secret] = []
    for at, reference in enumerate(given):
        try:
            secret = references.resolve(reference)
            if references.reads_secrets:
                _check(secret.reveal())
        except (BadReference, ValueError) as error:
            findings.error((*place, "secrets", at), str(error))
        else:
            secrets.append(secret)
    return tuple(secrets)


def _check(text: str) -> None:
    """Raise `ValueError` for a secret that cannot sign."""
    message = f"must be `{SECRET_PREFIX}` and 24 to 64 bytes in base64, such as those of `openssl rand -base64 32`"
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(message)
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except Error:
        raise ValueError(message) from None
    if len(key) not in _BYTES:
        raise ValueError(message)
