"""Measures a server's CPU time under load, once or in rows."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from bench.processes import GATEWAY_CORE, LOAD_CORE, Server, core_busy_s, cpu_used
from bench.workload import Workload


@dataclass(frozen=True)
class Sample:
    """One run of load. `*_us` of CPU are per request: `worker_us` during the run, `control_us` and `all_us` until all
    resulting work was done. `others` is the share of the core used by others than the server, including the kernel's
    interrupts for its traffic."""

    requests: int
    rate: float
    worker_us: float
    control_us: float
    all_us: float
    p50_us: float
    p99_us: float
    others: float
    ttft_p50_us: float = 0.0
    ttft_p99_us: float = 0.0


@dataclass(frozen=True)
class Runs:
    """Consecutive runs of gateway, nginx and, in some rows, the bare relay."""

    gateway: list[Sample]
    nginx: list[Sample]
    relay: list[Sample]

    @property
    def ratios(self) -> list[float]:
        """Ratios of the gateway's worker CPU to that of nginx, run by run."""
        return [mine.worker_us / theirs.worker_us for mine, theirs in zip(self.gateway, self.nginx, strict=True)]

    @property
    def relay_ratio(self) -> float | None:
        """The ratio of the gateway's median worker CPU to that of the bare relay."""
        pairs = zip(self.gateway, self.relay, strict=False)
        return statistics.median([mine.worker_us / theirs.worker_us for mine, theirs in pairs]) if self.relay else None

    def summary(self) -> dict[str, float]:
        """Return medians over the runs, and the range of the ratio."""
        relayed = {"relay_worker_us": _median(self.relay, "worker_us")} if self.relay else {}
        return relayed | {
            "gateway_worker_us": _median(self.gateway, "worker_us"),
            "gateway_control_us": _median(self.gateway, "control_us"),
            "gateway_all_us": _median(self.gateway, "all_us"),
            "nginx_worker_us": _median(self.nginx, "worker_us"),
            "ratio_min": min(self.ratios),
            "ratio": statistics.median(self.ratios),
            "ratio_max": max(self.ratios),
            "gateway_rate": _median(self.gateway, "rate"),
            "nginx_rate": _median(self.nginx, "rate"),
            "gateway_p50_us": _median(self.gateway, "p50_us"),
            "nginx_p50_us": _median(self.nginx, "p50_us"),
            "gateway_p99_us": _median(self.gateway, "p99_us"),
            "nginx_p99_us": _median(self.nginx, "p99_us"),
            "others_on_core": max(sample.others for sample in (*self.gateway, *self.nginx, *self.relay)),
        }

    def as_json(self) -> dict[str, object]:
        """Return summary and samples."""
        named = {"gateway": self.gateway, "nginx": self.nginx, "relay": self.relay}
        samples = {name: [asdict(each) for each in found] for name, found in named.items()}
        return {"summary": self.summary(), "samples": samples}


def _median(samples: Sequence[Sample], name: str) -> float:
    return float(statistics.median(getattr(sample, name) for sample in samples))


Load = Callable[[int], dict[str, float]]
"""Puts load on a port and reports `requests`, `errors`, `duration_s`, `p50_us` and `p99_us`."""


def sample(server: Server, port: int, load: Load) -> Sample:
    """Measure one run. Raise `RuntimeError` if any request failed."""
    before, busy, started_at = server.cpu_s(), core_busy_s(GATEWAY_CORE), monotonic()
    result = load(port)
    elapsed_s = monotonic() - started_at
    used = cpu_used(before, server.cpu_s())
    busy = core_busy_s(GATEWAY_CORE) - busy
    server.settle()
    afterwards = cpu_used(before, server.cpu_s())
    requests = int(result["requests"])
    if result["errors"] or not requests:
        raise RuntimeError(f"{server.name}: {result['errors']:.0f} of {requests} requests failed")
    return Sample(
        requests,
        requests / result["duration_s"],
        used.worker_s / requests * 1e6,
        afterwards.control_s / requests * 1e6,
        afterwards.all_s / requests * 1e6,
        result["p50_us"],
        result["p99_us"],
        max(0.0, busy - used.all_s) / elapsed_s,
        result.get("ttft_p50_us", 0.0),
        result.get("ttft_p99_us", 0.0),
    )


Target = tuple[Server, int]
"""A server and the port of it that load is put on."""


def runs(gateway: Target, nginx: Target, relay: Target | None, load: Load, count: int) -> Runs:
    """Measure each server `count` times in turn; the first one changes from turn to turn."""
    result = Runs([], [], [])
    order = [(gateway, result.gateway), (nginx, result.nginx)]
    if relay is not None:
        order.append((relay, result.relay))
    for number in range(count):
        first = number % len(order)
        for (server, port), samples in order[first:] + order[:first]:
            samples.append(sample(server, port, load))
    return result


def wrk(
    work: Workload,
    bodies: Path,
    connections: int,
    duration_s: float,
    *,
    unique: bool = False,
    keys: Path | None = None,
) -> Load:
    """Return a load of `wrk`, which sends as many requests as the server accepts."""

    def load(port: int) -> dict[str, float]:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s:g}s", "-s", str(work.script)]
        arguments = [str(bodies), str(keys or work.keys_file), "unique" if unique else "same"]
        output = _run([*command, f"http://127.0.0.1:{port}", "--", *arguments])
        report: dict[str, float] = json.loads(output.partition("RESULT ")[2])
        return report

    return load


def own(
    work: Workload,
    bodies: Path,
    kind: str,
    duration_s: float,
    *,
    unique: bool = False,
    keys: Path | None = None,
    options: Sequence[str] = (),
) -> Load:
    """Return a load of `bench.load`; `kind` is `rate` or `streams`, and `options` are further arguments."""

    def load(port: int) -> dict[str, float]:
        command = [sys.executable, "-m", "bench.load", kind, "--ports", str(port)]
        files = ["--bodies", str(bodies), "--keys", str(keys or work.keys_file)]
        more = ["--duration", f"{duration_s:g}", *(["--unique"] if unique else []), *options]
        report: dict[str, float] = json.loads(_run([*command, *files, *more]))
        return report

    return load


def _run(command: Sequence[str]) -> str:
    ended = subprocess.run(["taskset", "-c", str(LOAD_CORE), *command], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
