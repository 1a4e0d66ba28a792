"""The way of stored requests to a collector, as spans or as log records."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from pointsman.admin.delivery import Sent
from pointsman.admin.export.sender import Sender
from pointsman.admin.following import Message
from pointsman.domain.records import RequestRecord

Encode = Callable[[Iterable[RequestRecord]], tuple[bytes, int]]
_DECODER = msgspec.json.Decoder(RequestRecord)


def records_of(lines: Iterable[bytes]) -> list[RequestRecord]:
    """Return the records in JSON of stored requests. Those of a newer version are left out."""
    records = []
    for line in lines:
        try:
            records.append(_DECODER.decode(line))
        except msgspec.DecodeError:
            continue
    return records


class SignalOutlet:
    """Sends one signal. `encode` returns a message of OTLP for some requests, and the number of its items."""

    def __init__(self, sender: Sender, encode: Encode) -> None:
        self._sender = sender
        self._encode = encode

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        return self._encode(records_of(lines))

    async def send(self, message: Message) -> Sent:
        return await self._sender.send(message.body, message.count)

    async def test(self) -> None:
        """Send an empty message."""
        await self._sender.send(*self._encode(()))

    async def close(self) -> None:
        await self._sender.close()
