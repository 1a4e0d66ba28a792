"""The table of the audit log, in both databases."""

from pathlib import Path

from pointsman.control.store.audit_table import (
    AuditFilter,
    add_records,
    chain_end,
    every_record,
    last_configuration,
    newest_records,
)
from pointsman.control.store.store import Store
from pointsman.domain.audit import Actor, AuditEvent, ChainCheck, ChainEnd, chained
from pointsman.domain.rights import AccessScope
from unit.control.store.test_store import STORES, on_store

TEXT = "\u2028<script>\U0001f642 ' \"; DROP TABLE audit; --"


@STORES
def test_records_come_back_unchanged(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        events = [
            AuditEvent(action="create", kind="key", name="app", team="research", note=TEXT),
            AuditEvent(action="load", kind="configuration", configuration="d1"),
            AuditEvent(action="create", kind="team", name=TEXT, team=TEXT, customer="acme"),
        ]
        made = list(chained(ChainEnd(), 1_700_000_000.123456, Actor(TEXT, "::1", "r"), events))
        async with store.transaction(is_durable=True) as connection:
            assert await chain_end(connection) == ChainEnd()
            assert await last_configuration(connection) == ""
            await add_records(connection, made)
            assert await chain_end(connection) == ChainEnd(3, made[2].hash)
            assert await last_configuration(connection) == "d1"
        found, chain = [one async for one in every_record(store.rows)], ChainCheck()
        for one in found:
            chain.add(one)
        assert (found, chain.faults) == (made, [])
        newest = await newest_records(store.rows, AuditFilter(), 2)
        assert [one.number for one in newest] == [3, 2]
        for chosen, numbers in (
            (AuditFilter(before=3, after=1), [2]),
            (AuditFilter(equal={"kind": "key"}), [1]),
            (AuditFilter(since=1_700_000_000.2), []),
            (AuditFilter(until=1_700_000_000.2), [3, 2, 1]),
            (AuditFilter(scope=AccessScope(owners=frozenset({"team:research"}))), [1]),
            (AuditFilter(scope=AccessScope(owners=frozenset({"customer:acme"}))), [3]),
            (AuditFilter(scope=AccessScope(owners=frozenset({"virtual_key:app"}))), [1]),
            (AuditFilter(scope=AccessScope()), []),
        ):
            assert [one.number for one in await newest_records(store.rows, chosen, 9)] == numbers, chosen

    on_store(kind, tmp_path, check)
