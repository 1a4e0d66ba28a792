"""A worker drops changed keys, acknowledges that, and relays requests for child keys."""

import asyncio

import pytest

from integration.gateway import run
from pointsman.link import keys as module
from pointsman.link.frames import FromWorker, KeyMade, KeysChanged, KeysTaken, MakeKey
from pointsman.link.keys import AWAY, SILENT, KeyConnection


def test_change_is_taken_before_it_is_acknowledged() -> None:
    async def main() -> None:
        events: list[object] = []
        connection = KeyConnection(events.append)
        connection.on_changed = lambda digests, limited: events.append((digests, limited))
        connection.received(KeysChanged(7, [b"1"], ["app"]))
        assert events == [([b"1"], ["app"]), KeysTaken(7)]

    run(main())


def test_all_keys_are_dropped_on_a_new_connection() -> None:
    async def main() -> None:
        dropped: list[object] = []
        connection = KeyConnection(lambda _: None)
        connection.on_changed = lambda digests, _: dropped.append(digests)
        connection.connected()
        assert dropped == [None]

    run(main())


def make(connection: KeyConnection) -> "asyncio.Future[KeyMade]":
    made: asyncio.Future[KeyMade] = asyncio.get_running_loop().create_future()
    connection.make("app", b"{}", made.set_result)
    return made


def test_child_key_is_requested_from_control(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        sent: list[FromWorker] = []
        connection = KeyConnection(sent.append)
        assert await make(connection) is AWAY
        connection.connected()
        first, second = make(connection), make(connection)
        assert sent == [MakeKey(1, "app", b"{}"), MakeKey(2, "app", b"{}")]
        connection.received(KeyMade(2, b"two"))
        assert (await second).body == b"two"
        connection.disconnected()
        assert await first is AWAY
        monkeypatch.setattr(module, "MAKE_S", 0.001)
        connection.connected()
        assert await make(connection) is SILENT

    run(main())
