"""The parts of control are connected to each other."""

from pathlib import Path

from fakes.control import desk_in
from integration.gateway import run
from unit.control.test_resource_book import stop


def test_opened_store_is_read_by_the_book(tmp_path: Path) -> None:
    async def main() -> None:
        parts = desk_in(tmp_path).parts
        assert parts.book._number is None
        await parts.ingest.step()
        assert parts.book.number == 0
        assert parts.events is parts.configuration.events
        await stop(parts)

    run(main())


def test_keys_made_by_api_are_connected(tmp_path: Path) -> None:
    parts = desk_in(tmp_path).parts
    assert parts.configuration.keys is parts.keys
    assert parts.keys.load in parts.ingest.on_open
    assert parts.lease_server.key_server.on_make_key is not None
