"""`python -m bench.audit`: a log of audit records is tampered with in random ways, and its writer is killed.

Each tampering works on a copy of the store or of the anchor. A copy that is left alone must verify. The writer makes
a change and its record in each transaction; after each SIGKILL, the log must verify, and each change must have exactly
one record.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pointsman.config.sealing import MasterKeys
from pointsman.control.anchor import FILE, AnchorFile
from pointsman.control.audit_check import verify_store
from pointsman.control.audit_log import AuditLog
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.store import Store
from pointsman.domain.audit import FIRST, Actor, AuditEvent, AuditRecord, difference
from pointsman.domain.holds import Hold

RECORDS = 120
DATABASE = "pointsman.db"


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--tamperings", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write is not None:
        asyncio.run(_write_on(given.write))
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        found = _tampered(Path(folder), given.tamperings, random.Random(given.seed))
        found |= _killed(Path(folder) / "killed", given.kills, random.Random(given.seed))
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")
    return 0 if found["detected"] == found["tamperings"] and not found["false_alarms"] else 1


def _tampered(folder: Path, count: int, rng: random.Random) -> dict[str, Any]:
    whole, copy = folder / "whole", folder / "copy"
    whole.mkdir()
    asyncio.run(_fill(whole))
    made, missed, alarms = Counter[str](), Counter[str](), 0
    for _ in range(count):
        name, tamper = rng.choice(list(KINDS.items()))
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        alarms += bool(_faults(copy))
        while not tamper(copy, rng):
            pass
        made[name] += 1
        if not _faults(copy):
            missed[name] += 1
    return {
        "records": RECORDS,
        "tamperings": count,
        "detected": count - missed.total(),
        "by_kind": dict(sorted(made.items())),
        "missed": dict(missed),
        "intact_copies": count,
        "false_alarms": alarms,
    }


def _log(folder: Path) -> AuditLog:
    return AuditLog(lambda: AnchorFile(folder, MasterKeys({}, folder)))


async def _fill(folder: Path) -> None:
    store, log = await Store.open(store_url(None, folder)), _log(folder)
    for number in range(RECORDS):
        fields = difference("team", f"t{number}", {"budgets": [number]}, {"budgets": [number + 1], "note": "é"})
        event = AuditEvent(action="change", kind="team", name=f"t{number}", team=f"t{number}", changes=fields)
        await log.record(store, Actor("user:ann", "203.0.113.7", f"{number:032x}"), event)
    await store.close()


def _faults(folder: Path) -> list[str]:
    try:
        return asyncio.run(verify_store(store_url(None, folder), AnchorFile(folder, MasterKeys({}, folder)))).faults
    except StoreError as error:
        return [str(error)]


# Ways to tamper. Each returns whether it changed something.


def _flip_cell(folder: Path, rng: random.Random) -> bool:
    column = rng.choice(AuditRecord.__struct_fields__)
    number = rng.randint(1, RECORDS)
    with _database(folder) as database:
        (value,) = database.execute(f"SELECT {column} FROM audit WHERE number = ?", (number,)).fetchone()
        form = {int: ">q", float: ">d"}.get(type(value))
        data = bytearray(struct.pack(form, value) if form is not None else value.encode())
        if not data:
            return False
        data[rng.randrange(len(data))] ^= rng.randint(1, 255)
        new: Any = struct.unpack(form, data)[0] if form is not None else bytes(data)
        cast = "?" if form is not None else "CAST(? AS TEXT)"
        try:
            database.execute(f"UPDATE audit SET {column} = {cast} WHERE number = ?", (new, number))
        except sqlite3.IntegrityError:  # such as a number that is taken, or none
            return False
        return True


def _flip_anchor(folder: Path, rng: random.Random) -> bool:
    data = bytearray((folder / FILE).read_bytes())
    data[rng.randrange(len(data))] ^= rng.randint(1, 255)
    (folder / FILE).write_bytes(data)
    return True


def _remove(folder: Path, rng: random.Random) -> bool:
    with _database(folder) as database:
        database.execute("DELETE FROM audit WHERE number = ?", (rng.randint(1, RECORDS),))
    return True


def _remove_and_renumber(folder: Path, rng: random.Random) -> bool:
    number = rng.randint(1, RECORDS - 1)
    with _database(folder) as database:
        database.execute("DELETE FROM audit WHERE number = ?", (number,))
        for later in range(number + 1, RECORDS + 1):
            database.execute("UPDATE audit SET number = ? WHERE number = ?", (later - 1, later))
    return True


def _swap(folder: Path, rng: random.Random) -> bool:
    first, second = rng.sample(range(1, RECORDS + 1), 2)
    with _database(folder) as database:
        for old, new in ((first, -1), (second, first), (-1, second)):
            database.execute("UPDATE audit SET number = ? WHERE number = ?", (new, old))
    return True


def _truncate(folder: Path, rng: random.Random) -> bool:
    with _database(folder) as database:
        database.execute("DELETE FROM audit WHERE number > ?", (rng.randint(0, RECORDS - 1),))
    return True


def _rewrite(folder: Path, rng: random.Random) -> bool:
    """Change a record, and compute all hashes anew."""
    with _database(folder) as database:
        columns = ", ".join(AuditRecord.__struct_fields__)
        rows = database.execute(f"SELECT {columns} FROM audit ORDER BY number").fetchall()
        records = [AuditRecord(*row) for row in rows]
        at, before = rng.randrange(RECORDS), FIRST
        records[at] = replace(records[at], actor="user:eve")
        for record in records:
            before = record.following(before)
            values = (record.actor, before, record.number)
            database.execute("UPDATE audit SET actor = ?, hash = ? WHERE number = ?", values)
    return True


def _append(folder: Path, rng: random.Random) -> bool:
    """Add a record with a fitting hash."""
    with _database(folder) as database:
        columns = ", ".join(AuditRecord.__struct_fields__)
        row = database.execute(f"SELECT {columns} FROM audit WHERE number = ?", (RECORDS,)).fetchone()
        last = AuditRecord(*row)
        added = replace(last, number=last.number + 1, name=f"forged-{rng.random()}")
        added = replace(added, hash=added.following(last.hash))
        values = [getattr(added, name) for name in AuditRecord.__struct_fields__]
        database.execute(f"INSERT INTO audit ({columns}) VALUES ({','.join('?' * len(values))})", values)
    return True


def _remove_anchor(folder: Path, _: random.Random) -> bool:
    (folder / FILE).unlink()
    return True


KINDS: dict[str, Callable[[Path, random.Random], bool]] = {
    "byte of a field": _flip_cell,
    "byte of the anchor": _flip_anchor,
    "record removed": _remove,
    "record removed, and later ones renumbered": _remove_and_renumber,
    "two records exchanged": _swap,
    "end removed": _truncate,
    "chain computed anew": _rewrite,
    "record added": _append,
    "anchor removed": _remove_anchor,
}


def _database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / DATABASE)


def _killed(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    folder.mkdir()
    faults, unequal, pending, records = 0, 0, 0, 0
    for _ in range(kills):
        command = [sys.executable, "-m", "bench.audit", "--write", str(folder)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()  # it has begun
        time.sleep(rng.uniform(0.0, 0.5))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        state = AnchorFile(folder, MasterKeys({}, folder)).read()
        pending += state is not None and state.next is not None
        faults += bool(_faults(folder))
        with _database(folder) as database:
            changes, records = (
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("holds", "audit")
            )
        unequal += changes != records
    return {
        "kills": kills,
        "kills_between_anchor_and_end": pending,
        "records_of_killed": records,
        "invalid_after_kill": faults,
        "unequal_after_kill": unequal,
    }


async def _write_on(folder: Path) -> None:
    """Make changes with their records until this process is killed."""
    store, log = await Store.open(store_url(None, folder)), _log(folder)
    assert not await log.check(store)
    print("begun", flush=True)
    while True:
        name = f"h{time.time_ns()}"
        async with log.transaction(store, Actor("bench")) as change:
            await store.place_hold(change.connection, Hold(name, at=0.0))
            change.record(AuditEvent(action="hold", kind="hold", name=name))


if __name__ == "__main__":
    raise SystemExit(main())
