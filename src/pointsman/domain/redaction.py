"""Redaction of a provider's key and address in failures. Providers repeat a key that they reject, and servers name
their own address."""

import re
from json import dumps, loads

from msgspec.structs import replace

from pointsman.domain.failures import Failure
from pointsman.domain.origin import Credential, GoogleSource, Origin, secrets_in

MASK = "[redacted]"
MIN_LENGTH = 8  # shorter "keys" are place-holders of local servers; masking them would damage words and JSON
MAX_WINDOWS = 512  # parts of a key to search for
_SECRET_FIELDS = ("private_key", "client_secret", "refresh_token")  # of a file of Google's credentials
_BEGINNING = 3  # characters of a key that providers leave in front of the mask


def redact(failure: Failure, credential: Credential, origin: Origin | None = None) -> Failure:
    """Return `failure` without the secrets of a credential, any part of them of `MIN_LENGTH` characters, or their rest
    after masking by a provider. The provider's message to the client does not hold `origin` either."""
    address = _address_pattern(origin) if origin is not None else None
    for value in _values(credential) or [""]:
        failure = _without(failure, value, address)
    return failure


def _values(credential: Credential) -> list[str]:
    """Return the texts to hide. A file of Google's credentials also has names, which a message may contain."""
    if not isinstance(credential, GoogleSource) or credential.file is None:
        return [secret.reveal() for secret in secrets_in(credential)]
    try:
        fields = loads(credential.file.reveal())
    except ValueError:
        return [credential.file.reveal()]
    found: list[str] = []
    while isinstance(fields, dict):
        found += [fields[name] for name in _SECRET_FIELDS if isinstance(fields.get(name), str)]
        fields = fields.get("source_credentials")
    return found


def _without(failure: Failure, value: str, address: re.Pattern[str] | None) -> Failure:
    found = _key_pattern(value) if len(value) >= MIN_LENGTH else None
    quote, param = _masked(failure.quote, value, found, address), _masked(failure.param, value, found, address)
    client_message = _masked(failure.client_message, value, found, address)
    message = _masked(failure.message, value, found, None) or failure.message
    body = failure.body
    if body is not None:
        text = _masked(body.decode("utf-8", "surrogateescape"), value, found, address)
        body = text.encode("utf-8", "surrogateescape") if text is not None else None
    if (message, quote, client_message, param, body) == (
        failure.message,
        failure.quote,
        failure.client_message,
        failure.param,
        failure.body,
    ):
        return failure
    return replace(failure, message=message, quote=quote, client_message=client_message, param=param, body=body)


def _key_pattern(value: str) -> re.Pattern[str]:
    """Return a pattern of the key as it is and in JSON, and its beginning before asterisks or dots."""
    escaped = dumps(value)[1:-1]
    forms = sorted({value, escaped, escaped.replace("/", "\\/")}, key=len, reverse=True)
    hidden = re.escape(value[:_BEGINNING]) + r"[^\s\"',*.\u2026]*(?:\*{2,}|\.{3,}|\u2026)[^\s\"',\\]*"
    return re.compile("|".join([*map(re.escape, forms), hidden]))


def _address_pattern(origin: Origin) -> re.Pattern[str]:
    """Return a pattern of the address with its port, or a name that cannot be a common word."""
    host = re.escape(origin.host)
    forms = [rf"(?:https?://)?\[?{host}\]?:{origin.port}\b", rf"https?://\[?{host}\]?"]
    if "." in origin.host or ":" in origin.host:
        forms.append(rf"(?<![\w.-]){host}(?![\w-])")
    return re.compile("|".join(forms), re.IGNORECASE)


def _masked(text: str | None, value: str, found: re.Pattern[str] | None, address: re.Pattern[str] | None) -> str | None:
    if not text:
        return text
    if found is not None:
        text = found.sub(MASK, text)
        text = _without_parts(text, value)
    return address.sub(MASK, text) if address is not None else text


def _without_parts(text: str, value: str) -> str:
    """Mask each part of the key that is long enough to reveal it."""
    for start in range(min(len(value) - MIN_LENGTH, MAX_WINDOWS) + 1):
        part = value[start : start + MIN_LENGTH]
        while part not in MASK and (at := text.find(part)) >= 0:
            length = MIN_LENGTH
            while start + length < len(value) and text[at + length : at + length + 1] == value[start + length]:
                length += 1
            text = text[:at] + MASK + text[at + length :]
    return text
