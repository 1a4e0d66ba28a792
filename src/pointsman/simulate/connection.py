"""One connection of a simulated provider: it parses requests, writes scripts, and detects disconnects."""

import asyncio
import socket
import struct
from time import monotonic
from typing import Protocol, cast

import httptools

from pointsman.simulate.answers import Request
from pointsman.simulate.bill import Entry, Phase
from pointsman.simulate.content_faults import Ending
from pointsman.simulate.script import Script

_RST_ON_CLOSE = struct.pack("ii", 1, 0)
_WRITE_AT_ONCE = 64 * 1024
_DRAIN_POLL_S = 0.001
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Service(Protocol):
    """The part of a provider that its connections use."""

    connections: set["Connection"]

    def accept(self, connection: "Connection") -> None:
        """Register a new connection."""

    def serve(self, request: Request) -> tuple[Script, Entry | None]:
        """Return the script for a request, and its entry in the bill if it has one."""

    def settle(self, entry: Entry | None, *, is_good: bool, peer_closed_at: float | None) -> None:
        """Settle an exchange that has ended. `peer_closed_at` is set if the peer ended it."""


class Connection(asyncio.Protocol):
    """A connection that answers one request at a time; pipelined requests wait. Reading never pauses, so that FIN and
    RST are detected at once. Writing pauses while the peer reads slowly."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._waiting: list[Request] = []
        self._is_paused = False
        self._closes_on_data = False
        self._closes_when_idle = False
        # The exchange in progress.
        self._script: Script | None = None
        self._entry: Entry | None = None
        self._position = 0
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from asyncio's
        self._service.accept(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio sets the name
        self._service.connections.discard(self)
        self._on_disconnect()
        self._waiting.clear()

    def eof_received(self) -> None:
        # FIN counts as a disconnect, as for the providers' front ends. Unwritten data is dropped.
        self._on_disconnect()
        self._transport.abort()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._script is not None and self._timer is None:
            self._play()

    def close_when_idle(self) -> None:
        """Close now, or after the answer in progress."""
        self._closes_when_idle = True
        if self._script is None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, even during an answer; the exchange then counts as failed."""
        self._end_exchange(is_good=False)
        self._reset()

    def _on_disconnect(self) -> None:
        if self._script is not None:
            self._end_exchange(is_good=False, peer_closed_at=monotonic())

    # Callbacks of the parser.

    def data_received(self, data: bytes) -> None:
        if self._closes_on_data:
            self._transport.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a defect of the simulator itself must be visible
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        request = Request(
            method=self._parser.get_method().decode(),
            target=self._url.decode("latin-1"),
            raw_headers=self._headers,
            headers=headers,
            body=bytes(self._body),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._waiting.append(request)
        if self._script is None:
            self._next()

    # The exchange.

    def _next(self) -> None:
        while self._waiting and self._script is None and not self._transport.is_closing():
            self._script, self._entry = self._service.serve(self._waiting.pop(0))
            self._position = 0
            self._due_at = self._loop.time()
            if not self._arm(self._script):
                self._play()

    def _arm(self, script: Script) -> bool:
        """Set the timer for the next step if it has a delay."""
        if self._position >= len(script.steps) or script.steps[self._position].delay_s <= 0.0:
            return False
        self._due_at += script.steps[self._position].delay_s
        self._timer = self._loop.call_at(self._due_at, self._play)
        return True

    def _play(self) -> None:
        """Write the due step and the following steps that have no delay. End the exchange after the last step."""
        self._timer = None
        script = self._script
        assert script is not None
        while not self._is_paused:  # `resume_writing` continues from here
            data = self._take(script)
            if data:
                self._transport.write(data)
            if self._position >= len(script.steps):
                self._finish(script)
                return
            if self._arm(script):
                return

    def _take(self, script: Script) -> bytes:
        """Return the bytes of the due step and of the following steps that have no delay, up to a limit."""
        pieces: list[bytes] = []
        size = 0
        steps = script.steps
        while self._position < len(steps):
            step = steps[self._position]
            if pieces and (step.delay_s > 0.0 or size >= _WRITE_AT_ONCE):
                break
            pieces.append(step.data)
            size += len(step.data)
            self._position += 1
            if self._entry is not None:
                _progress(self._entry, step.tokens)
        return b"".join(pieces)

    def _finish(self, script: Script) -> None:
        ending = script.ending
        if ending is Ending.SILENCE:
            return
        self._end_exchange(is_good=script.is_good)
        if ending is Ending.RESET:
            self._reset_when_written()
        elif ending is Ending.CLOSE or self._closes_when_idle:
            self._transport.close()
        elif ending is Ending.CLOSE_ON_NEXT:
            self._closes_on_data = True
        elif self._waiting:
            self._loop.call_soon(self._next)

    def _end_exchange(self, *, is_good: bool, peer_closed_at: float | None = None) -> None:
        entry, self._entry, self._script = self._entry, None, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._service.settle(entry, is_good=is_good, peer_closed_at=peer_closed_at)

    def _reset_when_written(self) -> None:
        """Send RST after the bytes that are already written, so that they still arrive."""
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_DRAIN_POLL_S, self._reset_when_written)
        else:
            self._reset()

    def _reset(self) -> None:
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._transport.abort()


def _progress(entry: Entry, tokens: int) -> None:
    phase: Phase = "mid_stream" if tokens or entry.phase == "mid_stream" else "before_first_token"
    entry.phase = phase
    entry.tokens_sent += tokens
