"""Follows the stored requests in the order of their ingestion, and sends their spans or log records.

The position is a file of the data folder. It moves once the collector has accepted a message, so a restart loses
nothing. If the process is killed between the two, a message is sent again, and its spans have the same ids.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time

import msgspec

from pointsman.admin.delivery import Sent, until_decided
from pointsman.admin.export.sender import Sender
from pointsman.admin.export.status import SignalStatus
from pointsman.control.store.database import StoreError
from pointsman.control.store.reports import Reports
from pointsman.domain.records import RequestRecord

AT_ONCE = 256  # requests in a message
POLL_S = 1.0
STORE_WAIT_S = 5.0  # after the store could not be read

Encode = Callable[[Iterable[RequestRecord]], tuple[bytes, int]]
_DECODER = msgspec.json.Decoder(RequestRecord)


class Follower:
    """Sends one signal. `encode` returns a message for some requests, and the number of its items."""

    def __init__(self, store: Reports, sender: Sender, status: SignalStatus, encode: Encode, path: Path) -> None:
        self._store = store
        self._sender = sender
        self._status = status
        self._encode = encode
        self._path = path
        self._at_once = AT_ONCE

    async def run(self) -> None:
        """Send new requests until it is cancelled. The first message is empty: it tests the address."""
        position: int | None = None
        is_tested = False
        while True:
            try:
                if position is None:  # before the test, because requests arrive while the collector is away
                    position = await self._first_position()
                if not is_tested:
                    await self._deliver(*self._encode(()))
                    is_tested = True
                rows = await self._store.stored_after(position, self._at_once)
            except (StoreError, OSError) as error:
                self._status.fail(f"the stored requests cannot be read: {error}")
                await asyncio.sleep(STORE_WAIT_S)
                continue
            if not rows:
                self._status.lag_s = 0.0
                await asyncio.sleep(POLL_S)
                continue
            self._status.lag_s = max(0.0, time() - rows[0][0] / 1e6)
            message, count = await asyncio.to_thread(self._message, [line for _, line in rows])
            sent = await self._deliver(message, count) if count else None
            if sent is not None and sent.result == "too_large" and len(rows) > 1:
                self._at_once = max(1, len(rows) // 2)
                continue
            if sent is not None:
                self._status.succeed(count, sent.rejected, sent.reason)
            self._at_once = min(AT_ONCE, self._at_once * 2)
            position = rows[-1][0]
            try:
                self._keep(position)
            except OSError as error:  # such as a full disk: only a restart would send these requests again
                self._status.fail(f"{self._path} cannot be written: {error.strerror}")

    def _message(self, lines: list[bytes]) -> tuple[bytes, int]:
        records = []
        for line in lines:
            try:
                records.append(_DECODER.decode(line))
            except msgspec.DecodeError:  # of a newer version: its spans are left out
                continue
        return self._encode(records)

    async def _deliver(self, message: bytes, count: int) -> Sent:
        """Send a message until the collector has decided on it."""
        sent = await until_decided(lambda: self._sender.send(message, count), self._status.fail)
        if not count:
            self._status.succeed(0, 0, "")
        return sent

    async def _first_position(self) -> int:
        """Return the position of the last run. Without one, earlier requests are not sent."""
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            position = await self._store.newest()
            self._keep(position)
            return position

    def _keep(self, position: int) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(str(position))
        new.replace(self._path)
