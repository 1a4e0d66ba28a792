"""A request body that is passed on as it arrives: a file, a form with a file in it.

The beginning is held back until the model is known, and until the provider's connection stands: so a provider that
cannot be reached can still be replaced. From the first byte sent there is no second try.
"""

from time import monotonic

from pointsman.domain.calls import Operation
from pointsman.engine.tasks import Waiter
from pointsman.transport.deadlines import NEVER
from pointsman.transport.http_server import Exchange
from pointsman.transport.leg import UploadLeg
from pointsman.wire.json_object import refuse
from pointsman.wire.multipart import MAX_PREFIX_BYTES, ModelField, boundary_of, find_model
from pointsman.wire.paths import Asked


class Upload:
    """Reads the client's body and writes it to the provider, each at the pace of the other."""

    def __init__(self, exchange: Exchange, asked: Asked) -> None:
        self._exchange = exchange
        self._asked = asked
        self._boundary = boundary_of(asked.content_type)
        self._prefix = b""
        self._field: ModelField | None = None
        self._has_ended = False
        self._more: Waiter[None] | None = None
        self._leg: UploadLeg | None = None
        self._timeout_s = 0.0
        self._is_flowing = False  # what was held back has been sent

    async def find_model(self) -> str:
        """The model the form names; empty for a file to be kept, which is for no model, and when the provider is named
        by a header and the form need not be read.

        Raises `Refusal`.
        """
        self._exchange.read_body(self._on_data, self._on_end)
        if self._boundary is None or self._asked.api.operation is Operation.FILE:
            return ""
        while True:
            is_whole = self._has_ended
            if self._asked.provider is not None and (is_whole or len(self._prefix) > MAX_PREFIX_BYTES):
                return ""
            try:
                self._field = find_model(self._prefix, self._boundary)
            except Exception:  # what cannot be read is the provider's matter, where the client has named one
                if self._asked.provider is not None:
                    return ""
                raise
            if self._field is not None:
                return self._field.model
            if is_whole or len(self._prefix) > MAX_PREFIX_BYTES:
                raise refuse("the body is not a form that names a model before its file", "model")
            self._more = Waiter()
            await self._more

    def length_for(self, model: str) -> int | None:
        """The length of the body when `model` stands in the place of the client's name for it."""
        length = self._exchange.body_length
        if length is None or self._field is None:
            return length
        return length - (self._field.end - self._field.start) + len(model.encode())

    def pump(self, leg: UploadLeg, model: str, timeout_s: float) -> None:
        """Send the body to `leg`, as soon as it takes bytes.

        The provider has `timeout_s` to connect, to take what it is given, and to answer when it has all of it. While
        the client is what is waited for, nothing is held against the provider.
        """
        self._exchange.pause_body()
        self._leg = leg
        self._timeout_s = timeout_s
        self._is_flowing = False
        field = self._field

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
        if self._leg is not None and self._is_flowing:
            if not self._leg.write_body(data):
                self._wait_for(self._leg)
                self._exchange.pause_body()
            return
        self._prefix += data
        if len(self._prefix) > MAX_PREFIX_BYTES:
            self._exchange.pause_body()
        self._go_on()

    def _on_end(self) -> None:
        self._has_ended = True
        if self._leg is not None and self._is_flowing:
            self._end(self._leg)
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
