"""Each change has exactly one record, or none if it is not made, in both databases."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text, update

from fakes.audit import audit_log
from pointsman.config.sealing import MasterKeys
from pointsman.control.anchor import FILE, AnchorFile, AnchorState
from pointsman.control.audit_log import AuditedCall, AuditLog
from pointsman.control.store.audit_table import AUDIT, every_record
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.audit import Actor, AuditEvent, AuditRecord, ChainCheck, difference
from pointsman.domain.holds import Hold
from unit.control.store.test_store import STORES, on_store

EVENT = AuditEvent(action="hold", kind="hold", name="alpha")
ANN = Actor("user:ann", "::1", "r1")


async def records(store: Store) -> list[AuditRecord]:
    found = [one async for one in every_record(store.rows)]
    check = ChainCheck()
    for one in found:
        check.add(one)
    assert check.faults == []
    return found


async def place(log: AuditLog, store: Store, name: str, *, fails: bool = False) -> None:
    async with log.transaction(store, ANN) as change:
        await store.place_hold(change.connection, Hold(name, at=0.0))
        change.record(EVENT)
        if fails:
            raise RuntimeError


@STORES
def test_change_and_record_are_one(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = audit_log(tmp_path)
        await asyncio.gather(*(place(log, store, f"h{number}") for number in range(5)))
        with pytest.raises(RuntimeError):
            await place(log, store, "lost", fails=True)
        found = await records(store)
        assert len(found) == len(await store.holds(0.0)) == 5
        assert (found[0].actor, found[0].address, found[0].request_id) == ("user:ann", "::1", "r1")
        assert await log.check(store) == ""

    on_store(kind, tmp_path, check)


def test_keys_in_texts_are_masked(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = audit_log(tmp_path)
        provider = {"base_url": "https://me:s3cret@host/v1", "headers": ["ghp_" + "a" * 20], "region": "eu"}
        changes = difference("provider", "p", None, provider)
        await log.record(store, ANN, replace(EVENT, note="call with Bearer s4abcdefghijkl", changes=changes))
        (found,) = await records(store)
        text = f"{found.note} {found.changes}"
        assert not [one for one in ("s3cret", "ghp_", "s4abc") if one in text], text
        assert "eu" in text

    on_store("sqlite", tmp_path, check)


def test_change_without_a_record_is_not_made(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = AuditLog(lambda: AnchorFile(tmp_path / "missing", MasterKeys({}, tmp_path)))
        with pytest.raises(StoreError, match="cannot be anchored"):
            await place(log, store, "alpha")
        assert await store.holds(0.0) == []
        assert await records(store) == []

    on_store("sqlite", tmp_path, check)


@pytest.mark.parametrize("is_committed", [True, False])
def test_crash_around_the_commit_is_no_fault(tmp_path: Path, is_committed: bool) -> None:
    async def check(store: Store) -> None:
        log, anchor = audit_log(tmp_path), AnchorFile(tmp_path, MasterKeys({}, tmp_path))
        await place(log, store, "alpha")
        before = anchor.read()
        await place(log, store, "beta")
        after = anchor.read()
        assert before is not None
        assert after is not None
        anchor.write(AnchorState(settled=before.settled, next=after.settled))
        if not is_committed:
            async with store.transaction() as connection:
                await connection.execute(text("DELETE FROM audit WHERE number = 2"))
        assert await log.check(store) == ""
        state = anchor.read()
        assert state is not None
        assert (state.settled, state.next) == ((after if is_committed else before).settled, None)

    on_store("sqlite", tmp_path, check)


def test_fault_stays_until_it_is_accepted(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = audit_log(tmp_path)
        for name in ("alpha", "beta"):
            await place(log, store, name)
        async with store.transaction() as connection:
            await connection.execute(text("DELETE FROM audit WHERE number = 2"))
        await place(log, store, "gamma")
        assert "removed" in await log.check(store), "later records do not hide it"
        assert "removed" in await log.accept(store, ANN)
        assert await log.check(store) == ""
        assert [one.action for one in await records(store)] == ["hold", "hold", "accept"]

    on_store("sqlite", tmp_path, check)


def test_missing_anchor_is_a_fault(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = audit_log(tmp_path)
        assert await log.check(store) == "", "a new store has none"
        await place(log, store, "alpha")
        (tmp_path / FILE).unlink()
        assert "missing" in await log.check(store)

    on_store("sqlite", tmp_path, check)


def test_configuration_is_noted_once(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        log = audit_log(tmp_path)
        for digest in ("one", "one", "two", "two", "one"):
            event = AuditEvent(action="load", kind="configuration", configuration=digest)
            await log.note_configuration(store, digest, event)
        assert [one.configuration for one in await records(store)] == ["one", "two", "one"]
        async with store.transaction() as connection:
            await connection.execute(update(AUDIT).where(AUDIT.c.number == 2).values(note="x"))
        assert await log.check(store) == "", "the end is intact; verification reads all records"

    on_store("sqlite", tmp_path, check)


def test_call_names_its_actor(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await AuditedCall(audit_log(tmp_path), ANN).record(store, EVENT)
        (found,) = await records(store)
        assert found.actor == "user:ann"

    on_store("sqlite", tmp_path, check)
