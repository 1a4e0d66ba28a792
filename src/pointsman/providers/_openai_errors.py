"""The error table of OpenAI's dialect: from status, headers and body to a failure.

https://platform.openai.com/docs/guides/error-codes, and what the providers that copied the dialect really send.
"""

import re
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import Headers

MAX_MESSAGE = 500


class _Error(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Body(Struct):
    error: _Error | str | None = None
    message: str | None = None
    detail: Raw = Raw(b"")


_DECODER = msgspec.json.Decoder(_Body, strict=False)

_BY_STATUS: dict[int, Kind] = {
    401: failures.CREDENTIAL_REJECTED,
    402: failures.CREDENTIAL_REJECTED,
    403: failures.CREDENTIAL_REJECTED,
    404: failures.UPSTREAM_MODEL_MISSING,
    408: failures.UPSTREAM_ERROR,
    409: failures.UPSTREAM_ERROR,
    425: failures.UPSTREAM_ERROR,
    429: failures.UPSTREAM_RATE_LIMITED,
    503: failures.UPSTREAM_OVERLOADED,
    529: failures.UPSTREAM_OVERLOADED,
}

_BY_CODE: dict[str, Kind] = {
    "context_length_exceeded": failures.CONTEXT_TOO_LONG,
    "string_above_max_length": failures.CONTEXT_TOO_LONG,
    "content_filter": failures.CONTENT_FILTERED,
    "content_policy_violation": failures.CONTENT_FILTERED,
    "insufficient_quota": failures.CREDENTIAL_REJECTED,
    "billing_hard_limit_reached": failures.CREDENTIAL_REJECTED,
    "invalid_api_key": failures.CREDENTIAL_REJECTED,
    "rate_limit_exceeded": failures.UPSTREAM_RATE_LIMITED,
    "rate_limit_error": failures.UPSTREAM_RATE_LIMITED,
    "overloaded_error": failures.UPSTREAM_OVERLOADED,
    "overloaded": failures.UPSTREAM_OVERLOADED,
    "server_error": failures.UPSTREAM_ERROR,
    "model_not_found": failures.UPSTREAM_MODEL_MISSING,
}

_TOO_LONG = re.compile(
    r"maximum context length|context (?:length|window)|prompt is too long|too many tokens", re.IGNORECASE
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def classify(status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
    """The failure for an answer whose status is not 2xx. `now_unix_s` is wall-clock time, for dates in headers."""
    error = read_error(body)
    kind = _kind(status, error)
    if kind is None:
        kind = failures.UPSTREAM_REFUSED if 400 <= status < 500 else failures.UPSTREAM_ERROR
    said = f": {error.message[:MAX_MESSAGE]}" if error is not None and error.message else ""
    return Failure(
        kind,
        f"the provider answered {status}{said}",
        status=status,
        retry_after_s=retry_after_s(headers, now_unix_s),
        param=error.param if error is not None else None,
        body=body if error is not None else None,
    )


def classify_inside(error_body: bytes) -> Failure:
    """The failure for an error object that came with a status of 200."""
    error = read_error(error_body) or _Error()
    status = error.code if isinstance(error.code, int) and 400 <= error.code < 600 else 500
    kind = _kind(status, error) or failures.UPSTREAM_ERROR
    said = f": {error.message[:MAX_MESSAGE]}" if error.message else ""
    return Failure(kind, f"the provider answered 200 with an error inside{said}", status=status, body=error_body)


def read_error(body: bytes) -> _Error | None:
    """The error object of a body in any of the shapes that occur; `None` if there is none."""
    try:
        read = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(read.error, str):
        return _Error(message=read.error)
    if read.error is not None:
        return read.error
    if read.message is not None:
        return _Error(message=read.message)
    detail = bytes(read.detail)
    return _Error(message=detail.decode(errors="replace")) if detail else None


def _kind(status: int, error: _Error | None) -> Kind | None:
    if error is not None:
        for code in (error.code, error.type):
            found = _BY_CODE.get(code) if isinstance(code, str) else None
            # A code speaks for itself only where the status does not say whose fault it is more plainly.
            if found is not None and not (status in (401, 402, 403) or (status >= 500 and _is_request(found))):
                return found
        if status in (400, 413, 422) and error.message and _TOO_LONG.search(error.message):
            return failures.CONTEXT_TOO_LONG
    return _BY_STATUS.get(status)


def _is_request(kind: Kind) -> bool:
    return kind.fault is failures.Fault.REQUEST


def retry_after_s(headers: Headers, now_unix_s: float) -> float | None:
    """How long the provider asks to be left alone, from the headers in use; `None` if it does not say."""
    found = {name: value.decode("latin-1").strip() for name, value in headers if name in _WAIT_HEADERS}
    if (text := found.get(b"retry-after-ms")) and text.replace(".", "", 1).isdigit():
        return float(text) / 1000
    if text := found.get(b"retry-after"):
        if text.replace(".", "", 1).isdigit():
            return float(text)
        try:
            return max(parsedate_to_datetime(text).timestamp() - now_unix_s, 0.0)
        except ValueError:
            return None
    waits = [
        _span_s(found[b"x-ratelimit-reset-" + what])
        for what in (b"requests", b"tokens")
        if found.get(b"x-ratelimit-remaining-" + what) == "0" and b"x-ratelimit-reset-" + what in found
    ]
    return max(waits) if waits else None


_WAIT_HEADERS = frozenset(
    {b"retry-after-ms", b"retry-after"}
    | {b"x-ratelimit-remaining-requests", b"x-ratelimit-remaining-tokens"}
    | {b"x-ratelimit-reset-requests", b"x-ratelimit-reset-tokens"}
)


def _span_s(text: str) -> float:
    """Seconds of a span such as `6m0s`, `1.2s` or `20ms`; a bare number is seconds."""
    if text.replace(".", "", 1).isdigit():
        return float(text)
    return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(text))
