"""The parts of control are connected to each other."""

from pathlib import Path

from fakes.control import desk_in
from integration.gateway import run


def test_opened_store_is_read_by_the_book(tmp_path: Path) -> None:
    async def main() -> None:
        parts = desk_in(tmp_path).parts
        assert parts.book._number is None
        await parts.ingest.step()
        assert parts.book.number == 0
        assert parts.events is parts.configuration.events
        await parts.ingest.finish(1.0)

    run(main())
