"""The W3C trace context of requests, and the ids of their spans. https://www.w3.org/TR/trace-context-2/

Worker and admin derive the ids of spans from the id of a request, so that both know them without talking.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b

from msgspec import Struct

MAX_STATE = 512  # characters of `tracestate` that are kept

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_SAMPLED = 1
_RANGE = 1 << 64


class Tracing(Struct, frozen=True):
    """The settings of traces that workers read. `ratio` is the share of the traces that are sampled unless the client
    has decided. `follows_clients` is false if the trace context of clients is ignored."""

    ratio: float = 0.0
    follows_clients: bool = True


class TraceContext(Struct, frozen=True, gc=False):
    """The trace that a client's request belongs to. The ids are in hexadecimal. `state` is its `tracestate`."""

    trace_id: str
    parent_id: str
    is_sampled: bool
    state: str = ""

    @property
    def traceparent(self) -> str:
        return _parent(self.trace_id, self.parent_id, is_sampled=self.is_sampled)


def read_context(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """Return the trace context of two headers, or `None` if `traceparent` is invalid. An invalid `tracestate` is left
    out."""
    found = _PARENT.fullmatch(traceparent)
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    state = tracestate if len(tracestate) <= MAX_STATE and _STATE.fullmatch(tracestate) else ""
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED), state)


def context_in(headers: Mapping[bytes, bytes]) -> TraceContext | None:
    """Return the trace context in the headers of a request, if there is a valid one."""
    parent, state = headers.get(b"traceparent", b""), headers.get(b"tracestate", b"")
    return read_context(parent.decode("latin-1"), state.decode("latin-1")) if parent else None


def trace_id_of(request_id: str, context: TraceContext | None) -> str:
    """Return the trace of a request: its client's, or one with the id of the request."""
    return request_id.replace("-", "") if context is None else context.trace_id


def span_id_of(request_id: str, ordinal: int = 0) -> str:
    """Return the id of a request's span, or of the span of its attempt with this ordinal."""
    return blake2b(f"{request_id}-{ordinal}".encode(), digest_size=8).hexdigest()


def is_sampled(request_id: str, context: TraceContext | None, tracing: Tracing) -> bool:
    """Return whether the head of a request decides for a sample: the client's flag, or else the ratio by trace. Ids of
    requests of one millisecond share their random part, so a digest decides."""
    if context is not None:
        return context.is_sampled
    digest = blake2b(request_id.encode(), digest_size=8, person=b"sample").digest()
    return int.from_bytes(digest, "big") < tracing.ratio * _RANGE


def lines_for_provider(request_id: str, ordinal: int, context: TraceContext | None, tracing: Tracing) -> bytes:
    """Return the header lines that tell a provider the trace and the span of an attempt."""
    trace_id, sampled = trace_id_of(request_id, context), is_sampled(request_id, context, tracing)
    lines = f"traceparent: {_parent(trace_id, span_id_of(request_id, ordinal), is_sampled=sampled)}\r\n"
    if context is not None and context.state:
        lines += f"tracestate: {context.state}\r\n"
    return lines.encode("ascii")


def _parent(trace_id: str, span_id: str, *, is_sampled: bool) -> str:
    return f"00-{trace_id}-{span_id}-{_SAMPLED if is_sampled else 0:02x}"
