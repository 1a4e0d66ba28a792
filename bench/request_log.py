"""`python -m bench.request_log`: ingestion, queries and retention of a large request log, on SQLite and PostgreSQL."""

import argparse
import asyncio
import json
import os
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import msgspec

from pointsman.control.accounting import Accounting, OpenRequests
from pointsman.control.ingest import MAX_BATCH
from pointsman.control.retention import Retention
from pointsman.control.store.database import store_url
from pointsman.control.store.log_queries import RequestFilter, RequestPage
from pointsman.control.store.reports import Reports, Rows, first_id
from pointsman.control.store.series import REQUEST_SERIES, SPLIT_SERIES, TAG_SERIES, USAGE_SERIES
from pointsman.control.store.store import Batch, JournalState, Store
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.journal.reader import Chunk, Position
from pointsman.journal.records import ChargeScope, CounterRef, Intent, Outcome, RequestDone

DAY_S = 86_400
DAYS = 28
KEYS, TEAMS = 53, 7
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-haiku-4-5", "claude-sonnet-4-5", "gemini-2.5-flash", "llama-3.3-70b")
PROVIDERS = ("openai", "openai", "anthropic", "anthropic", "gemini", "groq")
NAMES = ("chat", "cheap", "smart")
STEADY = 500  # requests per second that arrive while old ones are deleted
SPLITS = {"chat": {f"{one}/{model}": "" for one, model in zip(PROVIDERS, MODELS, strict=True)}}

Query = Callable[[random.Random], Awaitable[object]]


class Traffic:
    """Random requests in the order of their time, over the last `DAYS` days."""

    def __init__(self, rows: int) -> None:
        self.rng = random.Random(20)
        self.now = float(int(time.time()))
        self.begin = self.now - DAYS * DAY_S
        self.step_s = DAYS * DAY_S / rows
        self.number = 0
        self.scopes = {(key, target): _scope(key, target) for key in range(KEYS) for target in range(len(MODELS))}
        self.sessions = [f"s-{secrets.token_hex(8)}" for _ in range(20)]
        self.known_sessions: list[str] = []

    def batch(self, count: int, at: float | None = None) -> Chunk:
        """Return the records of some requests: an intent, an outcome and the request for each."""
        records: list[Any] = []
        for _ in range(count):
            self.number += 1
            moment = self.begin + self.number * self.step_s if at is None else at
            records += self._request(moment)
        places = list(range(len(records)))
        return Chunk(segment=0, offsets=places, records=records, end=Position(0, 0), is_end=True)

    def _request(self, at: float) -> tuple[Intent, Outcome, RequestDone]:
        rng = self.rng
        target, key = rng.randrange(len(MODELS)), min(int(rng.expovariate(0.08)), KEYS - 1)
        scope = self.scopes[key, target]
        draw = rng.random()
        status = 200 if draw < 0.96 else 429 if draw < 0.98 else 500 if draw < 0.995 else 400
        nano = int(rng.lognormvariate(13.5, 1.5)) if status == 200 else 0
        duration_us = int(rng.lognormvariate(14, 1)) if status == 200 else rng.randrange(500, 90_000)
        tokens_in, tokens_out = rng.randrange(20, 9000), rng.randrange(1, 900)
        one = str(UUID(int=(int(at * 1000) << 80) | (7 << 76) | (2 << 62) | (self.number & 0xFFFFFFFFFFFF)))
        outcome = "ok" if status == 200 else "upstream_error"
        attempt = AttemptRecord(
            provider=scope.provider, model=scope.model, key="default", outcome=outcome, start_us=180,
            duration_us=duration_us - 300, status=status, first_byte_us=duration_us // 2, cost_nano=nano,
            usage_source="reported", tokens_in=tokens_in, tokens_out=tokens_out, most_nano=nano * 3, most_tokens=9000,
        )  # fmt: skip
        record = RequestRecord(time=at, request_id=one, method="POST", path="/v1/chat/completions", status=status)
        record.duration_us, record.gateway_us, record.stream = duration_us, 320, rng.random() < 0.6
        record.operation, record.dialect, record.model = "chat", "openai", NAMES[min(int(rng.expovariate(1)), 2)]
        record.virtual_key, record.team, record.customer = scope.virtual_key, scope.team, scope.customer
        record.provider, record.upstream_model, record.key = scope.provider, scope.model, "default"
        record.strategy, record.source, record.client = "adaptive", f"models.{record.model}", "10.1.2.3"
        record.attempts, record.cost_nano = (attempt,), nano
        record.tokens_in, record.tokens_out, record.bytes_in, record.bytes_out = tokens_in, tokens_out, 9000, 2500
        record.ttft_us = duration_us // 3 if record.stream else None
        record.verdicts = ("groq/llama-3.3-70b: its provider is degraded",)
        if status != 200:
            record.code = "rate_limited" if status == 429 else outcome if status == 500 else "invalid_request"
            record.message = "the provider answered with an error"
        if rng.random() < 0.2:
            record.tags = {"env": rng.choice(("prod", "dev")), "feature": f"f-{rng.randrange(40)}"}
        if rng.random() < 0.3:
            self._join_session(record)
        if rng.random() < 0.1:
            record.client_request_id = secrets.token_hex(16)
        intent = Intent(scope.number, one, 1, at, nano * 3, 9000)
        done = Outcome(scope.number, one, 1, at, nano, tokens_in, tokens_out, 0, 0, outcome, "reported")
        return intent, done, RequestDone(msgspec.json.encode(record))

    def _join_session(self, record: RequestRecord) -> None:
        place = self.rng.randrange(len(self.sessions))
        record.session = self.sessions[place]
        if self.rng.random() < 0.5:
            record.agent, record.parent_agent = f"a-{self.rng.randrange(4)}", None
        if self.rng.random() < 0.05:  # the session ends, and another begins
            self.known_sessions.append(self.sessions[place])
            self.sessions[place] = f"s-{secrets.token_hex(8)}"


def _scope(key: int, target: int) -> ChargeScope:
    owner = f"virtual_key:key-{key}"
    counters = [CounterRef(counter=f"{owner}|usd|{per}", metric="usd", unit=per) for per in ("day", "month")]
    return ChargeScope(
        number=key * len(MODELS) + target,
        virtual_key=f"key-{key}",
        team=f"team-{key % TEAMS}",
        customer="acme" if key % 3 else None,
        provider=PROVIDERS[target],
        model=MODELS[target],
        variant=None,
        price_version="v1",
        counters=tuple(counters),
    )


async def _write(store: Store, traffic: Traffic, chunk: Chunk) -> tuple[float, float]:
    """Write a batch as control does. Return the elapsed time and the CPU time in seconds."""
    scopes = {scope.number: scope for scope in traffic.scopes.values()}
    began, cpu = time.monotonic(), time.process_time()
    accounting = Accounting(SPLITS)
    accounting.add(1, chunk, scopes, OpenRequests())
    accounting.read_to("j", JournalState(Position(), Position()))
    await store.commit(accounting.batch())
    return time.monotonic() - began, time.process_time() - cpu


async def _fill(store: Store, traffic: Traffic, rows: int) -> dict[str, float]:
    took_s = cpu_s = 0.0
    size = MAX_BATCH // 3
    last = 0.0
    for first in range(0, rows, size):
        count = min(size, rows - first)
        took, cpu = await _write(store, traffic, traffic.batch(count))
        took_s, cpu_s = took_s + took, cpu_s + cpu
        if first >= rows * 0.9:
            last += took
        if first // size % 50 == 0:
            print(f"  {first:,} rows, {first / took_s if took_s else 0:,.0f} rows/s", flush=True)
            await store.checkpoint()
    return {
        "requests_per_s": round(rows / took_s),
        "requests_per_s_of_the_last_tenth": round(rows * 0.1 / last),
        "cpu_us_per_request": round(cpu_s / rows * 1e6, 1),
    }


async def _burst(store: Store, traffic: Traffic, rows: int) -> dict[str, float]:
    """Write requests that arrive now. Those of a history are slower to write, since each is in a minute of its own and
    so has sums of its own."""
    took_s = cpu_s = 0.0
    size = MAX_BATCH // 3
    for first in range(0, rows, size):
        took, cpu = await _write(store, traffic, traffic.batch(min(size, rows - first), time.time()))
        took_s, cpu_s = took_s + took, cpu_s + cpu
    return {
        "load_average": round(os.getloadavg()[0], 1),
        "rows": rows,
        "requests_per_s": round(rows / took_s),
        "cpu_us_per_request": round(cpu_s / rows * 1e6, 1),
    }


class _Queries:
    """The measured queries. Each draws its values."""

    def __init__(self, reports: Reports, traffic: Traffic) -> None:
        self._reports = reports
        self._traffic = traffic

    def all(self) -> dict[str, Query]:
        """Return the queries by name."""
        return {**self._lists(), **self._filters(), **self._sessions(), **self._dashboards()}

    def _page(self, limit: int = 50, **chosen: Any) -> Awaitable[RequestPage]:
        return self._reports.log.page(RequestFilter(**chosen), limit)

    def _equal(self, **values: Any) -> Awaitable[RequestPage]:
        return self._page(equal=values)

    def _usage(self, days: float, *by: str, series: Any = USAGE_SERIES, **filters: Any) -> Awaitable[object]:
        now = self._traffic.now
        return self._reports.sums(series, by, filters, Rows(now - days * DAY_S, now + 1, 10_000))

    def _moment(self, rng: random.Random) -> str:
        return first_id(rng.uniform(self._traffic.begin, self._traffic.now))

    def _lists(self) -> dict[str, Query]:
        def hour(rng: random.Random) -> Awaitable[RequestPage]:
            at = rng.uniform(self._traffic.begin, self._traffic.now)
            return self._page(after=first_id(at), before=first_id(at + 3600))

        follow = RequestFilter(is_failed=True)
        return {
            "list: newest": lambda _: self._page(),
            "list: a later page": lambda rng: self._page(before=self._moment(rng)),
            "list: an hour": hour,
            "list: 1000 rows": lambda rng: self._page(1000, before=self._moment(rng)),
            "follow": lambda _: self._reports.log.stored_after(int((time.time() - 60) * 1e6), follow, 1000),
            "request": lambda rng: self._reports.request(self._moment(rng)),
        }

    def _filters(self) -> dict[str, Query]:
        page, equal, moment = self._page, self._equal, self._moment
        return {
            "filter: key": lambda rng: equal(virtual_key=_key(rng)),
            "filter: team": lambda rng: equal(team=f"team-{rng.randrange(TEAMS)}"),
            "filter: customer": lambda _: equal(customer="acme"),
            "filter: provider": lambda rng: equal(provider=rng.choice(PROVIDERS)),
            "filter: model": lambda rng: equal(model=rng.choice(NAMES)),
            "filter: status 200": lambda _: equal(status=200),
            "filter: status 400": lambda _: equal(status=400),
            "filter: tag": lambda rng: page(tag=f"feature=f-{rng.randrange(40)}"),
            "filter: session": lambda rng: equal(session=rng.choice(self._traffic.known_sessions)),
            "filter: error": lambda _: page(is_failed=True),
            "filter: code": lambda _: equal(code="invalid_request"),
            "filter: cost of the upper half": lambda _: page(least_nano=730_000),
            "filter: cost of one in ten thousand": lambda _: page(least_nano=190_000_000),
            "filter: latency of the upper half": lambda _: page(least_us=1_200_000),
            "filter: latency of one in ten thousand": lambda _: page(least_us=50_000_000),
            "filter: client's id, unknown": lambda _: equal(client_request_id="none"),
            "filter: key and status": lambda rng: equal(virtual_key=_key(rng), status=429),
            "filter: key, model and cost": lambda rng: page(
                equal={"virtual_key": _key(rng), "model": "smart"}, least_nano=20_000_000
            ),
            "filter: key and error, old": lambda rng: page(
                equal={"virtual_key": _key(rng)}, is_failed=True, before=moment(rng)
            ),
            "filter: nothing meets all": lambda rng: page(
                equal={"virtual_key": _key(rng), "status": 200, "provider": "groq"}, most_us=1
            ),
        }

    def _sessions(self) -> dict[str, Query]:
        log = self._reports.log

        async def session(rng: random.Random) -> None:
            name = rng.choice(self._traffic.known_sessions)
            await log.session(name)
            await log.agents(name, 1000)
            await log.page(RequestFilter(equal={"session": name}), 100, with_records=True)

        return {
            "sessions: newest": lambda _: log.sessions(None, 50, None),
            "sessions: of a key": lambda rng: log.sessions(_key(rng), 50, None),
            "session with its requests": session,
        }

    def _dashboards(self) -> dict[str, Query]:
        usage, of_requests = self._usage, REQUEST_SERIES
        return {
            "dashboard: 6 hours by minute and status": lambda _: usage(0.25, "minute", "status", series=of_requests),
            "dashboard: 24 hours by minute": lambda _: usage(1, "minute", series=of_requests),
            "dashboard: 7 days by hour": lambda _: usage(7, "hour"),
            "dashboard: 28 days by day": lambda _: usage(28, "day"),
            "dashboard: 28 days by key and model": lambda _: usage(28, "virtual_key", "model"),
            "dashboard: 28 days by status": lambda _: usage(28, "status", series=of_requests),
            "dashboard: 28 days of a key by day": lambda rng: usage(28, "day", virtual_key=_key(rng)),
            "dashboard: 28 days by tag": lambda _: usage(28, "tag", series=TAG_SERIES),
            "dashboard: 28 days of variants": lambda _: usage(28, *SPLIT_SERIES.names, series=SPLIT_SERIES),
        }


def _key(rng: random.Random) -> str:
    return f"key-{rng.randrange(KEYS)}"


async def _measure(reports: Reports, traffic: Traffic, rounds: int) -> dict[str, dict[str, float]]:
    rng = random.Random(4)
    found = {}
    for name, query in _Queries(reports, traffic).all().items():
        times, cpu = [], []
        for _ in range(rounds):
            began, used = time.perf_counter(), time.process_time()
            await query(rng)
            times.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - used) * 1000)
        one = {"p50_ms": _share(times, 0.5), "p95_ms": _share(times, 0.95), "cpu_p95_ms": _share(cpu, 0.95)}
        found[name] = one
        print(f"  {name:45} " + "   ".join(f"{key} {value:7.1f}" for key, value in one.items()), flush=True)
    return found


def _share(times: list[float], share: float) -> float:
    return round(sorted(times)[int(len(times) * share)], 1)


class _Keeper:
    """The parts of ingestion that the deletion uses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def lapse(self) -> None:
        await self.store.lapse(time.time())


async def _retain(store: Store, traffic: Traffic) -> dict[str, float]:
    """Delete a fifth of the requests while others arrive. Return the longest time from the arrival of a batch to its
    commit."""
    lags: list[float] = []
    is_over = asyncio.Event()

    async def arrive() -> None:
        while not is_over.is_set():
            due = time.monotonic() + 0.5
            await _write(store, traffic, traffic.batch(STEADY // 2, time.time()))
            lags.append(time.monotonic() - due + 0.5)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    age_s = DAYS * DAY_S * 0.8
    keeper: Any = _Keeper(store)
    retention = Retention(
        keeper,
        requests_s=age_s,
        requests_bytes=None,
        minutes_s=age_s,
        state_s=lambda: 1e9,
        prune_keys=lambda: asyncio.sleep(0),
    )
    arriving = asyncio.create_task(arrive())
    began = time.monotonic()
    await retention.once(store)
    took_s = time.monotonic() - began
    is_over.set()
    await arriving
    lags.sort()
    return {
        "seconds": round(took_s, 1),
        "batches": len(lags),
        "commit_p50_s": round(lags[len(lags) // 2], 3),
        "commit_longest_s": round(lags[-1], 3),
    }


async def _run(url: str | None, folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    address = store_url(url, folder)
    store, traffic = await Store.open(address), Traffic(rows)
    print(f"{address.get_backend_name()}: {rows:,} requests", flush=True)
    found: dict[str, Any] = {"load_average": [round(os.getloadavg()[0], 1)]}
    found["ingestion"] = await _fill(store, traffic, rows)
    await store.checkpoint()
    size = await _size(url, folder)
    found["gb_per_million_requests"] = round(size / rows / 1000, 2)
    if url is not None:
        await _analyze(url)
    reports = Reports.of(address)
    found["burst"] = await _burst(store, traffic, min(rows, 60_000))
    found["queries"] = await _measure(reports, traffic, rounds)
    await reports.close()
    found["load_average"].append(round(os.getloadavg()[0], 1))
    found["retention"] = await _retain(store, traffic)
    await store.checkpoint()
    found["retention"]["size_after_of_before"] = round(await _size(url, folder) / size, 2)
    found["load_average"].append(round(os.getloadavg()[0], 1))
    await store.commit(Batch())
    await store.close()
    return found


async def _size(url: str | None, folder: Path) -> int:
    if url is None:
        return (folder / "pointsman.db").stat().st_size
    connection = await asyncpg.connect(url)
    size = int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    await connection.close()
    return size


async def _analyze(url: str) -> None:
    """Gather the statistics that PostgreSQL gathers by itself, unless its autovacuum is off."""
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE")
    await connection.close()


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    name = f"pointsman_bench_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def _main(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": given.rows, "days": DAYS}
    if "sqlite" in given.stores:
        with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
            found["sqlite"] = await _run(None, Path(folder), given.rows, given.rounds)
    if "postgresql" in given.stores:
        async with _database(given.server) as url:
            found["postgresql"] = await _run(url, Path(), given.rows, given.rounds)
    return found


def main() -> int:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m bench.request_log", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40, help="repetitions of each query")
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--server", default="postgresql://postgres@127.0.0.1:5432/postgres")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(_main(given))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: one for name, one in found.items() if not isinstance(one, dict)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
