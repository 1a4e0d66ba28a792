"""Records for tests of the journal, and a reader of whole journals."""

from pathlib import Path

from pointsman.journal.reader import JournalReader, Position
from pointsman.journal.records import ChargeScope, CounterRef, Intent, Outcome, Record
from pointsman.journal.writer import JournalWriter

SMALL = 4096  # bytes per segment
COUNTERS = (
    CounterRef(counter="virtual_key:me|usd|day", metric="usd", unit="day"),
    CounterRef(counter="team:t|requests|minute", metric="requests", unit="minute"),
)


def scope(number: int = 1, provider: str = "alpha") -> ChargeScope:
    return ChargeScope(
        number=number,
        virtual_key="me",
        team="t",
        customer=None,
        provider=provider,
        model="m",
        variant=None,
        counters=COUNTERS,
    )


def outcome(request_id: str, ordinal: int = 1, nano: int = 7, number: int = 1) -> Outcome:
    return Outcome(number, request_id, ordinal, 2.5, nano, 3, 4, 0, 0, "ok", "provider")


def write(writer: JournalWriter, first: int, count: int) -> list[Record]:
    """Write attempts with intent and outcome. Return the records to expect, without scopes."""
    told: list[Record] = []
    for number in range(first, first + count):
        writer.intent(scope(), f"r{number}", 1, 1.5, 10, 20)
        writer.store(scope(), outcome(f"r{number}"))
        told += [Intent(1, f"r{number}", 1, 1.5, 10, 20), outcome(f"r{number}")]
    return told


def read_all(
    folder: Path, position: Position | None = None, *, is_live: bool = False, at_once: int = 1000
) -> tuple[list[Record], Position, list[str]]:
    """Read everything from a position on, without scopes. Return it with the next position and the damaged parts."""
    reader = JournalReader(folder)
    records: list[Record] = []
    damage: list[str] = []
    position = position or Position()
    while True:
        chunk = reader.read(position, at_once, is_live=is_live)
        records += [record for record in chunk.records if not isinstance(record, ChargeScope)]
        damage += chunk.damage
        position = chunk.end
        if chunk.is_end:
            reader.close()
            return records, position, damage
