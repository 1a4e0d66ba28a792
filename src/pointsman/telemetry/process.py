"""The memory and the CPU time of this process, as the kernel counts them."""

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from pointsman.telemetry.metrics import Counter, CounterFamily, GaugeFamily, Labels, gauge

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


class ProcessUse(Struct, frozen=True):
    """The resident memory of a process in bytes, and its CPU time in microseconds."""

    resident_bytes: int = 0
    cpu_us: int = 0


def process_use() -> ProcessUse:
    """Return the use of this process. Without `/proc`, its memory is 0."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        pages = 0
    times = os.times()
    return ProcessUse(pages * _PAGE_BYTES, int((times.user + times.system) * 1e6))


def use_metrics(uses: Iterable[tuple[str, ProcessUse]]) -> tuple[CounterFamily, GaugeFamily]:
    """Return the metrics of processes by their kind: `worker`, `control` or `admin`."""
    listed = list(uses)
    cpu: dict[Labels, Counter] = {(kind,): Counter(use.cpu_us) for kind, use in listed}
    labels = ("process",)
    return (
        CounterFamily("pointsman_process_cpu_seconds_total", "CPU seconds of processes, by kind.", labels, 10**6, cpu),
        gauge(
            "pointsman_process_resident_memory_bytes",
            "Resident memory of processes in bytes, by kind.",
            [((kind,), use.resident_bytes) for kind, use in listed],
            labels,
        ),
    )
