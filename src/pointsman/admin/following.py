"""Follows the stored requests in the order of their ingestion, and delivers their records to one outlet.

The position is a file of the data folder. It moves once the outlet has accepted a message, so a restart loses nothing.
If the process is killed between the two, the same records are sent again.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Protocol

import msgspec
from msgspec import Struct

from pointsman.admin.delivery import Sent, until_decided
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.leaving import Gate
from pointsman.control.store.database import StoreError
from pointsman.control.store.reports import Reports

AT_ONCE = 256  # requests in a message
POLL_S = 1.0
BODIES_S = 5.0  # after which the bodies of a stored request are in the store too
STORE_WAIT_S = 5.0  # after the store could not be read


class _Id(Struct):
    request_id: str


_ID_DECODER = msgspec.json.Decoder(_Id)


class Message(Struct, frozen=True):
    """A message of `count` items. `name` is different for any other records, and the same if they are sent again.
    `at` is the time at which the first of them was stored, in Unix seconds."""

    name: str
    at: float
    body: bytes
    count: int


class Outlet(Protocol):
    """The way to one receiver of records."""

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        """Return the body of a message for records in JSON, and the number of its items. It runs in a thread."""
        ...

    async def send(self, message: Message) -> Sent:
        """Send a message. Raises `DeliveryError` if it may be accepted later."""
        ...

    async def test(self) -> None:
        """Find out whether the receiver works, without any records. Raises `DeliveryError`."""

    async def close(self) -> None: ...


class Batching(Struct, frozen=True):
    """The records in a message: at most `at_once`. A record waits at most `wait_s` seconds for others. With
    `has_bodies`, it has the bodies of its request, which arrive in the store a little later than the record."""

    at_once: int = AT_ONCE
    wait_s: float = 0.0
    has_bodies: bool = False


class Follower:
    """Delivers the records that pass `gate` to `outlet`. The file `path` keeps the position."""

    def __init__(
        self,
        store: Reports,
        outlet: Outlet,
        status: DeliveryStatus,
        path: Path,
        *,
        gate: Gate,
        batching: Batching | None = None,
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._status = status
        self._gate = gate
        self._path = path
        self._batching = batching or Batching()
        self._at_once = self._batching.at_once

    async def run(self) -> None:
        """Send new records until it is cancelled."""
        position: int | None = None
        is_tested = False
        while True:
            try:
                if position is None:  # before the test, because requests arrive while the receiver is away
                    position = await self._first_position()
                if not is_tested:
                    await until_decided(self._outlet.test, self._status.fail)
                    self._status.succeed(0, 0, "")
                    is_tested = True
                rows = await self._store.stored_after(position, self._at_once)
            except (StoreError, OSError) as error:
                self._status.fail(f"the stored requests cannot be read: {error}")
                await asyncio.sleep(STORE_WAIT_S)
                continue
            if self._batching.has_bodies:
                latest = int((time() - BODIES_S) * 1e6)
                rows = [row for row in rows if row[0] <= latest]
            age_s = max(0.0, time() - rows[0][0] / 1e6) if rows else 0.0
            self._status.lag_s = age_s
            if not rows or (len(rows) < self._at_once and age_s < self._batching.wait_s):
                await asyncio.sleep(POLL_S)
                continue
            if await self._deliver(rows):
                position = rows[-1][0]
                self._keep_or_report(position)

    async def _deliver(self, rows: list[tuple[int, bytes]]) -> bool:
        """Send some records until the receiver has decided on them. Return false if they were too many for it."""
        lines, withheld = await asyncio.to_thread(self._gate.passed, [line for _, line in rows])
        if self._batching.has_bodies:
            lines = await self._with_bodies(lines)
        body, count = await asyncio.to_thread(self._outlet.encode, lines) if lines else (b"", 0)
        if count:
            message = Message(f"{rows[0][0]}-{rows[-1][0]}", rows[0][0] / 1e6, body, count)
            sent = await until_decided(lambda: self._outlet.send(message), self._status.fail)
            if sent.result == "too_large" and len(rows) > 1:
                self._at_once = max(1, len(rows) // 2)
                return False
            self._status.succeed(count, sent.rejected, sent.reason)
        self._status.withheld += withheld
        self._at_once = min(self._batching.at_once, self._at_once * 2)
        return True

    async def _with_bodies(self, lines: list[bytes]) -> list[bytes]:
        """Return records with the bodies of their requests, as one more field."""
        ids = [_ID_DECODER.decode(line).request_id for line in lines]
        found: dict[str, bytes] | None = None
        while found is None:
            try:
                found = await self._store.bodies(ids)
            except StoreError as error:
                self._status.fail(f"the bodies cannot be read: {error}")
                await asyncio.sleep(STORE_WAIT_S)
        return [
            line if name not in found else line[:-1] + b',"bodies":' + found[name] + b"}"
            for name, line in zip(ids, lines, strict=True)
        ]

    async def _first_position(self) -> int:
        """Return the position of the last run. Without one, earlier requests are not sent."""
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            position = await self._store.newest()
            self._keep(position)
            return position

    def _keep_or_report(self, position: int) -> None:
        try:
            self._keep(position)
        except OSError as error:  # such as a full disk: only a restart would send these requests again
            self._status.fail(f"{self._path} cannot be written: {error.strerror}")

    def _keep(self, position: int) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(str(position))
        new.replace(self._path)
