"""A request body that is passed on as it arrives: a file, or a form with a file in it.

The beginning is held until the call of the form is known and the connection to the provider is made. So another
provider can still take over if the first cannot be reached. After the first byte is sent, no second attempt is
possible.
"""

from collections.abc import Callable
from time import monotonic

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Try
from pointsman.engine.engine import Engine
from pointsman.engine.tasks import Waiter
from pointsman.transport.deadlines import NEVER
from pointsman.transport.http_server import Exchange
from pointsman.transport.leg import UploadLeg
from pointsman.wire.forms import form_call, form_reader, whole_call
from pointsman.wire.json_object import rejection as rejection_of
from pointsman.wire.multipart import FormField
from pointsman.wire.paths import ParsedHead
from pointsman.wire.state import is_for_no_model

MAX_WAITING_BYTES = 256 * 1024  # of data that follows while a connection is made


class UploadRelay:
    """Reads the client's body and writes it to the provider, at the pace of the slower one. A form is parsed on the
    way. Only bytes that were parsed are passed on, and the upload is aborted if the form differs from the one decided
    on.

    A form is held until the fields that the gateway acts on are known, until it has ended, or until `most_held` bytes
    have arrived. No further byte is parsed before that decision, even if more have arrived. So equal forms always
    result in equal calls.
    """

    def __init__(self, exchange: Exchange, parsed: ParsedHead, most_held: int, *, finds_state: bool = False) -> None:
        self._exchange = exchange
        self._parsed = parsed
        self._most_held = most_held
        self._form = form_reader(parsed, exchange.body_length, most_held, finds_state=finds_state)
        self._prefix = bytearray()
        self._taken = 0  # bytes of a form that were read before the decision
        self._later: list[bytes] = []  # data that arrived after them
        self._is_decided = self._form is None
        self._has_ended = False
        self._more: Waiter[None] | None = None
        self._leg: UploadLeg | None = None
        self._timeout_s = 0.0
        self._is_flowing = False  # the held data has been sent
        self._rejection: Rejection | None = None
        self._break_off: Callable[[Failure], None] | None = None

    async def find_call(self) -> Call:
        """Return the call of the upload. It names no model if the body is a file to be stored, or if a header names the
        provider and the form names no model.

        Raises `Rejection`.
        """
        await self._hold_beginning()
        form, parsed = self._form, self._parsed
        if form is None:
            return form_call(parsed, self._exchange.body_length or 0)
        self._exchange.pause_body()
        if "model" not in form.fields and parsed.head.provider is None and not is_for_no_model(parsed.head.path):
            raise _no_model(self._most_held, is_whole=self._has_ended)
        form.decide()
        size, read = self._exchange.body_length, form.read()
        is_sized = size is not None or read.is_whole
        return form_call(parsed, self._taken if size is None else size, read, is_sized=is_sized)

    def whole(self, call: Call) -> Call | None:
        """Return the call of a form that has arrived completely, with its body, so that it can be repeated. Return
        `None` if the body has to be passed on as it arrives."""
        form = self._form
        if form is None or not self._has_ended or self._later or not form.read().is_whole:
            return None
        field = self._model_field()
        return whole_call(call, bytes(self._prefix), (field.start, field.end) if field is not None else None)

    async def _hold_beginning(self) -> None:
        """Hold the body until its form can be decided on. Raises `Rejection`."""
        self._exchange.read_body(self._on_data, self._on_end)
        form = self._form
        while form is not None and not form.is_settled() and not self._has_ended and self._taken < self._most_held:
            if self._rejection is not None:
                raise self._rejection
            self._more = Waiter()
            await self._more
        if self._rejection is not None:
            raise self._rejection

    def length_for(self, model: str) -> int | None:
        """Return the length of the body with `model` in place of the client's name for it."""
        length = self._exchange.body_length
        field = self._model_field()
        if length is None or field is None:
            return length
        return length - (field.end - field.start) + len(model.encode())

    def place(self, engine: Engine, key: VirtualKey | None, step: Try) -> None:
        """Note the attempt that sends the body."""

    def note(self) -> str:
        """Return what is known of the object that the body makes."""
        return ""

    def _model_field(self) -> FormField | None:
        return self._form.fields.get("model") if self._form is not None else None

    def _read_on(self) -> None:
        """Parse the data that arrived during the decision on the form."""
        self._is_decided = True
        form, later, self._later = self._form, self._later, []
        assert form is not None
        try:
            for data in (b"", *later):
                self._prefix += form.feed(data)
            if self._has_ended:
                form.end()
        except Rejection as rejection:
            self._reject(rejection)

    def pump(self, leg: UploadLeg, model: str, timeout_s: float, abort: Callable[[Failure], None]) -> None:
        """Send the body to `leg` as soon as it accepts bytes. `abort` is called if the rest of the body is rejected.

        The provider has `timeout_s` to connect, to accept the bytes given to it, and to answer when it has all of them.
        Time spent waiting for the client does not count against the provider.
        """
        if not self._is_decided:
            self._read_on()
        if self._rejection is not None:
            abort(self._rejection.failure)
            return
        self._exchange.pause_body()
        self._leg = leg
        self._timeout_s = timeout_s
        self._is_flowing = False
        self._break_off = abort
        field = self._model_field()

        def on_writable() -> None:
            if not self._is_flowing:
                self._is_flowing = True
                data, self._prefix = bytes(self._prefix), bytearray()  # no second attempt is possible from here on
                if field is not None:
                    data = data[: field.start] + model.encode() + data[field.end :]
                self._exchange.count_buffered(0)
                if not leg.write_body(data):
                    return
            if self._has_ended:
                self._end(leg)
            else:
                leg.deadline = NEVER
                self._exchange.resume_body()

        leg.on_writable = on_writable

    def _on_data(self, data: bytes) -> None:
        try:
            if not self._is_decided:
                self._hold_back(data)
                return
            understood = self._form.feed(data) if self._form is not None else data
        except Rejection as rejection:
            self._reject(rejection)
            return
        if self._leg is not None and self._is_flowing:
            if not self._leg.write_body(understood):
                self._wait_for(self._leg)
                self._exchange.pause_body()
            return
        self._prefix += understood
        if len(self._prefix) > MAX_WAITING_BYTES:
            self._exchange.pause_body()

    def _hold_back(self, data: bytes) -> None:
        """Parse and hold a piece of a form before the decision, up to the bytes that may be held of it. Raises
        `Rejection`."""
        form = self._form
        assert form is not None
        room = self._most_held - self._taken
        if form.is_settled() or not room:
            self._later.append(data)
            return
        self._exchange.count_buffered(self._taken + len(data))
        read = data[:room]
        self._taken += len(read)
        self._prefix += form.feed(read)
        if len(data) > room:
            self._later.append(data[room:])
        if form.is_settled() or self._taken == self._most_held:
            self._exchange.pause_body()
        self._wake()

    def _on_end(self) -> None:
        self._has_ended = True
        form = self._form
        try:
            # The rest of a form that was decided on before its end is parsed when it is passed on.
            if form is not None and (self._is_decided or not (form.is_settled() or self._later)):
                form.end()
        except Rejection as rejection:
            self._reject(rejection)
            return
        if self._leg is not None and self._is_flowing:
            self._end(self._leg)
        self._wake()

    def _reject(self, rejection: Rejection) -> None:
        """Note a rejection. The provider does not receive the end of the form."""
        if self._rejection is None:
            self._rejection = rejection
            self._exchange.pause_body()
            if self._break_off is not None:
                self._break_off(rejection.failure)
            self._wake()

    def _end(self, leg: UploadLeg) -> None:
        self._wait_for(leg)
        leg.end_body()

    def _wait_for(self, leg: UploadLeg) -> None:
        leg.deadline = monotonic() + self._timeout_s
        leg.watch()

    def _wake(self) -> None:
        more = self._more
        if more is not None:
            self._more = None
            more.set(None)


def _no_model(most_held: int, *, is_whole: bool) -> Rejection:
    where = "the form names no model" if is_whole else f"the first {most_held} bytes of the form name no model"
    order = "" if is_whole else " before its file"
    message = f"{where}; add a field 'model'{order}, or name the provider in the header x-pointsman-provider"
    return rejection_of(message, "model")
