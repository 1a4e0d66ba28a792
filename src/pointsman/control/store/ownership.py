"""The ownership of a store that several gateways can reach.

Each gateway would lease the whole of every limit to its own workers. So a PostgreSQL store has one row for its owner.
It holds the gateway, an epoch that increases with every claim, and the time of the last write, by the database's clock.
Every transaction of the owner updates that row if the epoch is still its own, and otherwise writes nothing. The row's
lock prevents a claim meanwhile. The session keeps no state, so a connection pooler may be used.

The same gateway continues at once after a handover or a restart. Another may claim a store after its owner has not
written for `STALE_S`. The lock of the data folder protects a store in SQLite.
"""

import os
import secrets
import socket
from pathlib import Path

from msgspec import Struct
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.store.database import StoreError
from pointsman.control.store.tables import OWNER

BEAT_S = 5.0  # longest time between an owner's writes
STALE_S = 3 * BEAT_S
FILE = "gateway"  # in the data folder

_NOW = func.extract("epoch", func.clock_timestamp())


class InUseError(StoreError):
    """Another gateway owns this store. `beat` is the time of its last write."""

    def __init__(self, place: str, ago_s: float, beat: float) -> None:
        super().__init__(
            f"another gateway ({place}) uses this database and wrote to it {max(0.0, ago_s):.0f} s ago; "
            "two gateways on one database would each grant the whole of every limit: stop the other one, or set "
            "store.url to a database that no other gateway uses"
        )
        self.beat = beat


class Gateway(Struct, frozen=True):
    """A gateway that claims a store. `name` is unique and stays the same after a restart; `place` is for people."""

    name: str
    place: str


def gateway_of(data_dir: Path) -> Gateway:
    """Return the gateway of a data folder. A copy of the folder is another gateway. Raises `OSError`."""
    file, host = data_dir / FILE, socket.gethostname()
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(fd, "w") as made:
            made.write(secrets.token_hex(16))
    return Gateway(f"{file.read_text()}/{host}/{file.stat().st_ino}", f"on {host}, data folder {data_dir.resolve()}")


async def claim(connection: AsyncConnection, gateway: Gateway) -> int:
    """Claim a store, in a transaction. Return the epoch of this claim. Raises `InUseError`."""
    await connection.execute(
        insert(OWNER).values(one=1, epoch=0, gateway="", place="", beat=0).on_conflict_do_nothing()
    )
    row = (await connection.execute(select(OWNER, _NOW.label("now")).with_for_update())).one()
    ago_s = float(row.now) - row.beat
    if row.gateway not in ("", gateway.name) and ago_s <= STALE_S:
        raise InUseError(row.place, ago_s, row.beat)
    epoch = int(row.epoch) + 1
    await connection.execute(update(OWNER).values(epoch=epoch, gateway=gateway.name, place=gateway.place, beat=_NOW))
    return epoch


async def hold(connection: AsyncConnection, epoch: int) -> None:
    """Begin a transaction of the owner. Raises `InUseError` if it is no longer the owner."""
    if (await connection.execute(update(OWNER).where(OWNER.c.epoch == epoch).values(beat=_NOW))).rowcount:
        return
    row = (await connection.execute(select(OWNER, _NOW.label("now")))).one()
    raise InUseError(row.place, float(row.now) - row.beat, row.beat)
