"""The header lines of an answer: what of the provider's headers passes, and what the gateway adds."""

from time import monotonic

from pointsman.domain.messages import Headers
from pointsman.engine.attempts import Run

# Everything else stays here: rate limits and ids of the gateway's own account, cookies, hop headers.
PASSED = frozenset(
    {b"content-type", b"content-disposition", b"content-language", b"cache-control", b"etag", b"last-modified"}
    | {b"accept-ranges", b"content-range", b"openai-processing-ms", b"openai-version"}
)


def provider_lines(headers: Headers) -> bytes:
    """Those of a provider's header lines a client may see."""
    lines = b""
    for name, value in headers:
        if name in PASSED:
            lines += name + b": " + value + b"\r\n"
    return lines


def answer_lines(identity: str, run: Run | None, received_at: float) -> bytes:
    """The gateway's own lines: who served the request, at which attempt, and what the gateway took for itself.

    `gateway;dur` is in milliseconds: the time since the request was received, less the time spent on attempts.
    """
    lines = f"x-pointsman-request-id: {identity}\r\n"
    now = monotonic()
    own_s = now - received_at
    if run is not None and run.chosen is not None:
        count = len(run.history)
        own_s -= run.paused_s
        for attempt in run.history:
            own_s -= attempt.ended_at - attempt.started_at
        if run.started_at is not None:  # the attempt in progress, at its commit
            own_s -= now - run.started_at
            count += 1
        lines += (
            f"x-pointsman-provider: {run.chosen.endpoint.name}\r\nx-pointsman-model: {_safe(run.chosen.model)}\r\n"
            f"x-pointsman-attempts: {count}\r\n"
        )
    return (lines + f"server-timing: gateway;dur={own_s * 1e3:.3f}\r\n").encode("latin-1", "replace")


def _safe(model: str) -> str:
    """A model's name as a header value: it may come from a client, so nothing that could end the line passes."""
    return model if model.isascii() and model.isprintable() else ascii(model)
