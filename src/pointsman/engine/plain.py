"""Answers to requests without a plan: rejections, preflight requests, and the gateway's own answers."""

from time import monotonic, time

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.failures import Failure
from pointsman.domain.records import Feedback, RequestRecord, logged_path
from pointsman.domain.tracing import context_in
from pointsman.engine.heads import AdmittedHead, AdmittedHeads
from pointsman.engine.live import Live
from pointsman.engine.record import note_client
from pointsman.engine.rejections import RejectionThrottle
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.responses import dialect_id_line, id_lines
from pointsman.transport.http_head import Head
from pointsman.wire.callers import client_address, cors_lines, preflight_lines
from pointsman.wire.dialects import COMMON, DIALECTS
from pointsman.wire.errors import status_of

Answer = tuple[int, bytes, bytes]  # status, header lines, body


class PlainAnswers:
    """Writes these answers, and records their requests."""

    def __init__(self, live: Live, request_metrics: RequestMetrics) -> None:
        self._live = live
        self._request_metrics = request_metrics
        self._rejections = RejectionThrottle()

    def answer(
        self,
        head: Head,
        peer: str | None,
        request_id: str,
        body: bytes,
        *,
        received_at: float,
        feedback: Feedback | None = None,
    ) -> Answer:
        """Return the answer of the gateway itself, in JSON. `feedback` is the score that the request gave."""
        access = self._live.snapshot.access
        client = self._client(head, peer, access)
        self._record(head, client, request_id, 200, None, received_at=received_at, feedback=feedback)
        lines = b"content-type: application/json\r\n" + _own_lines(head, request_id, access)
        return 200, lines + dialect_id_line(DIALECTS[AdmittedHeads.dialect(head)], request_id), body

    def reject(
        self, failure: Failure, head: Head | None, peer: str | None, request_id: str, *, received_at: float
    ) -> Answer:
        """Return the answer to a rejected request, in the client's dialect. `head` is absent if the bytes were not a
        request."""
        access = self._live.snapshot.access
        client = self._client(head, peer, access)
        if failure.kind is failures.UNKNOWN_KEY:
            failure = self._rejections.throttle(client, failure, access)
        status = status_of(failure)
        self._record(head, client, request_id, status, failure, received_at=received_at)
        dialect = DIALECTS[AdmittedHeads.dialect(head)] if head is not None else COMMON
        lines = dialect.error_headers(failure, None) + _own_lines(head, request_id, access)
        return status, lines + dialect_id_line(dialect, request_id), dialect.error_body(failure, request_id)

    def is_preflight(self, head: Head) -> bool:
        """Return whether this is the preflight request of a web page that may call the gateway."""
        if head.method != b"OPTIONS" or b"access-control-request-method" not in head.headers:
            return False
        return bool(cors_lines(head.headers, self._live.snapshot.access))

    def preflight(self, head: Head) -> Answer:
        """Return the answer to a preflight request."""
        return 204, preflight_lines(head.headers, self._live.snapshot.access), b""

    def note_gone(self, head: Head, peer: str | None, request_id: str, failure: Failure, received_at: float) -> None:
        """Record a request whose client has disconnected."""
        client = self._client(head, peer, self._live.snapshot.access)
        self._record(head, client, request_id, failure.kind.status, failure, received_at=received_at)

    @staticmethod
    def _client(head: Head | None, peer: str | None, access: Access) -> str:
        return client_address(peer, head.headers.get(b"x-forwarded-for") if head is not None else None, access)

    def _record(
        self,
        head: Head | None,
        client: str,
        request_id: str,
        status: int,
        failure: Failure | None,
        *,
        received_at: float,
        feedback: Feedback | None = None,
    ) -> None:
        """Record a request without a plan. Without a head it has neither method nor path."""
        duration_us = int((monotonic() - received_at) * 1e6)
        key, is_admitted = None, False
        if head is not None and isinstance(head.derived, AdmittedHead) and head.derived.snapshot is self._live.snapshot:
            key, is_admitted = head.derived.admission.virtual_key, True
        is_kept = is_admitted or self._rejections.should_keep()
        record = RequestRecord(
            time=time(),
            request_id=request_id,
            method=head.method.decode("ascii", "replace") if head is not None else "",
            path=logged_path(head.path) if head is not None else "",
            status=status,
            duration_us=duration_us,
            gateway_us=duration_us,
        )
        if failure is not None:
            record.code = failure.kind.code
            record.message = failure.message
        if key is not None:
            record.virtual_key = key.name
            record.team = key.team
            record.customer = key.customer
            record.labels = key.labels
        if head is not None:
            follows = is_admitted and self._live.snapshot.tracing.follows_clients
            note_client(record, head, context_in(head.headers) if follows else None)
        record.client = client
        record.feedback = feedback
        if is_kept and not is_admitted:
            record.left_out = self._rejections.take_left_out()
        self._request_metrics.request(record, is_kept=is_kept)


def _own_lines(head: Head | None, request_id: str, access: Access) -> bytes:
    return id_lines(request_id) + (cors_lines(head.headers, access) if head is not None else b"")
