"""Keeps a provider's key out of what is said about a failure: some providers repeat the key they refuse."""

import re
from json import dumps

from msgspec.structs import replace

from pointsman.domain.failures import Failure
from pointsman.domain.origin import Secret

MASK = "[redacted]"
MIN_LENGTH = 8  # shorter "keys" are place-holders of local servers; masking them would tear words and JSON apart


def redact(failure: Failure, secret: Secret) -> Failure:
    """`failure` without `secret` in its texts and body, nor any beginning of it where a text was cut short."""
    value = secret.reveal()
    if len(value) < MIN_LENGTH:
        return failure
    escaped = dumps(value)[1:-1]
    forms = sorted({value, escaped, escaped.replace("/", "\\/")}, key=len, reverse=True)
    found = re.compile("|".join(map(re.escape, forms)))
    message = _without_cut_end(found.sub(MASK, failure.message), value)
    body, said = failure.body, failure.said
    if said is not None:
        said = _without_cut_end(found.sub(MASK, said), value)
    if body is not None:
        text = body.decode("utf-8", "surrogateescape")
        body = found.sub(MASK, text).encode("utf-8", "surrogateescape")
    if (message, said, body) == (failure.message, failure.said, failure.body):
        return failure
    return replace(failure, message=message, said=said, body=body)


def _without_cut_end(message: str, value: str) -> str:
    for length in range(min(len(value), len(message)), MIN_LENGTH - 1, -1):
        if message.endswith(value[:length]):
            return message[:-length] + MASK
    return message
