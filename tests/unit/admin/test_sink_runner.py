"""Sinks follow the configuration, report their state, and get everything after a failure."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct, ValidationError
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.control import record, request_id
from fakes.metrics import samples
from fakes.object_store import FakeObjectStore, storing
from fakes.origin import run
from fakes.sinks import object_sink, sink, webhook_sink
from pointsman.admin import configured, delivery, following
from pointsman.admin.sink_runner import SinkRunner
from pointsman.admin.sinks import SINKS
from pointsman.config.sinks_schema import SinkFields
from pointsman.control.inquiries.sinks import Conditions, SinkState
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Batch, Store
from pointsman.domain.requirements import Requirement
from pointsman.link.inquirer import Inquirer

AT = 1.7e9


class Rig(Inquirer):
    """A store and the sinks that control names."""

    def __init__(self, store: Store, folder: Path) -> None:
        super().__init__("")
        self.store = store
        self.sinks: list[SinkState] = []
        self.runner = SinkRunner(self, store, folder)

    async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
        return self.sinks

    async def add(self, *numbers: int) -> None:
        rows = [
            (one, AT, "me", "chat", "openai", 200, 70, record(one, AT), "", 0, 0, "", "", "", "", 0, 7, 0)
            for one in (request_id(number, AT) for number in numbers)
        ]
        await self.store.commit(Batch(requests=rows))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def on_rig(folder: Path, monkeypatch: pytest.MonkeyPatch, test: Callable[[Rig], Awaitable[None]]) -> None:
    monkeypatch.setattr(configured, "SETTINGS_S", 0.02)
    monkeypatch.setattr(following, "POLL_S", 0.02)
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(delivery, "LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(delivery, "SLOW_S", 0.2)

    async def main() -> None:
        store = await Store.open(store_url(None, folder))
        rig = Rig(store, folder)
        running = asyncio.create_task(rig.runner.run())
        try:
            await test(rig)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await store.close()

    run(main())


def ids(lines: bytes) -> list[str]:
    return [json.loads(line)["request_id"] for line in lines.splitlines()]


def test_each_type_of_the_configuration_has_its_file() -> None:
    types = {get_args(kind.model_fields["type"].annotation)[0] for kind in SinkFields.__subclasses__()}
    assert types == set(SINKS)


def test_sinks_begin_change_and_end_with_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    one = sink("file", path=str(path), max_bytes=1 << 20, keep=1)

    async def test(rig: Rig) -> None:
        await rig.add(1)
        rig.sinks = [one]
        await until((tmp_path / "sink-one.position").exists)
        await until(path.exists)
        await rig.add(2, 3)
        await until(lambda: rig.runner.statuses["one"].sent == 2)
        assert ids(path.read_bytes()) == [request_id(2, AT), request_id(3, AT)]
        rig.sinks = [replace(one, path=str(tmp_path / "none" / "r.jsonl"))]
        await until(rig.runner.problems)
        assert "No such file" in rig.runner.problems()["sink_one"]
        assert samples(rig.runner.metrics())['pointsman_sink_up{sink="one"}'] == 0
        await rig.add(4)
        (tmp_path / "none").mkdir()
        await until(lambda: rig.runner.statuses["one"].sent == 3)
        assert ids((tmp_path / "none" / "r.jsonl").read_bytes()) == [request_id(4, AT)]
        assert rig.runner.problems() == {}
        rig.sinks = []
        await until(lambda: not rig.runner.statuses)
        assert samples(rig.runner.metrics()) == {}

    on_rig(tmp_path, monkeypatch, test)


@pytest.mark.parametrize("mode", ["slow", "cut", 302, 403, 503])
@pytest.mark.parametrize("kind", ["webhook", "s3"])
def test_failing_receiver_is_reported_and_gets_everything_later(
    kind: str, mode: str | int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(rig: Rig) -> None:
        with storing() as store:
            receiver = store.receiver
            if kind == "webhook":
                receiver.check = lambda _: 200
                state = webhook_sink(receiver.port)
                assert state.recipient is not None
                state = replace(state, recipient=replace(state.recipient, timeout_s=1.0))
            else:
                state = object_sink(receiver.port, batch_s=0.01)
                assert state.recipient is not None
                state = replace(state, recipient=replace(state.recipient, timeout_s=1.0))
            rig.sinks = [state]
            await until((tmp_path / "sink-one.position").exists)
            await until(lambda: rig.runner.statuses)
            receiver.mode = mode
            for first in range(0, 600, 100):
                await rig.add(*range(first, first + 100))
            await until(rig.runner.problems)
            receiver.mode = "ok"
            await until(lambda: rig.runner.statuses["one"].sent == 600)
            assert sorted(delivered(kind, store)) == [request_id(number, AT) for number in range(600)]
            assert rig.runner.problems() == {}

    on_rig(tmp_path, monkeypatch, test)


def delivered(kind: str, store: FakeObjectStore) -> list[str]:
    if kind == "s3":
        return [one["request_id"] for one in store.records]
    return [one["request_id"] for each in store.receiver.received for one in json.loads(each.body)["data"]]


def test_message_that_is_too_large_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        with storing() as store:
            store.receiver.check, store.receiver.most = lambda _: 200, 5000
            rig.sinks = [webhook_sink(store.receiver.port)]
            await until((tmp_path / "sink-one.position").exists)
            await rig.add(*range(60))
            await until(lambda: rig.runner.statuses["one"].sent == 60)
            assert sorted(delivered("webhook", store)) == [request_id(number, AT) for number in range(60)]

    on_rig(tmp_path, monkeypatch, test)


def test_withheld_records_are_counted_and_hold_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    needs = Conditions(require=(Requirement("region", ("eu",)),))

    async def test(rig: Rig) -> None:
        rig.sinks = [sink("file", path=str(path), max_bytes=1 << 20, keep=1, conditions=needs)]
        await until((tmp_path / "sink-one.position").exists)
        await rig.add(1, 2)
        await until(lambda: rig.runner.statuses["one"].withheld == 2)
        assert path.read_bytes() == b""
        assert samples(rig.runner.metrics())['pointsman_sink_withheld_total{sink="one"}'] == 2

    on_rig(tmp_path, monkeypatch, test)


def test_unreadable_settings_are_a_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class OtherVersion(Inquirer):
        async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
            raise ValidationError("Object missing required field `name`")

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        runner = SinkRunner(OtherVersion(""), store, tmp_path)
        await runner.run()
        assert "cannot be read" in runner.problems()["sinks"]
        await store.close()

    run(main())
