"""The use of the machine by a process."""

from pathlib import Path

import pytest

from fakes.metrics import samples
from pointsman.telemetry import process as module
from pointsman.telemetry.metrics import MetricsPage
from pointsman.telemetry.process import ProcessUse, process_use, use_metrics


def test_memory_and_cpu_time_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = process_use()
    assert 2**22 < first.resident_bytes < 2**36
    assert process_use().cpu_us >= first.cpu_us > 0
    monkeypatch.setattr(module, "_STATM", Path("/nonexistent"))
    assert process_use().resident_bytes == 0


def test_use_of_each_kind_of_process_is_a_series() -> None:
    cpu, memory = use_metrics([("control", ProcessUse(7, 1_500_000)), ("admin", ProcessUse(9, 0))])
    found = samples(MetricsPage([cpu], [], [memory]))
    assert found['pointsman_process_cpu_seconds_total{process="control"}'] == 1.5
    assert found['pointsman_process_resident_memory_bytes{process="admin"}'] == 9
