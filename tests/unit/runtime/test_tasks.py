import asyncio
import gc
import os
import signal

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from pointsman.runtime.tasks import GC_THRESHOLD, ChildTask, notify_ready, settle_memory, stop_event


def test_a_task_survives_the_command_line() -> None:
    task = ChildTask(
        slot=1,
        epoch=2,
        listen_fds=[3],
        ready_fd=4,
        life_fd=5,
        data_dir="/data",
        snapshot="/data/snapshot",
        link="/run/link",
        patience_s=1.5,
        log_level="info",
    )
    assert msgspec.json.decode(msgspec.json.encode(task), type=ChildTask) == task


def test_a_child_whose_supervisor_is_gone_is_ready_all_the_same() -> None:
    reading, writing = os.pipe()
    notify_ready(os.dup(writing))
    assert os.read(reading, 10) == b"1"
    os.close(reading)
    notify_ready(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(writing)


def test_what_there_is_when_memory_settles_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", lambda *levels: thresholds.append(levels[0]))
    before = gc.get_freeze_count()
    gc.disable()
    try:
        settle_memory()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        assert thresholds == [GC_THRESHOLD]
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_second_signal_hastens_even_if_nobody_has_seen_the_first() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        hastened = asyncio.Event()
        stopping = stop_event(reading, hastened.set)
        try:
            signal.raise_signal(signal.SIGTERM)
            await stopping.wait()
            assert not hastened.is_set()
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                await hastened.wait()
        finally:
            loop = asyncio.get_running_loop()
            loop.remove_reader(reading)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            os.close(reading)
            os.close(writing)

    asyncio.run(main())
