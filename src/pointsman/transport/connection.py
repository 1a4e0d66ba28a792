"""One connection to a provider: sends a request, reads its answer by llhttp, and knows whether it can be used again.

What is received is first parsed, then handed over: nothing of the handler's runs inside the parser, so a handler may
cancel, pause, raise, or send its next request, which may travel on this very connection.
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.messages import Headers
from pointsman.transport._answer_head import headers_of
from pointsman.transport._owner import Owner, how_lost
from pointsman.transport.deadlines import NEVER
from pointsman.transport.decoding import PIECE_BYTES, BodyDecoder, BodyPieces, UndecodableError
from pointsman.transport.errors import TransportFailure, shown
from pointsman.transport.leg import Leg, ResponseHandler

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200
STALE_S = 0.25  # a kept-alive connection that was dead is lost within a round trip; later, the provider was at work
MAX_INTERIM = 10  # informational answers before the final one
MAX_FRAMING_BYTES = 64 * 1024  # of chunk extensions and trailers on end, without a byte of body

_LAST_CHUNK = b"0\r\n\r\n"
_DECODABLE = (b"gzip", b"x-gzip", b"deflate")
_LOST_BY_DECODING = (b"content-encoding", b"content-length")

_logger = logging.getLogger(__name__)


class UpstreamConnection(asyncio.Protocol):
    """Carries one leg at a time, and is made with its first one, before it is connected.

    It is closed for good by anything but a whole answer that ends where it should.
    """

    __slots__ = (
        "_body", "_connect_deadline", "_decoder", "_fault", "_found", "_framing_bytes", "_has_head", "_head",
        "_headers", "_idle_deadline", "_interim", "_is_behind", "_is_chunked", "_is_closed", "_is_done",
        "_is_keep_alive", "_is_plain", "_is_silent", "_is_stray", "_is_until_eof", "_is_write_paused", "_owner",
        "_parser", "_phase", "_pieces", "_reused_at", "_status", "_tail", "_transport", "deadline", "leg", "on_body",
        "on_header", "stop_connecting", "watched_until",
    )  # fmt: skip

    def __init__(self, owner: "Owner[UpstreamConnection]", leg: Leg, connect_deadline: float) -> None:
        self._owner = owner
        self._connect_deadline = connect_deadline
        self._idle_deadline = NEVER
        self._transport: asyncio.Transport | None = None
        self._is_closed = False
        self._reused_at = -inf
        self._is_write_paused = False
        self._phase = "waiting to connect"
        self.stop_connecting: Callable[[], object] | None = None  # while somebody connects us
        self.deadline = NEVER  # when the timer comes next
        self.watched_until = NEVER
        self.leg: Leg | None = leg
        leg.carrier = self
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called by the parser without a Python frame, as is `on_header`
        self._found: dict[bytes, bytes] = {}  # what the parser is collecting: headers, later trailers
        self.on_header = self._found.setdefault
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._is_silent = True  # not a byte of an answer yet
        self._has_head = False  # a final head was parsed and found good
        self._is_done = False  # the answer was parsed to its end
        self._head = b""  # the reads that have brought of the head so far
        self._headers: Headers = {}
        self._body = b""
        self._status = 0
        self._is_keep_alive = False
        self._expect_anything()

    def _expect_anything(self) -> None:
        """Forget what only unusual answers leave behind."""
        self._is_plain = True  # nothing below has been touched
        self._is_chunked = False
        self._is_until_eof = False
        self._is_stray = False
        self._fault: str | None = None
        self._decoder: BodyDecoder | BodyPieces | None = None
        self._is_behind = False  # what has come waits for a turn of its own; nothing is read meanwhile
        self._framing_bytes = 0
        self._interim = 0
        self._tail = b""

    # -- time -----------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When this connection has lived too long for what it is doing, as things stand."""
        leg = self.leg
        if leg is None:
            return self._idle_deadline
        return min(leg.deadline, self._connect_deadline)

    def watch(self) -> None:
        """Have the timer look here in time. The deadline of a leg may be moved later without telling anybody: the
        timer then comes too early, and is sent away by `expired`."""
        due = self._due()
        if due < self.watched_until:
            self.deadline = due
            self._owner.deadlines.watch(self)

    def expired(self, now: float) -> None:
        """The timer has come to look: end what has lived too long, or give it a new time to come."""
        due = self._due()
        if now < due:
            self.deadline = due
            return
        leg = self.leg
        if leg is None:
            self.close()
        elif now >= self._connect_deadline:
            message = f"connecting to {self._owner.name} took too long (while {self._phase})"
            self._fail(leg, failures.CONNECT_TIMEOUT, message)
        elif self._has_head:
            self._fail(leg, leg.timeout_kind, f"the answer of {self._owner.name} did not go on in time")
        elif self._transport is None:
            message = f"{self._owner.name} was not reached in time (while {self._phase})"
            self._fail(leg, leg.timeout_kind, message)
        else:
            self._fail(leg, leg.timeout_kind, f"{self._owner.name} did not answer in time")

    def enter_phase(self, phase: str) -> None:
        """Note what connecting is busy with, for the message of a timeout."""
        self._phase = phase

    # -- the request ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self._connect_deadline = NEVER
        leg = self.leg
        if self._is_closed or leg is None:
            self._transport.abort()
            return
        self.start(leg)
        self._reused_at = -inf
        if leg.is_paused:
            # uvloop starts reading when this method returns, whatever it asked for
            asyncio.get_running_loop().call_soon(self._pause_again)

    def _pause_again(self) -> None:
        if self.leg is not None and self.leg.is_paused:
            self.pause()

    def start(self, leg: Leg) -> None:
        """Send a leg over this connection, which is made and idle."""
        transport = self._transport
        assert transport is not None
        self.leg = leg
        leg.carrier = self
        self._reused_at = monotonic()
        try:
            transport.write(leg.message(self._owner.request_line_end))
            if apart := leg.apart:
                transport.write(apart)
        except RuntimeError:  # uvloop, when the transport is closed but we have not been told yet
            asyncio.get_running_loop().call_soon(self._never_sent)
            return
        if leg.is_paused:
            transport.pause_reading()
        if leg.is_uploading:
            asyncio.get_running_loop().call_soon(self._invite_upload)
        if leg.deadline < self.watched_until:
            self.watch()

    def _never_sent(self) -> None:
        """Not a byte of the request has left: it may travel on another connection."""
        leg = self.leg
        if leg is None or not leg.is_replayable:
            return self._lost(None, is_proper_end=True)
        self.leg = leg.carrier = None
        return self.close(unanswered=leg)

    def write_upload(self, data: bytes) -> bool:
        if self._transport is not None and not self._is_closed:
            try:
                self._transport.write(data)
            except RuntimeError:
                return True  # the loss is about to be reported
        return not self._is_write_paused

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._invite_upload()

    def _invite_upload(self) -> None:
        leg = self.leg
        if leg is None or leg.on_writable is None or not leg.is_uploading or self._is_write_paused:
            return
        try:
            leg.on_writable()
        except Exception as error:  # noqa: BLE001 -- logged, with the handler told
            self._handler_raised(leg, error)

    # -- what the parser finds ------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        if self._is_done:
            self._is_stray = True
            self._is_plain = False
            return
        parser = self._parser
        leg = self.leg
        if self._fault is not None or parser is None or leg is None:
            return
        status: int = parser.get_status_code()
        raw, self._head = self._head.lstrip(b"\r\n"), b""  # llhttp ignores empty lines in front
        end = raw.find(b"\r\n\r\n")
        if status < 200 or status > 599:
            self._take_interim(status, raw, end)
            return
        lines = raw.count(b"\r\n", 0, end)
        headers = headers_of(self._found, raw, lines)
        self._found.clear()
        if end > MAX_HEAD_BYTES:
            self._reject(f"the answer's head is larger than {MAX_HEAD_BYTES} bytes")
            return
        if lines > MAX_HEADERS:
            self._reject(f"the answer has more than {MAX_HEADERS} headers")
            return
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            self._is_plain = False
            self._is_chunked = True
            if coding.strip().lower() != b"chunked":
                self._reject(f"the answer has a transfer encoding that is not supported ({shown(coding)})")
                return
        self._status = status
        self._headers = headers
        self._is_keep_alive = parser.should_keep_alive()
        if leg.request.method == b"HEAD":
            # Whatever the head says of a body: there is none. The parser does not know, so it is not used again.
            self._is_done = True
            self._is_keep_alive = False
        elif not (self._is_keep_alive and self._is_plain) or b"content-encoding" in headers:
            self._frame(status)
        self._has_head = self._fault is None

    def _take_interim(self, status: int, raw: bytes, end: int) -> None:
        self._is_plain = False
        self._interim += 1
        self._found.clear()
        self._head = raw[end + 4 :].lstrip(b"\r\n")
        if end < 0:
            self._fault = "the head of the answer has line ends that are not those of HTTP"
        elif status == 101:
            self._fault = "the answer wants to switch protocols"
        elif status < 100 or status > 599:
            self._fault = f"the answer has the impossible status {status:03}"
        elif self._interim > MAX_INTERIM:
            self._fault = "the answer is preceded by too many informational ones"

    def _frame(self, status: int) -> None:
        """Settle how the body is delimited and encoded, where that is out of the ordinary."""
        self._is_plain = False
        if status in {204, 304}:
            return
        if not self._is_keep_alive and not self._is_chunked:
            self._is_until_eof = b"content-length" not in self._headers
        said = self._headers.get(b"content-encoding", b"")
        encoding = said.strip().lower()
        if encoding in _DECODABLE:
            self._decoder = BodyDecoder(encoding)
            self._headers = {name: self._headers[name] for name in self._headers if name not in _LOST_BY_DECODING}
        elif encoding not in {b"", b"identity"}:
            self._fault = f"the answer has a content encoding that was not asked for ({shown(said)})"

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_done:
            self._is_done = True
            self._body = b"".join(self._pieces)

    def _reject(self, fault: str) -> None:
        self._is_plain = False
        self._fault = fault
        self._has_head = False

    # -- what arrives ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        leg = self.leg
        parser = self._parser
        if leg is None or parser is None or self._is_done:
            self._unsolicited()
            return
        had_head = self._has_head
        if not had_head:
            self._is_silent = False
            self._head += data
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._take_parse_error(error)
        handler = leg.handler
        if len(data) > PIECE_BYTES and self._decoder is None and self._has_head:
            self._decoder = BodyPieces()
            self._is_plain = False
        if had_head and self._pieces and handler is not None and not (self._fault or self._decoder or self._is_done):
            self._pass_on(leg, handler, data)
            return
        if self._is_done and self._is_plain:
            headers = None if had_head else self._headers
            body = self._body
            head_size = 0 if had_head else data.find(b"\r\n\r\n") + 4
            self._release(leg, len(data) == head_size + len(body))
            self._hand_over(leg, handler, headers, body)
            return
        if len(self._head) > MAX_HEAD_BYTES and self._fault is None:
            self._reject(f"the answer's head is larger than {MAX_HEAD_BYTES} bytes")
        self._advance(leg, data, had_head)

    def _pass_on(self, leg: Leg, handler: ResponseHandler, data: bytes) -> None:
        """Hand over what one read brought of the middle of a body. The short form of `_advance` for streams."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._is_chunked:
            self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
            self._framing_bytes = 0
        try:
            handler.on_data(body)
        except Exception as error:  # noqa: BLE001 -- logged, with the handler told
            self._handler_raised(leg, error)

    def _take_parse_error(self, error: Exception) -> None:
        self._is_plain, self._is_stray = False, True
        if not self._is_done and self._fault is None:
            self._fault = f"the answer is not valid HTTP ({error})"

    def _advance(self, leg: Leg, data: bytes, had_head: bool) -> None:
        """Hand over what one read brought of an answer that goes on, or that is not plain."""
        handler = leg.handler
        body = self._body if self._is_done else b"".join(self._pieces)
        self._pieces.clear()
        if handler is None:
            return
        try:
            if self._has_head and not had_head:
                handler.on_head(self._status, self._headers)
            if body and self._has_head:
                if self._decoder is not None:
                    self._decoder.feed(body)
                elif leg.handler is not None:
                    handler.on_data(body)
        except Exception as error:  # noqa: BLE001 -- logged, with the handler told
            self._handler_raised(leg, error)
            return
        if leg.handler is None:
            return  # cancelled from within
        self._bound(data, len(body))
        if self._is_done and not self._ends_cleanly(data, had_head, len(body)):
            self._is_keep_alive = False
        if self._decoder is not None:
            self._pump(leg, self._decoder)
        elif self._fault is None and self._is_done:
            self._complete(leg)
        self._give_up_if_faulty(leg)

    def _give_up_if_faulty(self, leg: Leg) -> None:
        if self._fault is not None and not leg.is_paused and not self._is_behind and self.leg is leg:
            self._fail(leg, failures.MALFORMED_ANSWER, f"{self._owner.name}: {self._fault}")

    def _pump(self, leg: Leg, decoder: BodyDecoder | BodyPieces) -> None:
        """Hand over pieces for as long as they are wanted, each in a turn of the loop, then what follows them."""
        handler = leg.handler
        if handler is None or leg.is_paused or self._is_behind:
            return
        try:
            piece = decoder.take()
            if piece:
                handler.on_data(piece)
            if leg.handler is None:
                return
            if decoder.is_behind:
                self._fall_behind(leg, decoder)
                return
            if leg.is_paused:
                return
        except UndecodableError as error:
            self._fail(leg, failures.MALFORMED_ANSWER, f"{self._owner.name}: {error}")
            return
        except Exception as error:  # noqa: BLE001 -- logged, with the handler told
            self._handler_raised(leg, error)
            return
        if self._fault is None and self._is_done:
            if decoder.is_whole:
                self._complete(leg)
            else:
                self._fail(leg, failures.CONNECTION_LOST, f"the compressed body of {self._owner.name} ends early")

    def _fall_behind(self, leg: Leg, decoder: BodyDecoder | BodyPieces) -> None:
        if leg.is_paused:  # it goes on when it is resumed
            return
        self._is_behind = True
        self.pause()
        asyncio.get_running_loop().call_soon(self._catch_up, leg, decoder)

    def _catch_up(self, leg: Leg, decoder: BodyDecoder | BodyPieces) -> None:
        if self.leg is not leg or self._decoder is not decoder:
            return
        self._is_behind = False
        self._pump(leg, decoder)
        if self.leg is leg and not self._is_behind:
            self._give_up_if_faulty(leg)
            if not leg.is_paused:
                self.resume_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._is_closed:
            self._transport.resume_reading()

    def _bound(self, data: bytes, body_bytes: int) -> None:
        """Keep heads, chunk extensions and trailers from growing without end."""
        if not self._has_head:
            self._is_plain = False
        elif self._is_chunked and not self._is_done:
            self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
            self._framing_bytes = 0 if body_bytes else self._framing_bytes + len(data)
            if self._framing_bytes > MAX_FRAMING_BYTES and self._fault is None:
                self._fault = "the answer's chunks carry no body"

    def _ends_cleanly(self, data: bytes, had_head: bool, body_bytes: int) -> bool:
        """Whether nothing follows the end of the answer in the read that brought it.

        llhttp reports neither line ends nor the first letters of another answer after one.
        """
        if self._is_stray:
            return False
        if self._is_chunked:
            return (data if len(data) >= len(_LAST_CHUNK) else self._tail + data).endswith(_LAST_CHUNK)
        return len(data) == body_bytes + (0 if had_head else data.find(b"\r\n\r\n") + 4)

    def _unsolicited(self) -> None:
        """Bytes that answer nothing: the connection is out of step."""
        if self.leg is None:
            self.close()
        else:
            self._is_keep_alive = False  # whole, but not yet wholly handed over

    # -- the end --------------------------------------------------------------------------------------------------

    def _complete(self, leg: Leg) -> None:
        handler = leg.handler
        self._release(leg, is_clean=True)
        self._hand_over(leg, handler, None, b"")

    def _release(self, leg: Leg, is_clean: bool) -> None:
        """The answer has been read to its end: part from the leg, before its handler is told."""
        transport = self._transport
        self.leg = leg.carrier = None
        is_reusable = (
            self._is_keep_alive
            and is_clean
            and not leg.is_uploading
            and transport is not None
            and transport.get_write_buffer_size() == 0
        )
        if not is_reusable or transport is None:
            self.close()
            return
        if leg.is_paused or not self._is_plain:
            transport.resume_reading()
        self._pieces.clear()
        self._body = b""
        self._is_silent = True
        self._has_head = False
        self._is_done = False
        if not self._is_plain:
            self._found.clear()  # of trailers
            self._expect_anything()
        self._idle_deadline = monotonic() + self._owner.idle_timeout_s
        if self._idle_deadline < self.watched_until:
            self.watch()
        self._owner.connection_idle(self)

    def _hand_over(self, leg: Leg, handler: ResponseHandler | None, headers: Headers | None, body: bytes) -> None:
        """Tell the handler the rest of an answer whose leg has been released."""
        if handler is None:
            return
        try:
            if headers is not None:
                handler.on_head(self._status, headers)
            if body and leg.handler is not None:
                handler.on_data(body)
            if leg.handler is not None:
                leg.handler = None
                handler.on_end()
        except Exception as error:  # noqa: BLE001 -- logged, with the handler told
            self._handler_raised(leg, error)

    def pause(self) -> None:
        if self._transport is not None and not self._is_closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._is_behind:
            self.resume_reading()
        leg = self.leg
        if leg is not None and self._decoder is not None:
            self._pump(leg, self._decoder)
        if leg is not None:
            self._give_up_if_faulty(leg)

    def cancel(self) -> None:
        self.leg = None
        self.close()

    def eof_received(self) -> None:
        self._lost(None, is_proper_end=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)
        self._transport = None

    def _lost(self, error: Exception | None, is_proper_end: bool = False) -> None:
        """The other side, or the network, has ended the connection. A proper end is a FIN, and over TLS an announced
        one: without that, anybody on the way could have cut the answer short."""
        if self._is_closed:
            return
        leg = self.leg
        if leg is None:
            self.close()
        elif self._is_done:
            self._is_keep_alive = False  # whole, but not yet wholly handed over
        elif self._is_silent and leg.is_replayable and monotonic() - self._reused_at < STALE_S:
            self._fail(
                leg, failures.CONNECTION_STALE, f"{self._owner.name} ended a kept-alive connection as it was used"
            )
        elif is_proper_end and self._has_head and self._is_until_eof:
            self._is_done = True
            self._is_keep_alive = False
            if self._decoder is not None:
                self._pump(leg, self._decoder)
            else:
                self._complete(leg)
        else:
            is_told = is_proper_end or self._transport is None
            how = how_lost(error, is_told=is_told, is_silent=self._is_silent, has_head=self._has_head)
            self._fail(leg, failures.CONNECTION_LOST, f"{self._owner.name} {how}")

    def abandon(self, kind: Kind, message: str) -> None:
        """Close, failing the leg if there is one."""
        if self.leg is not None:
            self._fail(self.leg, kind, message)
        else:
            self.close()

    def _fail(self, leg: Leg, kind: Kind, message: str) -> None:
        handler = leg.handler
        was_sent = self._transport is not None
        self.leg = leg.carrier = leg.handler = None
        self.close()
        self._report(handler, TransportFailure(kind, message, was_sent))

    def _report(self, handler: ResponseHandler | None, failure: TransportFailure) -> None:
        try:
            if handler is not None:
                handler.on_failure(failure)
        except Exception:  # the handler's error must not stop what else ends here
            _logger.exception("a failure of %s could not be handled", self._owner.name)

    def _handler_raised(self, leg: Leg, error: Exception) -> None:
        _logger.error("an answer of %s could not be handled", self._owner.name, exc_info=error)
        if self.leg is leg:
            self._fail(leg, failures.INTERNAL, "the answer could not be handled")
        else:  # released already: the connection is another's by now
            handler, leg.handler = leg.handler, None
            self._report(handler, TransportFailure(failures.INTERNAL, "the answer could not be handled", was_sent=True))

    def close(self, unanswered: Leg | None = None) -> None:
        """Close at once. The leg, if any, must have been parted from."""
        if self._is_closed:
            return
        self._is_closed = True
        self._idle_deadline = NEVER
        self._parser = None  # it refers back to us
        self._decoder = None
        self._headers = {}
        self._found.clear()
        self._head = b""
        self._body = b""
        self._pieces.clear()
        if self.stop_connecting is not None:
            self.stop_connecting()
        if self._transport is not None:
            self._transport.abort()
        self._owner.connection_gone(self, unanswered)
