"""`python -m bench.ingest`: CPU time of control per request, from the journal into the store."""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from uuid import UUID

from pointsman.control.ingest import Ingest
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.journal.records import ChargeScope, CounterRef, Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.money.leases import LeaseTable

KEYS = 53
BURST = 100
_COUNTERS = (("usd", "day"), ("usd", "month"), ("requests", "minute"), ("tokens", "minute"))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=0, help="requests per second; 0: all are there at the start")
    parser.add_argument("--store", help="postgresql://…; SQLite when absent")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        cpu_us, took_s = asyncio.run(_measure(Path(folder), given.requests, given.rate, given.store))
    print(f"{cpu_us:.1f} µs of CPU per request in control, {given.requests / took_s:,.0f} requests/s")
    return 0


async def _measure(folder: Path, count: int, rate: int, url: str | None) -> tuple[float, float]:
    """Return control's CPU µs per request, without writing the journal, and the elapsed time."""
    journals = folder / "journal"
    writer = JournalWriter(journals, 0, time.time_ns())
    scopes = [_scope(number) for number in range(KEYS)]

    async def open_store() -> Store:
        return await Store.open(store_url(url, folder))

    ingest = Ingest(journals, LeaseTable(1), open_store, lambda _: None)
    await ingest.step()
    written_s, began = 0.0, time.monotonic()
    idle = _cpu_s()
    running = asyncio.create_task(ingest.run())
    for first in range(0, count, BURST):
        # At full speed, pause now and then until the next segment exists.
        await asyncio.sleep(max(0.0, began + first / rate - time.monotonic()) if rate else 0.002)
        before = time.thread_time()
        for number in range(first, min(first + BURST, count)):
            _request(writer, scopes[number % KEYS], number)
        written_s += time.thread_time() - before
    while ingest.state.records < 3 * count:
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - began
    used_s = _cpu_s() - idle - written_s
    writer.close()
    await ingest.finish(10)
    await running
    return used_s / count * 1e6, took_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _scope(number: int) -> ChargeScope:
    owners = (f"virtual_key:key-{number}", f"team:team-{number % 7}", "provider:openai")
    counters = [CounterRef(counter=f"{owners[0]}|{metric}|{per}", metric=metric, unit=per) for metric, per in _COUNTERS]
    counters += [CounterRef(counter=f"{owner}|usd|month", metric="usd", unit="month") for owner in owners[1:]]
    return ChargeScope(
        number=number,
        virtual_key=f"key-{number}",
        team=f"team-{number % 7}",
        customer="acme",
        provider="openai",
        model="gpt-4o-mini",
        variant=None,
        price_version="v1",
        counters=tuple(counters),
    )


def _request(writer: JournalWriter, scope: ChargeScope, number: int) -> None:
    now = time.time()
    request_id = str(UUID(int=(int(now * 1000) << 80) | (7 << 76) | (2 << 62) | number))
    writer.intent(scope, request_id, 1, now, 900_000, 1_400)
    writer.store(scope, Outcome(scope.number, request_id, 1, now, 72_000, 240, 60, 0, 0, "ok", "reported"))
    attempt = {
        "provider": "openai", "model": "gpt-4o-mini", "key": "default", "outcome": "ok", "status": 200, "start_us": 180,
        "duration_us": 412_345, "first_byte_us": 401_222, "cost_nano": 72_000, "usage_source": "reported",
        "tokens_in": 240, "tokens_out": 60,
    }  # fmt: skip
    record = {
        "event": "request", "time": now, "request_id": request_id, "method": "POST", "path": "/v1/chat/completions",
        "operation": "chat", "status": 200, "duration_us": 412_700, "gateway_us": 355, "stream": False,
        "virtual_key": scope.virtual_key, "team": scope.team, "customer": "acme", "model": "chat",
        "strategy": "weighted", "source": "models.chat", "provider": "openai", "upstream_model": "gpt-4o-mini",
        "tokens_in": 240, "tokens_out": 60, "attempts": [attempt], "cost_nano": 72_000,
        "verdicts": ["anthropic/claude-haiku-4-5: not needed"],
    }  # fmt: skip
    writer.request(json.dumps(record, separators=(",", ":")).encode())


if __name__ == "__main__":
    raise SystemExit(main())
