"""Ingestion of journals in this process."""

from pathlib import Path
from typing import Any

from fakes.control import DAY_COUNTER
from pointsman.control.ingest import Ingest
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.reports import Rows
from pointsman.control.store.store import Store
from pointsman.domain.leases import Share
from pointsman.domain.limits import Limit, Period
from pointsman.journal.writer import JournalWriter
from pointsman.money.leases import LeaseTable

ALL = Rows(0, 1e11)


class Ingestion:
    """Ingestion of the journals in a folder, with the store and the lease table that it fills."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self.retired: list[list[tuple[int, Share]]] = []
        self.lease_table = LeaseTable(1)
        limit = Limit(level="virtual_key", owner="virtual_key:me", metric="usd", period=Period("day"), amount=1000)
        self.lease_table.configure({limit.counter: limit})
        self.ingest = Ingest(folder / "journal", self.lease_table, self._open, self.retired.append)
        self.failures = 0  # number of times that opening the store still fails

    async def _open(self) -> Store:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreError("the store is away")
        return await Store.open(store_url(self.url, self.folder))

    async def read(self) -> None:
        while not await self.ingest.step():
            pass

    async def total(self) -> Any:
        assert self.ingest.store is not None
        (row,) = await self.ingest.store.usage([], {}, ALL)
        return row["nano"]

    @property
    def posted(self) -> int:
        return sum(spent.posted for spent in self.lease_table.status() if spent.counter == DAY_COUNTER)


def journal_writer(folder: Path, epoch: int = 1, **options: Any) -> JournalWriter:
    return JournalWriter(folder / "journal", 0, epoch, segment_bytes=options.pop("segment_bytes", 1 << 20), **options)
