"""Records for tests of the journal, and a journal's records read to the end."""

from pathlib import Path

from pointsman.journal.reader import JournalReader, Position
from pointsman.journal.records import CounterRef, Intent, Outcome, Record, Scope
from pointsman.journal.writer import JournalWriter

SMALL = 4096  # bytes of a segment
COUNTERS = (
    CounterRef("virtual_key:me|usd|day", "usd", "day"),
    CounterRef("team:t|requests|minute", "requests", "minute"),
)


def scope(number: int = 1, provider: str = "alpha") -> Scope:
    return Scope(number, "me", "t", None, provider, "m", None, "v1", COUNTERS)


def outcome(request_id: str, ordinal: int = 1, nano: int = 7, number: int = 1) -> Outcome:
    return Outcome(number, request_id, ordinal, 2.5, nano, 3, 4, 0, 0, "ok", "provider")


def write(writer: JournalWriter, first: int, count: int) -> list[Record]:
    """Attempts with intent and outcome; returns what should be read of them, scopes left out."""
    told: list[Record] = []
    for number in range(first, first + count):
        writer.intent(scope(), f"r{number}", 1, 1.5, 10, 20)
        writer.outcome(scope(), outcome(f"r{number}"))
        told += [Intent(1, f"r{number}", 1, 1.5, 10, 20), outcome(f"r{number}")]
    return told


def read_all(
    folder: Path, position: Position | None = None, *, is_live: bool = False, at_once: int = 1000
) -> tuple[list[Record], Position, list[str]]:
    """All there is from a position on, scopes left out; where reading goes on, and what was damaged."""
    reader = JournalReader(folder)
    records: list[Record] = []
    damage: list[str] = []
    position = position or Position()
    while True:
        chunk = reader.read(position, at_once, is_live=is_live)
        records += [record for record in chunk.records if not isinstance(record, Scope)]
        damage += chunk.damage
        position = chunk.end
        if chunk.is_end:
            reader.close()
            return records, position, damage
