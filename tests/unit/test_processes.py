import gc

import msgspec
import pytest

from pointsman.processes import GC_THRESHOLD, WorkerTask, settle_memory


def test_a_task_survives_the_command_line() -> None:
    task = WorkerTask(1, 2, [3], 4, 5, "/data", "/data/snapshot", "/run/link", 1.5)
    assert msgspec.json.decode(msgspec.json.encode(task), type=WorkerTask) == task


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
