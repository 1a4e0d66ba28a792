"""The header lines of an answer: the provider's headers that pass, and the gateway's own."""

from collections.abc import Sequence
from functools import lru_cache

from pointsman.domain.dollars import NANO
from pointsman.domain.messages import Headers
from pointsman.domain.targets import Candidate
from pointsman.wire.dialect import Dialect

# All other headers are dropped: rate limits and ids of the gateway's own account, cookies, hop headers.
PASSED = frozenset(
    {b"content-type", b"content-disposition", b"content-language", b"cache-control", b"etag", b"last-modified"}
    | {b"accept-ranges", b"content-range", b"openai-processing-ms", b"openai-version"}
)


# Proxies must neither cache nor buffer a stream: nginx, for example, buffers it by default.
_STREAM_LINES = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
_PASSED_OF_STREAM = PASSED - {b"content-type", b"cache-control"}


def provider_lines(headers: Headers, *, is_stream: bool = False) -> bytes:
    """Return the provider's header lines that a client may see. A stream of events gets the gateway's own lines for
    type and caching."""
    lines = _STREAM_LINES if is_stream else b""
    passed = _PASSED_OF_STREAM if is_stream else PASSED
    for name in headers:
        if name in passed:
            lines += b"%b: %b\r\n" % (name, headers[name])
    return lines


def answer_lines(
    request_id: str,
    served_by: Candidate | None,
    attempts: int,
    own_s: float,
    cost_nano: int | None = None,
    max_tokens: int | None = None,
) -> bytes:
    """Return the gateway's own lines. They name the provider that served the request, and the number of attempts.
    `gateway;dur` is the gateway's own time in milliseconds: since the request was received, less the time of attempts.
    They include the bound of a shortened answer, and the cost if it is known by now."""
    name = request_id.encode()
    lines = b"x-request-id: %b\r\nx-pointsman-request-id: %b%b%.3f\r\n" % (
        name,
        name,
        _served_lines(served_by.endpoint.name, served_by.model, attempts) if served_by is not None else _TIMING,
        own_s * 1e3,
    )
    if max_tokens is not None:
        lines += b"x-pointsman-max-tokens: %d\r\n" % max_tokens
    if not cost_nano:
        return lines
    cost = (b"%d.%09d" % divmod(cost_nano, NANO)).rstrip(b"0").rstrip(b".")  # as `dollars`, which is slower
    return lines + b"x-pointsman-cost-usd: %b\r\n" % cost


def timing_lines(attempts: Sequence[tuple[str, str, float]]) -> bytes:
    """Return the `server-timing` line of an answer whose request was sent twice at once. An attempt is given by its
    role (`attempt`, `hedge` or `race`), its candidate and its time in seconds."""
    parts = [f'{role};desc="{_quotable(name)}";dur={seconds * 1e3:.3f}' for role, name, seconds in attempts]
    return f"server-timing: {', '.join(parts)}\r\n".encode("ascii")


def _quotable(name: str) -> str:
    """Return a name that may come from a client without characters that a quoted string cannot hold."""
    text = name if name.isascii() and name.isprintable() else ascii(name)
    return text.replace("\\", "/").replace('"', "'")


def id_lines(request_id: str) -> bytes:
    """Return the lines with the request's id, in the gateway's own header and in the one that official SDKs show."""
    name = request_id.encode()
    return b"x-request-id: %b\r\nx-pointsman-request-id: %b\r\n" % (name, name)


_TIMING = b"\r\nserver-timing: gateway;dur="


@lru_cache(maxsize=4096)  # of names and a number
def _served_lines(name: str, model: str, attempts: int) -> bytes:
    """Return the lines from after the id up to the time."""
    if not (model.isascii() and model.isprintable()):
        model = ascii(model)  # it may come from a client, so no character that could end the line passes
    served = f"\r\nx-pointsman-provider: {name}\r\nx-pointsman-model: {model}\r\nx-pointsman-attempts: {attempts}"
    return served.encode("ascii") + _TIMING


def dialect_id_line(dialect: Dialect, request_id: str) -> bytes:
    """Return the line with the id of a request that clients of a dialect expect, if there is one."""
    return f"{dialect.id_header}: {request_id}\r\n".encode("ascii") if dialect.id_header else b""
