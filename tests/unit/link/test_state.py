"""Questions about stored objects, and changes that are resent on a new connection."""

import asyncio
from collections.abc import Sequence

import pytest

from integration.gateway import run
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import MADE, Change, Record
from pointsman.link import state as module
from pointsman.link.frames import (
    FROM_CONTROL,
    FROM_WORKER,
    FrameReader,
    FromWorker,
    StateAnswer,
    StateChanges,
    StateRequest,
    encode,
)
from pointsman.link.state import AWAY, SILENT, StateConnection

RECORD = Record(id="file-1", kind="file", provider="a", key="k", owner="team:red", at=1.5)
CHANGE = Change(MADE, RECORD)


def look_up(connection: StateConnection) -> "asyncio.Future[Sequence[Record] | LeaseUnavailable]":
    answer: asyncio.Future[Sequence[Record] | LeaseUnavailable] = asyncio.get_running_loop().create_future()
    connection.look_up(["file-1"], answer.set_result)
    return answer


def test_answer_reaches_its_caller() -> None:
    async def main() -> None:
        sent: list[FromWorker] = []
        connection = StateConnection(sent.append)
        assert await look_up(connection) is AWAY
        connection.connected()
        first, second = look_up(connection), look_up(connection)
        assert sent == [StateRequest(1, ["file-1"]), StateRequest(2, ["file-1"])]
        connection.received(StateAnswer(2, [RECORD]))
        connection.received(StateAnswer(1, [], LeaseUnavailable("the store is away")))
        connection.received(StateAnswer(7, [RECORD]))  # nobody asked
        assert await second == [RECORD]
        assert await first == LeaseUnavailable("the store is away")

    run(main())


def test_look_up_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        connection = StateConnection(lambda _: None)
        connection.connected()
        waiting = look_up(connection)
        connection.disconnected()
        assert await waiting is AWAY
        monkeypatch.setattr(module, "ASK_S", 0.01)
        connection.connected()
        assert await look_up(connection) is SILENT

    run(main())


def test_changes_are_resent_on_a_new_connection() -> None:
    async def main() -> None:
        sent: list[FromWorker] = []
        connection = StateConnection(sent.append)
        connection.report([CHANGE])  # without a connection, it is dropped
        sent.clear()
        connection.connected()
        assert sent == [StateChanges([CHANGE])]

    run(main())


def test_frames_survive_a_round_trip() -> None:
    reader = FrameReader()
    for frame in (StateRequest(1, ["x"]), StateChanges([CHANGE])):
        (body,) = reader.feed(encode(frame))
        assert FROM_WORKER.decode(body) == frame
    for answer in (StateAnswer(1, [RECORD]), StateAnswer(1, [], LeaseUnavailable("why"))):
        (body,) = reader.feed(encode(answer))
        assert FROM_CONTROL.decode(body) == answer
