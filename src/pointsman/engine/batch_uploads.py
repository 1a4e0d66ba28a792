"""The upload of a file that may be for a batch. The lines of such a file are checked, bounded and translated on their
way to the provider; any other file passes as it arrives.

The lines are taken in slices, and the client is paused in between, so that a large file holds up no other request. The
provider gets a chunked body, since the length of the translated lines is not known in advance.
"""

import asyncio
from collections.abc import Callable

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Try
from pointsman.engine.batch_lines import BatchLines
from pointsman.engine.engine import Engine
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.ownership import is_shared
from pointsman.engine.uploads import UploadRelay
from pointsman.transport.deadlines import NEVER
from pointsman.transport.http_server import Exchange
from pointsman.transport.leg import UploadLeg
from pointsman.wire.batch_form import BatchFormReader
from pointsman.wire.forms import file_call, file_form_reader
from pointsman.wire.paths import ParsedHead


class FileRelay(UploadRelay):
    """Relays the form of a file."""

    def __init__(self, exchange: Exchange, parsed: ParsedHead, most_held: int, form: BatchFormReader) -> None:
        super().__init__(exchange, parsed, most_held)
        self._form = self._file = form
        self._is_decided = False
        self._is_blocked = False  # the provider accepts no more bytes for now
        self._is_scheduled = False  # the next slice follows
        self._lines: BatchLines | None = None

    async def find_call(self) -> Call:
        """Return the call of the upload. A file for a batch names the model of its first line. Raises `Rejection`."""
        await self._hold_beginning()
        self._exchange.pause_body()
        form, parsed, size = self._file, self._parsed, self._exchange.body_length or self._taken
        if not form.is_batch:
            self._prefix += form.pass_on()
            return file_call(parsed, size)
        model = form.first_model(has_ended=self._has_ended, most_held=self._most_held)
        return file_call(parsed, size, model)

    def whole(self, call: Call) -> Call | None:  # noqa: ARG002
        return None  # a file is stored once

    def length_for(self, model: str) -> int | None:
        return None if self._file.is_batch else super().length_for(model)

    def place(self, engine: Engine, key: VirtualKey | None, step: Try) -> None:
        if self._file.is_batch:
            self._lines = BatchLines(engine, self._parsed, key, step)
            self._file.take_line = self._lines.take

    def note(self) -> str:
        """Return the work in the file, if it is one for a batch."""
        return self._lines.work() if self._lines is not None else ""

    def pump(self, leg: UploadLeg, model: str, timeout_s: float, abort: Callable[[Failure], None]) -> None:
        if not self._file.is_batch:
            super().pump(leg, model, timeout_s, abort)
            return
        self._exchange.pause_body()
        self._leg, self._timeout_s, self._break_off = leg, timeout_s, abort

        def on_writable() -> None:
            self._is_blocked = False
            if self._is_flowing:
                self._go_on()
                return
            self._is_flowing = self._is_decided = True  # no second attempt is possible from here on
            self._file.decide()
            head, self._prefix = bytes(self._prefix), bytearray()
            self._exchange.count_buffered(0)
            later, self._later = self._later, []
            leg.write_body(head)
            self._go_on(b"".join(later))

        leg.on_writable = on_writable

    def _on_data(self, data: bytes) -> None:
        if self._file.is_batch and self._is_flowing:
            self._exchange.pause_body()
            self._go_on(data)
        else:
            super()._on_data(data)

    def _on_end(self) -> None:
        if not self._is_flowing:
            self._has_ended = True
            self._wake()
        elif not self._file.is_batch:
            super()._on_end()
        else:
            self._has_ended = True
            if not (self._is_blocked or self._is_scheduled):
                self._go_on()

    def _go_on(self, data: bytes = b"") -> None:
        """Pass on the next slice of the lines."""
        leg, form = self._leg, self._file
        assert leg is not None
        self._is_scheduled = False
        if self._rejection is not None:
            return
        try:
            if not leg.write_body(form.feed(data)):
                self._is_blocked = True
                self._wait_for(leg)
            elif form.is_behind:
                self._is_scheduled = True
                asyncio.get_running_loop().call_soon(self._go_on_unless_blocked)
            elif self._has_ended:
                form.end()
                self._end(leg)
            else:
                leg.deadline = NEVER
                self._exchange.resume_body()
        except Rejection as error:
            self._reject(error)

    def _go_on_unless_blocked(self) -> None:
        if self._is_scheduled and not self._is_blocked:
            self._go_on()


def relay_for(exchange: Exchange, entry: AdmittedHead) -> UploadRelay:
    """Return the relay of an admitted upload."""
    parsed, most_held = entry.parsed, entry.snapshot.routing.commit_buffer
    form = file_form_reader(parsed, finds_state=is_shared(entry.snapshot))
    if form is not None:
        return FileRelay(exchange, parsed, most_held, form)
    return UploadRelay(exchange, parsed, most_held, finds_state=is_shared(entry.snapshot))
