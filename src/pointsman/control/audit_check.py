"""Verifies the audit log: the chain of all records, and its end against the anchor."""

import asyncio
from collections.abc import AsyncIterable, Iterable

from msgspec import DecodeError, Raw, Struct, ValidationError, defstruct, json
from msgspec.structs import asdict, fields
from sqlalchemy.engine import URL

from pointsman.control.anchor import AnchorError, AnchorFile, AnchorState, fault_at_the_end
from pointsman.control.store.audit_table import every_record
from pointsman.control.store.reports import Reports
from pointsman.domain.audit import AuditRecord, ChainCheck

TRIES, PAUSE_S = 20, 0.2


class AuditReport(Struct, frozen=True):
    """The number of records and the hash of the last one, and the faults. An intact log has none."""

    records: int
    hash: str
    faults: list[str]


# A line of an export: a record whose changes are JSON within that of the line.
_Line = defstruct(
    "_Line",
    [(one.name, Raw if one.name == "changes" else one.type) for one in fields(AuditRecord)],
    frozen=True,
    forbid_unknown_fields=True,
)


async def verify_store(url: URL, anchor: AnchorFile) -> AuditReport:
    """Verify the log in a store, which may be in use. Raises `StoreError`."""
    reports = Reports.of(url)
    try:
        for _ in range(TRIES):
            before = _read(anchor)
            check = await checked(every_record(reports.rows))
            after = _read(anchor)
            if before == after:  # nothing was written meanwhile
                break
            await asyncio.sleep(PAUSE_S)
        else:
            return AuditReport(check.count, check.end.hash, ["the log is written all the time; try again later"])
    finally:
        await reports.close()
    fault = after if isinstance(after, str) else fault_at_the_end(after, check.end)
    return AuditReport(check.count, check.end.hash, [*check.faults, *([fault] if fault else [])])


async def checked(records: AsyncIterable[AuditRecord]) -> ChainCheck:
    """Check the chain of some records."""
    check = ChainCheck()
    async for record in records:
        check.add(record)
    return check


def verify_export(lines: Iterable[bytes]) -> AuditReport:
    """Verify an export of all records. Compare number and hash of the last one with those that `pointsman audit verify`
    printed earlier, or with a later export: the file alone cannot show that its end is missing."""
    check = ChainCheck()
    faults: list[str] = []
    for place, line in enumerate(lines, 1):
        try:
            record = record_of(line)
        except (DecodeError, ValidationError, UnicodeDecodeError) as error:
            faults.append(f"line {place}: {error}")
            continue
        check.add(record)
    return AuditReport(check.count, check.end.hash, [*faults[: ChainCheck.AT_MOST], *check.faults])


def record_of(line: bytes) -> AuditRecord:
    """Return the record in a line of an export. Raises `DecodeError`, `ValidationError` and `UnicodeDecodeError`."""
    found = asdict(json.decode(line, type=_Line))
    return AuditRecord(**{**found, "changes": bytes(found["changes"]).decode()})


def _read(anchor: AnchorFile) -> AnchorState | str | None:
    """Return the anchor, or the reason why it cannot be used."""
    try:
        return anchor.read()
    except AnchorError as error:
        return str(error)
