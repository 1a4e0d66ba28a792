"""The task of a child, its readiness, its stop event and its garbage collector."""

import asyncio
import gc
import os
import signal

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from pointsman.runtime.tasks import GC_THRESHOLD, ChildTask, notify_ready, stop_event, tune_garbage_collector


def test_task_survives_encoding() -> None:
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


def test_readiness_without_a_supervisor_is_no_error() -> None:
    reading, writing = os.pipe()
    notify_ready(os.dup(writing))
    assert os.read(reading, 10) == b"1"
    os.close(reading)
    notify_ready(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(writing)


def test_present_objects_are_excluded_from_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", lambda *levels: thresholds.append(levels[0]))
    before = gc.get_freeze_count()
    gc.disable()
    try:
        tune_garbage_collector()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        assert thresholds == [GC_THRESHOLD]
    finally:
        gc.enable()
        gc.unfreeze()


def test_second_sigterm_shuts_down_now() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        shut_down = asyncio.Event()
        stopping = stop_event(reading, shut_down.set)
        try:
            signal.raise_signal(signal.SIGTERM)
            await stopping.wait()
            assert not shut_down.is_set()
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                await shut_down.wait()
        finally:
            loop = asyncio.get_running_loop()
            loop.remove_reader(reading)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            os.close(reading)
            os.close(writing)

    asyncio.run(main())
