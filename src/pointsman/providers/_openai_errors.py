"""Errors in OpenAI's dialect: from status, headers and body to a failure. `_error_table` decides on the fault.

https://platform.openai.com/docs/guides/error-codes, and real errors of the providers that copied the dialect.
"""

import re

import msgspec
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind, Scope
from pointsman.domain.http_date import http_unix_s
from pointsman.domain.messages import Headers
from pointsman.providers._error_table import Rules, judge
from pointsman.wire.json_object import UNREADABLE

MAX_MESSAGE = 500  # characters
MAX_BODY_BYTES = 64 * 1024  # of an error: a longer body does not describe one
MAX_WAIT_S = 86400.0


class _ProviderError(Struct):
    """The content of an error body. `is_openai` says that it has OpenAI's shape and can be passed on."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    is_openai: bool = False


_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z_]{0,47}|\d{3,5}")  # a word of a closed list, not a text, id or key
_FIELD = re.compile(r"[a-z_]{1,40}(?![^.\[])")  # the field at the top of a path into the request
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_SPAN = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ms|s|m|h|d)", re.ASCII)
_SPANS = re.compile(rf"(?:{_SPAN.pattern})+", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# The wordings of OpenAI and Groq ("Please try again in 9m38s"), Azure ("retry after 22 seconds"), Gemini ("retry in
# 34.07s").
_WAIT_IN_MESSAGE = re.compile(
    r"\b(?:try again|retry) (?:in|after) (?:((?:\d{1,15}(?:\.\d{1,15})?(?:ms|s|m|h|d))+)"
    r"|(\d{1,15}(?:\.\d{1,15})?) ?(milliseconds?|seconds?|minutes?|hours?|days?))\b",
    re.ASCII | re.IGNORECASE,
)
_SECONDS_BY_UNIT = {"milliseconds": 0.001, "seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
# Numbers above these are points in time, not spans: 2001 in seconds, 1973 in milliseconds.
_UNIX_S = 1e9
_UNIX_MS = 1e11


def classify(status: int, headers: Headers, body: bytes, now_unix_s: float, rules: Rules = ()) -> Failure:
    """Return the failure for an answer whose status is not 2xx, by a provider's own `rules` before the shared ones.
    `now_unix_s` is wall-clock time, for dates in headers."""
    error = read_error(body)
    found = error or _ProviderError()
    kind, scope = judge(status, (found.code, found.type), found.message, rules)
    is_fit = found.is_openai and kind.fault is not Fault.CREDENTIAL
    message, wait_s = f"the provider returned {status}", retry_after_s(headers, now_unix_s)
    if wait_s is None:
        wait_s = _wait_in_message(kind, found.message)
    return _failure(kind, scope, message, found, status=status, body=body if is_fit else None, wait_s=wait_s)


def classify_inside(error_body: bytes, rules: Rules = ()) -> Failure:
    """Return the failure for an error object that came with a status of 200."""
    error = read_error(error_body) or _ProviderError()
    status = error.code if isinstance(error.code, int) and 400 <= error.code < 600 else None
    kind, scope = judge(status, (error.code, error.type), error.message, rules)
    if kind is failures.UPSTREAM_REFUSED:
        kind = failures.UPSTREAM_ERROR  # it had begun to serve the request
    message, wait_s = "the provider returned an error with status 200", _wait_in_message(kind, error.message)
    body = error_body if error.is_openai else None
    return _failure(kind, scope, message, error, status=status or 500, body=body, wait_s=wait_s)


# Replaces a provider's own words, which often repeat a part of the key.
_KEY_MESSAGES = {
    failures.CREDENTIAL_REJECTED: "it rejects the provider key (replace it)",
    failures.BALANCE_EMPTY: "the account of the provider key has no balance or quota left (add credit)",
    failures.UPSTREAM_MODEL_DENIED: "the provider key has no access to this model (grant it, or restrict the key)",
}


def _failure(
    kind: Kind,
    scope: Scope | None,
    message: str,
    error: _ProviderError,
    *,
    status: int,
    body: bytes | None,
    wait_s: float | None,
) -> Failure:
    """Return a failure whose message has only the provider's code, type and field. Any other text may quote the prompt,
    or repeat a part of a key. The client receives only the words about the request itself.
    """
    is_of_request = kind.fault is Fault.REQUEST or kind is failures.UPSTREAM_FORBIDDEN
    quoted = error.message[:MAX_MESSAGE] if error.message and is_of_request else None
    param = _FIELD.match(error.param or "")
    named = (("code", error.code), ("type", error.type), ("param", param[0] if param else None))
    shown = ", ".join(f"{name} {value}" for name, value in named if value and _IDENTIFIER.fullmatch(str(value)))
    message = f"{message} ({shown})" if shown else message
    if kind in _KEY_MESSAGES:
        message = f"{message}: {_KEY_MESSAGES[kind]}"
    return Failure(
        kind, message, status=status, retry_after_s=wait_s, param=error.param, body=body, quote=quoted, scope=scope
    )


def read_error(body: bytes) -> _ProviderError | None:
    """Return the error in a body, in any of the shapes that occur; `None` if there is none."""
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        found: object = msgspec.json.decode(body)
    except UNREADABLE:
        return _plain_text(body)
    is_list = isinstance(found, list)
    if isinstance(found, list) and found:  # Gemini's OpenAI-compatible address
        found = found[0]
    if not isinstance(found, dict):
        return None
    wrapped = found.get("error")
    inner = wrapped or (None if found.get("message") else _first(found.get("errors")))
    source = inner if isinstance(inner, dict) else found
    message = source.get("message") or (inner if isinstance(inner, str) else source.get("detail"))
    if message is None and source is found:
        return None
    code = source.get("code") or source.get("error_code")
    return _ProviderError(
        message if isinstance(message, str) or message is None else msgspec.json.encode(message).decode(),
        _text(source.get("type")) or _text(source.get("reason")),
        code if isinstance(code, int) else _text(code),
        _text(source.get("param")),
        is_openai=source is wrapped and not is_list,
    )


def _first(value: object) -> object:
    """Return the first of the errors in a list, as Cloudflare sends them.
    https://developers.cloudflare.com/fundamentals/api/reference/errors/"""
    return value[0] if isinstance(value, list) and value else None


def _plain_text(body: bytes) -> _ProviderError | None:
    """Return an error that is a line of text, such as that of a server which does not have the path."""
    if len(body) > MAX_MESSAGE or body.lstrip()[:1] in b"<{[":
        return None
    try:
        return _ProviderError(body.decode().strip() or None)
    except UnicodeDecodeError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def retry_after_s(headers: Headers, now_unix_s: float) -> float | None:
    """Return the wait in seconds that the provider asks for, from the headers in use; `None` if they have none.

    It is never more than `MAX_WAIT_S`: after that, the provider is tried again.
    """
    found = {name: value.decode("latin-1").strip() for name, value in headers.items() if name in _WAIT_HEADERS}
    if not found:
        return None
    wait_s = _scaled(_number(found.get(b"retry-after-ms", "")), 0.001)
    if wait_s is None and (text := found.get(b"retry-after")):
        wait_s = _number(text)
        if wait_s is None:
            at = http_unix_s(text)
            wait_s = at - now_unix_s if at is not None else None
    if wait_s is None:
        waits = [
            reset_s(found.get(b"x-ratelimit-reset" + suffix, ""), now_unix_s)
            for suffix in _LIMITED
            if found.get(b"x-ratelimit-remaining" + suffix) == "0"
        ]
        wait_s = max((wait for wait in waits if wait is not None), default=None)
    return None if wait_s is None else min(max(wait_s, 0.0), MAX_WAIT_S)


def _wait_in_message(kind: Kind, message: str | None) -> float | None:
    """Return the wait in seconds from the message of a provider that limits: several put it in no header."""
    if kind is not failures.UPSTREAM_RATE_LIMITED or not message:
        return None
    found = _WAIT_IN_MESSAGE.search(message)
    if found is None:
        return None
    spans, number, unit = found.groups()
    if spans:
        wait_s = sum(float(span) * _SECONDS[unit] for span, unit in _SPAN.findall(spans.lower()))
    else:
        wait_s = float(number) * _SECONDS_BY_UNIT[unit.lower().removesuffix("s") + "s"]
    return min(wait_s, MAX_WAIT_S)


_LIMITED = (b"-requests", b"-tokens", b"", b"-requests-day", b"-tokens-minute")
_WAIT_HEADERS = frozenset({b"retry-after-ms", b"retry-after"}).union(
    b"x-ratelimit-" + suffix + kind for suffix in (b"remaining", b"reset") for kind in _LIMITED
)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _scaled(number: float | None, factor: float) -> float | None:
    return None if number is None else number * factor


def reset_s(text: str, now_unix_s: float) -> float | None:
    """Return the seconds of a span such as `6m0s`, `1.2s` or `20ms`, or of a bare number of seconds. For a Unix time in
    seconds or milliseconds, return the seconds until then."""
    number = _number(text)
    if number is None:
        return (
            sum(float(span) * _SECONDS[unit] for span, unit in _SPAN.findall(text)) if _SPANS.fullmatch(text) else None
        )
    if number > _UNIX_MS:
        return number / 1000 - now_unix_s
    return number - now_unix_s if number > _UNIX_S else number
