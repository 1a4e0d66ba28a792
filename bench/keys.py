"""`python -m bench.keys`: virtual keys made by API in a gateway with 100,000 of them.

Measures the time until a made key is usable at all workers, and the time of lists and searches. Then it revokes a key
under load, kills control at once, and counts the statuses of requests on new connections: after a second, and again
after all workers were killed and have started from disk, with the store moved away.
"""

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from fakes.many_keys import POLICIES, TEAMS, teams
from integration.gateway import Gateway, chat, serving, until
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.simulate import Settings

WORKERS, ROUNDS, CALLS = 3, 20, 300
LISTS = {
    "first_page": "limit=100",
    "last_page": "limit=100&after=user-099900",
    "by_team": "team=team-7&limit=100",
    "part_of_a_name": "q=9999&limit=100",
    "no_such_name": "q=nobody&limit=100",
    "beginning_of_a_digest": "hint=3730f0d3&limit=100",
    "disabled": "state=disabled&limit=100",
}


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        found = asyncio.run(_measure(Path(folder), given.keys))
    text = json.dumps(found, indent=1)
    (given.json.write_text if given.json is not None else print)(text + "\n")
    return 0


async def _measure(folder: Path, count: int) -> dict[str, Any]:
    data = folder / "data"
    data.mkdir(mode=0o700)
    await _fill(data, count)
    async with serving(
        providers={"a": Settings(models=("sim-1",))},
        models={"chat": ["a/sim-1"]},
        governance={"teams": teams(), "virtual_keys": {"me": {"value": "env.ME"}}},
        pricing={"overrides": [{"model": "a/*", "input_usd_per_million": "1", "output_usd_per_million": "1"}]},
        server={"workers": WORKERS, "trusted_proxies": ["127.0.0.1"]},  # wrong keys of a proxy are not throttled
        data_dir=str(data),
        as_process=True,
        environ={"ME": "pm-key-of-the-benchmark-0123"},
    ) as gateway:
        await _until_ready(gateway)
        found: dict[str, Any] = {"keys": count, "workers": WORKERS, "load_average": os.getloadavg()[0]}
        found["usable_ms"] = await _usable(gateway)
        found["list_ms"] = {name: await _listed(gateway, query) for name, query in LISTS.items()}
        found["revoked"] = await _revoked(gateway, data)
    return found


async def _fill(data: Path, count: int) -> None:
    store = await Store.open(store_url(None, data))
    for first in range(0, count, 5000):
        await store.api_keys.write([_row(number) for number in range(first, min(first + 5000, count))], [], [])
    await store.close()


def _row(number: int) -> Row:
    team = f"team-{number % TEAMS}"
    settings = {"budgets": [{"limit_usd": 5 + number % POLICIES, "per": "day"}], "team": team}
    return {
        "name": f"user-{number:06d}", "digest": sha256(b"%d" % number).hexdigest(), "previous_digest": "",
        "previous_until": None, "hint": "pm-12345678", "team": team, "customer": "", "parent": "", "note": "",
        "settings": json.dumps(settings, separators=(",", ":")), "expires_at": None, "is_enabled": 1, "created_at": 1.0,
        "created_by": "bench", "changed_at": 1.0,
    }  # fmt: skip


async def _until_ready(gateway: Gateway) -> None:
    """Wait until control has written the keys of the store into the file of the workers."""
    while (await gateway.admin("/api/v1/keys/none", "DELETE")).status != 404:
        await asyncio.sleep(0.1)


async def _usable(gateway: Gateway) -> dict[str, float]:
    """Return milliseconds from the request for a key to an answer to it, at new connections that reach all workers."""
    made, usable = list[float](), list[float]()
    for number in range(ROUNDS):
        began = time.perf_counter()
        body = {"name": f"new-{number}", "settings": {"team": "team-1", "budgets": [{"limit_usd": 5, "per": "day"}]}}
        answer = await gateway.admin("/api/v1/keys", "POST", body)
        made.append((time.perf_counter() - began) * 1e3)
        assert answer.status == 201, answer.body
        how = {"method": "GET", "path": "/v1/models", "headers": {"authorization": f"Bearer {answer.json['key']}"}}
        asked = await asyncio.gather(*(gateway.ask(**how) for _ in range(4 * WORKERS)))
        usable.append((time.perf_counter() - began) * 1e3)
        assert {one.status for one in asked} == {200}
    return {"made_median": _ms(median(made)), "median": _ms(median(usable)), "worst": _ms(max(usable))}


async def _listed(gateway: Gateway, query: str) -> dict[str, float]:
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = await gateway.admin(f"/api/v1/keys?{query}")
        times.append((time.perf_counter() - began) * 1e3)
        assert answer.status == 200, answer.body
    return {"median": _ms(median(times)), "worst": _ms(max(times))}


async def _revoked(gateway: Gateway, data: Path) -> dict[str, Any]:
    answer = await gateway.admin("/api/v1/keys", "POST", {"name": "leaked", "settings": {"team": "team-1"}})
    headers = {"authorization": f"Bearer {answer.json['key']}"}

    async def load() -> None:
        client = await gateway.connect()
        try:
            while True:
                await client.ask(chat(max_tokens=1), headers=headers)
        finally:
            await client.close()

    async def statuses() -> dict[str, int]:
        found: Counter[str] = Counter()
        for _ in range(CALLS // 10):
            asked = await asyncio.gather(*(gateway.ask(chat(max_tokens=1), headers=headers) for _ in range(10)))
            found.update(str(one.status) for one in asked)
        return dict(found)

    before = await statuses()
    loading = [asyncio.create_task(load()) for _ in range(4)]
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    answer = await gateway.admin("/api/v1/keys/leaked", "DELETE")
    took_ms = (time.perf_counter() - began) * 1e3
    os.kill(gateway.children["control"], signal.SIGKILL)
    await asyncio.sleep(1.0)
    after = await statuses()
    for task in loading:
        task.cancel()
    await asyncio.gather(*loading, return_exceptions=True)
    (data / "pointsman.db").rename(data / "moved.db")  # nothing but the disk can tell the workers
    workers = {pid for name, pid in gateway.children.items() if name.startswith("worker")}
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: _count(gateway, workers) == WORKERS, "the workers were replaced")
    restarted = await statuses()
    return {"before": before, "delete_status": answer.status, "delete_ms": _ms(took_ms), "after_1_s": after,
            "after_restart": restarted}  # fmt: skip


def _count(gateway: Gateway, without: set[int]) -> int:
    return sum(name.startswith("worker") and pid not in without for name, pid in gateway.children.items())


def _ms(value: float) -> float:
    return round(value, 1)


if __name__ == "__main__":
    raise SystemExit(main())
