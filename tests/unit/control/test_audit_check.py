"""Verification finds tampering that the end alone does not show."""

from pathlib import Path

import msgspec
from msgspec.structs import asdict
from sqlalchemy import update

from fakes.audit import audit_log
from pointsman.config.sealing import MasterKeys
from pointsman.control.anchor import AnchorFile
from pointsman.control.audit_check import AuditReport, record_of, verify_export, verify_store
from pointsman.control.store.audit_table import AUDIT, every_record
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.domain.audit import FIRST, Actor, AuditEvent, AuditRecord, difference
from unit.control.store.test_store import on_store


async def fill(store: Store, folder: Path, count: int = 4) -> list[AuditRecord]:
    log = audit_log(folder)
    for number in range(count):
        fields = difference("team", "t", {"budget": number, "note": "é"}, {"budget": 0.1, "note": "\u2028"})
        await log.record(store, Actor("me"), AuditEvent(action="change", kind="team", name="t", changes=fields))
    return [one async for one in every_record(store.rows)]


async def verified(folder: Path) -> AuditReport:
    return await verify_store(store_url(None, folder), AnchorFile(folder, MasterKeys({}, folder)))


def lines(records: list[AuditRecord]) -> list[bytes]:
    return [msgspec.json.encode({**asdict(one), "changes": msgspec.Raw(one.changes.encode())}) for one in records]


def test_intact_log_is_verified(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        assert (await verified(tmp_path)).faults == []
        records = await fill(store, tmp_path)
        assert await verified(tmp_path) == AuditReport(4, records[-1].hash, [])

    on_store("sqlite", tmp_path, check)


def test_changed_record_is_named(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await fill(store, tmp_path)
        async with store.transaction() as connection:
            await connection.execute(update(AUDIT).where(AUDIT.c.number == 2).values(actor="you"))
        (fault,) = (await verified(tmp_path)).faults
        assert "record 2 was changed" in fault

    on_store("sqlite", tmp_path, check)


def test_chain_that_was_computed_anew_does_not_fit_the_anchor(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        records, before = await fill(store, tmp_path), FIRST
        async with store.transaction() as connection:
            for one in records:
                changed = msgspec.structs.replace(one, actor="you")
                before = changed.following(before)
                values = {"actor": "you", "hash": before}
                await connection.execute(update(AUDIT).where(AUDIT.c.number == one.number).values(**values))
        (fault,) = (await verified(tmp_path)).faults
        assert "computed anew" in fault

    on_store("sqlite", tmp_path, check)


def test_export_is_verified_without_the_store(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        records = await fill(store, tmp_path)
        text = lines(records)
        assert [record_of(line) for line in text] == records
        assert verify_export(text) == AuditReport(4, records[-1].hash, [])
        assert verify_export(text[1:]).faults
        assert verify_export([text[0], text[2], text[1], text[3]]).faults
        assert verify_export([text[0].replace(b"0.1", b"0.10"), *text[1:]]).faults
        assert verify_export([b"{", *text]).faults

    on_store("sqlite", tmp_path, check)
