"""Receives the answer to one attempt: holds it back until it commits, then passes it on.

The commit rule. A stream commits at its first content. Until then its events are held, so that another provider can
still take over if this one fails after a role or a comment. With `failover.stream_recovery: buffer` it commits when it
is complete, or when it outgrows `commit_buffer`. A JSON answer is collected and commits when it is complete, or when
it outgrows `commit_buffer`. Any other answer commits at its first byte. After the commit an answer can only be
completed, or be ended by an explicit error.

The `content-type` of an answer is not reliable. If a stream is expected, its first byte distinguishes a stream from
JSON and from a web page.
"""

import logging
from collections.abc import Callable
from time import monotonic, time
from typing import ClassVar

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import Usage
from pointsman.domain.snapshots import Routing
from pointsman.domain.units import Units
from pointsman.engine.passage import AnswerPassage, Claim
from pointsman.engine.tasks import Bell
from pointsman.money.charges import Arrived
from pointsman.providers.api import NO_STREAM, AnswerScan, Codec, StreamDecoder
from pointsman.transport.errors import TransportFailure
from pointsman.wire.sse import BYTE_ORDER_MARK, are_events
from pointsman.wire.tokens import CONTENT_BYTES_PER_TOKEN
from pointsman.wire.units import answered_units

MAX_ERROR_BYTES = 64 * 1024
ERROR_BODY_S = 2.0  # how long to wait for the body of an error answer
SCANNED_WHOLE_BYTES = 64 * 1024  # of an answer: a longer one is scanned for usage as it arrives

# The mode of a receiver decides how it treats the bytes of its answer. HEAD: none have arrived. BEGINNING: the first
# bytes of an expected stream.
HEAD, BEGINNING, COLLECT, ERROR, EVENTS, RELAY = range(6)
_OK = 200
_LONGEST_BLANK = 1024  # bytes of white space at the beginning of a stream
_logger = logging.getLogger(__name__)


class AnswerReceiver(AnswerPassage):
    """A `ResponseHandler` for one attempt. At the end, `body` has an answer that was collected and is still to be
    sent."""

    is_whole = False  # the answer needs a rewrite for the client, so none of it is passed on
    status: int | None = None
    headers: Headers
    body: bytes | None = None
    usage: Usage | None = None
    units: Units | None = None  # that the answer reports
    first_byte_at: float | None = None
    whole_by: float | None = None  # set if a stream commits only when it is complete: the deadline for that

    held: frozenset[Kind] = frozenset()  # the kinds of refusals that the client does not get yet
    refused: Kind | None = None  # the model or a filter refused

    _held = 0  # bytes of a stream held until its first content

    def __init__(self, call: Call, codec: Codec, claim: Claim, bell: Bell, routing: Routing) -> None:
        # Fields that every request reads are set here: an attribute of a class is slower to read than an object's own.
        self._claim = claim
        self._bell = bell
        self._routing = routing
        self._call = call
        self._codec = codec
        self.leg = None
        self.failure = None
        self.committed_at = None
        self.is_over = False
        self.is_stream = False  # the client's answer consists of events
        self.watch: Callable[[bytes], None] | None = None  # gets each piece of a successful answer before the client
        self.commit_by = None
        self.decoder: StreamDecoder | None = None
        self._scan: AnswerScan | None = None  # of relayed JSON: finds its usage and its end
        self.bytes_in = 0
        self._mode = HEAD
        self._pieces: list[bytes] = []

    # Called by the transport.

    def on_head(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.first_byte_at = monotonic()
        if status != _OK and not self._codec.is_answer(status):
            self._mode = ERROR
            if self.leg is not None:  # the status is enough: reading the text must not delay the next attempt
                self.leg.deadline = min(self.leg.deadline, self.first_byte_at + ERROR_BODY_S)
                self.leg.watch()
            return
        form = self._codec.form(self._call, status, headers.get(b"content-type", b"").lower())
        if form == "whole" or self.is_whole:
            self._mode = COLLECT
        elif form == "events":
            self._mode = BEGINNING
            self.is_stream = True
        else:
            self._mode = RELAY
        if self.commit_by is not None and self.leg is not None:
            self.leg.deadline = self.content_by if form == "events" else self.commit_by

    def on_data(self, data: bytes) -> None:
        if self.is_over:
            return
        self.bytes_in += len(data)
        mode = self._mode
        if self.watch is not None and mode != ERROR:
            self.watch(data)
        if mode == EVENTS and (decoder := self.decoder) is not None:
            out = decoder.feed(data)
            if self.committed_at is None or decoder.is_ending:
                self._on_events(decoder, out)
            elif out:
                self._write(out)
        elif self.is_beaten and mode in (COLLECT, RELAY):
            self.abort(SUPERSEDED)  # it is no stream, so no first content will come
        else:
            self._TAKE[mode](self, data)

    def on_end(self) -> None:
        mode = self._mode
        if self.is_over:
            return
        try:
            if self.is_beaten and mode in (COLLECT, RELAY):
                self._fail(SUPERSEDED)
            elif mode == COLLECT:
                self._on_whole(_joined(self._pieces))
            elif mode == EVENTS:
                self._on_events_end()
            elif mode == BEGINNING:
                self._fail(Failure(failures.TRUNCATED, _NOTHING_CAME))
            elif mode == RELAY:
                self._on_relay_end()
            else:
                self._fail_by_status()
        except Exception:  # after any error: no later call could end the attempt
            _logger.exception("the end of an answer cannot be processed")
            self.failure = _BROKEN
            self._finish()

    def on_failure(self, failure: TransportFailure) -> None:
        if self.is_over:
            return
        try:
            if self._mode == ERROR:
                self._fail_by_status()
            elif self._mode == EVENTS and self.decoder is not None and self.decoder.is_finished:
                self._on_events_end()  # the answer is complete
            else:
                message = _CLIENT_MESSAGES.get(failure.kind, _FAILED)
                self._fail(Failure(failure.kind, failure.message, status=self.status, client_message=message))
        except Exception:  # as above
            _logger.exception("the end of an answer cannot be processed")
            self.failure = _BROKEN
            self._finish()

    # Called by the engine.

    @property
    def events(self) -> int:
        """The number of events with content that arrived so far."""
        return self.decoder.events if self.decoder is not None else 0

    def error_event(self, failure: Failure, request_id: str) -> bytes | None:
        """Return the event that ends the client's stream when it cannot be completed; `None` if the answer is not a
        stream."""
        return self.decoder.error_event(failure, request_id) if self.decoder is not None else None

    def arrived(self) -> Arrived:
        """Return the facts of an answer whose provider reported no usage."""
        leg, status = self.leg, self.status
        return Arrived(
            events=_tokens_of(self.events, self.decoder),
            bytes_in=self.bytes_in,
            status=status,
            was_sent=leg is not None and leg.was_sent and not leg.is_uploading,
            is_counted=self._codec.counts(self._call, is_committed=self.committed_at is not None),
            is_announced=status is not None and (_is_json(self.headers) or _is_event_stream(self.headers)),
        )

    def used(self) -> Usage | None:
        """Return the usage that the provider has reported so far. If it lacks tokens of the answer, they are those that
        arrived."""
        usage = self.decoder.usage if self.usage is None and self.decoder is not None else self.usage
        if usage is None or self.decoder is None or not self.decoder.is_usage_partial:
            return usage
        return replace(usage, tokens_out=max(usage.tokens_out, _tokens_of(self.events, self.decoder)))

    @property
    def is_usage_partial(self) -> bool:
        """True if the provider has reported the tokens of the prompt only."""
        return self.decoder is not None and self.decoder.is_usage_partial

    def abort(self, failure: Failure) -> None:
        """End the attempt with this failure, unless it has ended."""
        if not self.is_over:
            self._fail(failure)
            if self.leg is not None:
                self.leg.cancel()

    # Private methods.

    def _relay(self, data: bytes) -> None:
        if self.committed_at is None:
            self._commit(_length(self.headers))
        if self._scan is not None:
            self._scan.feed(data)
        self._write(data)

    def _collect(self, data: bytes) -> None:
        self._pieces.append(data)
        if self.bytes_in > SCANNED_WHOLE_BYTES:
            self._scan_along(data)
        if self.bytes_in > self._routing.commit_buffer:
            self._on_outgrown()

    def _keep_error(self, data: bytes) -> None:
        if self.bytes_in - len(data) < MAX_ERROR_BYTES:
            self._pieces.append(data)

    def _fail_by_status(self) -> None:
        body = _joined(self._pieces)[:MAX_ERROR_BYTES]
        self._fail(self._codec.failure(self.status or 0, self.headers, body, time()))

    def _on_whole(self, body: bytes) -> None:
        call, codec = self._call, self._codec
        answer = codec.decode(call, body, as_stream=self.is_stream, now_unix_s=time() if codec.is_translating else 0.0)
        if isinstance(answer, Failure):
            self.usage = codec.usage_in(body) if self._scan is None else self._scan.read()
            self._fail(answer)
            return
        self.usage = answer.usage if self._scan is None or answer.usage is not None else self._scan.read()
        self.body = answer.body
        if call.units is not None:
            self.units = answered_units(call, answer.body)
        if self.is_stream:
            self.headers = {**self.headers, b"content-type": b"text/event-stream"}
        elif not _is_json(self.headers) and self.body:  # SDKs treat an answer as text unless its type is JSON
            self.headers = {**self.headers, b"content-type": b"application/json"}
        self.refused = answer.refused
        if answer.refused in self.held:
            self._fail(_REFUSED[answer.refused])
            return
        self.committed_at = monotonic()
        self._finish()

    def _on_outgrown(self) -> None:
        """Handle an answer longer than the buffer. Relay it from here on without decoding it, unless a stream was
        expected."""
        if self.is_stream or not _begins_as_json(self._pieces[0]):
            self.abort(NO_STREAM if self.is_stream else Failure(failures.MALFORMED_ANSWER, _NO_JSON))
            return
        if self._codec.is_translating:
            self.abort(Failure(failures.MALFORMED_ANSWER, _TOO_LONG_TO_TRANSLATE))
            return
        if self.is_whole:
            self.abort(Failure(failures.MALFORMED_ANSWER, _TOO_LONG))
            return
        self._mode = RELAY
        self._commit(_length(self.headers))
        collected = _joined(self._pieces)
        if self._scan is None:
            self._scan_along(b"")
        self._write(collected)
        self._pieces.clear()

    def _scan_along(self, data: bytes) -> None:
        """Scan a long answer for usage as it arrives. To scan all of it at once would block the event loop."""
        if self._scan is None:
            self._scan = self._codec.scan()
            data = _joined(self._pieces)
        self._scan.feed(data)

    def _on_beginning(self, data: bytes) -> None:
        """Take the first bytes of an expected stream."""
        data = _joined(self._pieces) + data
        self._pieces.clear()
        if len(data) <= _LONGEST_BLANK and not data.removeprefix(BYTE_ORDER_MARK).strip():
            self._pieces.append(data)
        elif are_events(data):
            self._mode, self.bytes_in = EVENTS, self.bytes_in - len(data)
            if not _is_event_stream(self.headers):
                self.headers = {**self.headers, b"content-type": b"text/event-stream"}
            now_unix_s = time() if self._codec.is_translating else 0.0
            self.decoder = self._codec.decoder(self._call, self._routing.event_bytes, now_unix_s)
            self.on_data(data)
        else:
            self._mode, self.bytes_in = COLLECT, self.bytes_in - len(data)
            if self.commit_by is not None and self.leg is not None:
                self.leg.deadline = self.commit_by
                self.leg.watch()
            self.on_data(data)

    def _on_relay_end(self) -> None:
        if self.committed_at is None:
            if self._call.operation == "audio" and self.status == _OK:
                self._fail(Failure(failures.MALFORMED_ANSWER, _NOTHING_CAME))
                return
            self._commit(_length(self.headers))
        scan = self._scan
        if scan is not None:
            self.usage = scan.read()
            if not scan.is_whole:
                self._fail(
                    Failure(failures.TRUNCATED, "the provider's answer ended before it was complete; retry the request")
                )
                return
        self._complete()

    def _on_events(self, decoder: StreamDecoder, out: bytes) -> None:
        """Handle the decoder's output for a piece that may begin or end the client's answer."""
        if decoder.failure is not None or decoder.is_done:
            self._end_events(decoder, out)
            return
        if self.committed_at is None:
            self._hold_back(decoder, out)
        elif out:
            self._write(out)
        if (
            decoder.is_finished
            and not self._is_ending
            and (self.committed_at is not None or self.whole_by is not None or _is_held(decoder, self.held))
        ):
            self._expect_end()

    def _hold_back(self, decoder: StreamDecoder, out: bytes) -> None:
        """Hold the output until the first content, then pass all of it on. A refusal is held to its end, if it is not
        too long and another candidate would follow."""
        if out:
            self._pieces.append(out)
            self._held += len(out)
        is_held = _is_held(decoder, self.held)
        if self.whole_by is not None and decoder.has_content and self._held <= self._routing.commit_buffer:
            is_clients = self._call.head.timeout_s is not None
            if not self._is_ending:
                self._expect_rest(self.whole_by, failures.DEADLINE_EXCEEDED if is_clients else failures.COMMIT_TIMEOUT)
        elif is_held and self._held <= self._routing.commit_buffer:
            if self.commit_by is not None and self.leg is not None:
                self.leg.deadline, self.commit_by = self.commit_by, None  # it has begun in time
                self.leg.watch()
        elif decoder.has_content and self.is_beaten:
            self.content_at = monotonic()
            self.abort(SUPERSEDED)
        elif decoder.has_content:
            self._commit(None)
            self._write(b"".join(self._pieces))
            self._pieces.clear()
        elif self._held > self._routing.commit_buffer:
            self.abort(
                Failure(
                    failures.MALFORMED_ANSWER, "the provider's stream exceeded routing.commit_buffer before any content"
                )
            )

    def _on_events_end(self) -> None:
        decoder = self.decoder
        if decoder is not None:
            self._end_events(decoder, decoder.close())

    def _end_events(self, decoder: StreamDecoder, out: bytes) -> None:
        self.usage, self.refused = decoder.usage, decoder.refused
        failure = decoder.failure
        if failure is not None and self.committed_at is None:
            self._fail(failure)
            return
        if self.is_beaten:
            self.content_at = monotonic() if decoder.has_content else None
            self.abort(SUPERSEDED)
            return
        if self.committed_at is None and decoder.refused is not None and _is_held(decoder, self.held):
            self.body = b"".join(self._pieces) + out
            self._read_rest()
            self._fail(_REFUSED[decoder.refused])
            return
        if self.committed_at is None:
            self._commit(None)
            out = b"".join(self._pieces) + out
        if out:
            self._write(out)
        if failure is not None:
            self._fail(failure)
            return
        self._read_rest()
        self._complete()

    def _fail(self, failure: Failure) -> None:
        self.failure = failure
        if self.usage is None:
            if self.decoder is not None:
                self.usage = self.decoder.usage
            elif self._mode == RELAY and self._scan is not None:
                self.usage = self._scan.read()
        self._finish()

    # The treatment of a piece of the answer, by mode.
    _TAKE: ClassVar[tuple[Callable[["AnswerReceiver", bytes], None], ...]] = (
        _keep_error, _on_beginning, _collect, _keep_error, _keep_error, _relay,
    )  # fmt: skip


# The messages to clients for the transport's failures, whose own messages name addresses.
_FAILED = "the request could not be sent to the provider"
_CLIENT_MESSAGES = {
    failures.CONNECT_FAILED: "no connection to the provider could be made",
    failures.CONNECT_TIMEOUT: "no connection to the provider could be made in time",
    failures.DNS_FAILED: "the provider's name could not be resolved",
    failures.TLS_FAILED: "no TLS connection to the provider could be made",
    failures.CONNECTION_LOST: "the connection to the provider was lost before its answer was complete",
    failures.COMMIT_TIMEOUT: "the provider did not answer in time",
    failures.DEADLINE_EXCEEDED: "the provider did not answer in time",
    failures.STALLED: "the provider's answer stalled",
    failures.STREAM_TOO_LONG: "the provider's stream took longer than routing.timeouts.stream_s allows",
    failures.MALFORMED_ANSWER: "the provider's answer is not valid HTTP",
    failures.INTERNAL: "the gateway failed; see its log",
    failures.OVERLOADED_GATEWAY: "the gateway has no free connection to the provider",
}
SUPERSEDED = Failure(failures.SUPERSEDED, "another attempt answered first")
_BROKEN = Failure(
    failures.INTERNAL, "the answer cannot be processed", client_message=_CLIENT_MESSAGES[failures.INTERNAL]
)
_REFUSED = {
    failures.REFUSED: Failure(failures.REFUSED, "the model refused to answer"),
    failures.FILTERED: Failure(failures.FILTERED, "a content filter of the provider ended the answer"),
}
_NOTHING_CAME = "the provider's answer is empty"
_NO_JSON = "the provider's answer is not JSON"
_TOO_LONG = "the provider's list is too long to be filtered by owner; request shorter pages with 'limit'"

_TOO_LONG_TO_TRANSLATE = (
    "the provider's answer is too long to be translated; raise routing.commit_buffer, or request a stream"
)


def _is_held(decoder: StreamDecoder, held: frozenset[Kind]) -> bool:
    return decoder.refused is not None and decoder.refused in held


def _joined(pieces: list[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _length(headers: Headers) -> int | None:
    """Return the length of an answer that is relayed unchanged."""
    if b"content-encoding" in headers or b"content-length" not in headers:
        return None
    return int(headers[b"content-length"])


def _begins_as_json(body: bytes) -> bool:
    return body[:_LONGEST_BLANK].removeprefix(BYTE_ORDER_MARK).lstrip()[:1] in (b"{", b"[")


def _is_json(headers: Headers) -> bool:
    media_type = headers.get(b"content-type", b"")
    return media_type == b"application/json" or b"json" in media_type  # the search takes ten times as long


def _is_event_stream(headers: Headers) -> bool:
    return headers.get(b"content-type", b"").lower().startswith(b"text/event-stream")


def _tokens_of(events: int, decoder: StreamDecoder | None) -> int:
    """Count the tokens of content that arrived: about those of its bytes if an event may hold several."""
    by_size = -(-decoder.content_bytes // CONTENT_BYTES_PER_TOKEN) if decoder is not None else 0
    return max(events, by_size)
