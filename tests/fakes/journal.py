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
    """Write the intents and outcomes of `count` attempts. Return the records to expect, without scopes."""
    written: list[Record] = []
    for number in range(first, first + count):
        writer.intent(scope(), f"r{number}", 1, 1.5, 10, 20)
        writer.store(scope(), outcome(f"r{number}"))
        written += [Intent(1, f"r{number}", 1, 1.5, 10, 20), outcome(f"r{number}")]
    return written


def read_all(
    folder: Path, position: Position | None = None, *, is_live: bool = False, count: int = 1000
) -> tuple[list[Record], Position, list[str]]:
    """Read everything from a position on, without scopes. Return the records, the next position and the damage."""
    reader = JournalReader(folder)
    records: list[Record] = []
    damage: list[str] = []
    position = position or Position()
    while True:
        chunk = reader.read(position, count, is_live=is_live)
        records += [record for record in chunk.records if not isinstance(record, ChargeScope)]
        damage += chunk.damage
        position = chunk.end
        if chunk.is_end:
            reader.close()
            return records, position, damage
