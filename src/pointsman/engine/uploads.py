"""A request body that is passed on as it arrives: a file, a form with a file in it.

The beginning is held back until the model is known, and until the provider's connection stands: so a provider that
cannot be reached can still be replaced. From the first byte sent there is no second try.
"""

from collections.abc import Callable
from time import monotonic

from pointsman.domain.calls import Operation
from pointsman.domain.failures import Failure, Refusal
from pointsman.engine.tasks import Waiter
from pointsman.transport.deadlines import NEVER
from pointsman.transport.http_server import Exchange
from pointsman.transport.leg import UploadLeg
from pointsman.wire.multipart import MAX_PREFIX_BYTES, FormReader, boundary_of
from pointsman.wire.paths import Asked


class Upload:
    """Reads the client's body and writes it to the provider, each at the pace of the other. A form is read along: it is
    passed on as far as it was understood, and broken off where it is not what was decided on."""

    def __init__(self, exchange: Exchange, asked: Asked) -> None:
        self._exchange = exchange
        boundary = boundary_of(asked.content_type) if asked.api.operation is not Operation.FILE else None
        self._form = FormReader(boundary, needs_model=asked.provider is None) if boundary is not None else None
        self._prefix = b""
        self._has_ended = False
        self._more: Waiter[None] | None = None
        self._leg: UploadLeg | None = None
        self._timeout_s = 0.0
        self._is_flowing = False  # what was held back has been sent
        self._refusal: Refusal | None = None
        self._break_off: Callable[[Failure], None] | None = None

    async def find_model(self) -> str:
        """The model the form names; empty for a file to be kept, which is for no model, and where the provider is named
        by a header and the beginning of the form names no model.

        Raises `Refusal`.
        """
        self._exchange.read_body(self._on_data, self._on_end)
        form = self._form
        while form is not None:
            if self._refusal is not None:
                raise self._refusal
            if form.field is not None or self._has_ended or len(self._prefix) > MAX_PREFIX_BYTES:
                return form.decide()
            self._more = Waiter()
            await self._more
        return ""

    def length_for(self, model: str) -> int | None:
        """The length of the body when `model` stands in the place of the client's name for it."""
        length = self._exchange.body_length
        field = self._form.field if self._form is not None else None
        if length is None or field is None:
            return length
        return length - (field.end - field.start) + len(model.encode())

    def pump(self, leg: UploadLeg, model: str, timeout_s: float, break_off: Callable[[Failure], None]) -> None:
        """Send the body to `leg`, as soon as it takes bytes. `break_off` is called when it must not be sent after all.

        The provider has `timeout_s` to connect, to take what it is given, and to answer when it has all of it. While
        the client is what is waited for, nothing is held against the provider.
        """
        if self._refusal is not None:
            break_off(self._refusal.failure)
            return
        self._exchange.pause_body()
        self._leg = leg
        self._timeout_s = timeout_s
        self._is_flowing = False
        self._break_off = break_off
        field = self._form.field if self._form is not None else None

        def on_writable() -> None:
            if not self._is_flowing:
                self._is_flowing = True
                data = self._prefix
                if field is not None:
                    data = data[: field.start] + model.encode() + data[field.end :]
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
            understood = self._form.feed(data) if self._form is not None else data
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if self._leg is not None and self._is_flowing:
            if not self._leg.write_body(understood):
                self._wait_for(self._leg)
                self._exchange.pause_body()
            return
        self._prefix += understood
        if len(self._prefix) > MAX_PREFIX_BYTES:
            self._exchange.pause_body()
        self._go_on()

    def _on_end(self) -> None:
        try:
            if self._form is not None:
                self._form.end()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._has_ended = True
        if self._leg is not None and self._is_flowing:
            self._end(self._leg)
        self._go_on()

    def _refuse(self, refusal: Refusal) -> None:
        """The provider has not been given the end of the form, and will not be."""
        if self._refusal is None:
            self._refusal = refusal
            self._exchange.pause_body()
            if self._break_off is not None:
                self._break_off(refusal.failure)
            self._go_on()

    def _end(self, leg: UploadLeg) -> None:
        self._wait_for(leg)
        leg.end_body()

    def _wait_for(self, leg: UploadLeg) -> None:
        leg.deadline = monotonic() + self._timeout_s
        leg.watch()

    def _go_on(self) -> None:
        more = self._more
        if more is not None:
            self._more = None
            more.set(None)
