"""`python -m bench.latency [VENV]`: the time that a gateway adds, as a user feels it.

Two loads, each directly to the upstream, through nginx, through the gateway with adaptive routing, and through LiteLLM
if `VENV` has `litellm[proxy]`:

- 2,000 requests a second that fall due whether or not earlier ones were answered. A time counts from when its request
  was due.
- 1,000 streams at once, whose events are 0.2 s apart. The time counts from the request to the first content.

The *added* time is the 99th percentile, less that of the direct way in the same round. CPU is that of all processes of
a server, until all resulting work was done. A server that cannot carry a load gets half of it, and so on; the table has
the load that it carried.
"""

import argparse
import contextlib
import json
import resource
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.gateway import ADAPTIVE, PLAIN, SLOW, default_command
from bench.load import EVENTS
from bench.measure import Load, Sample, own, sample
from bench.processes import GATEWAY_CORE, Server, free_ports

if TYPE_CHECKING:
    from bench.__main__ import Bench

RATE, STREAMS, GAP_S = 2000, 1000, 0.2
_CONNECTIONS = 128
_HALVINGS = 7
_PORTS = 4 * STREAMS + 1000  # descriptors of one process
LITELLM = "LiteLLM (Python)"


@dataclass(frozen=True)
class Feel:
    """A server under a load: the load that it carried, and microseconds: percentiles of the time, the added 99th
    percentile, and the CPU time of all processes for one request."""

    carried: int
    p50_us: float
    p99_us: float
    added_us: float
    all_us: float

    @property
    def core_hours(self) -> float:
        """Core-hours for a million requests."""
        return core_hours(self.all_us)


def core_hours(cpu_us: float) -> float:
    """Return the core-hours for a million requests that take so much CPU time each."""
    return cpu_us / 3600


@dataclass(frozen=True)
class Way:
    """A way to the upstream. `ports` are by the kind of load; `server` is absent for the direct way. `divisor` lowers
    the load to begin with: a server that queues much more than it carries needs minutes to recover."""

    server: Server | None
    ports: dict[str, int]
    models: dict[str, str]
    is_lenient: bool = False
    divisor: int = 1


def ways(bench: "Bench") -> dict[str, Way]:
    """Return the ways that every run has."""
    models = {"rate": PLAIN, "streams": SLOW}
    own_models = {"rate": ADAPTIVE, "streams": SLOW}
    return {
        "direct": Way(None, {"rate": bench.direct[PLAIN], "streams": bench.direct[SLOW]}, models),
        "nginx": Way(bench.nginx, {"rate": bench.ports[PLAIN], "streams": bench.ports[SLOW]}, models),
        "Pointsman": Way(bench.gateway, dict.fromkeys(models, bench.gateway_port), own_models),
    }


def measure(bench: "Bench", found: dict[str, Way], *, rounds: int, seconds: float) -> dict[str, dict[str, Feel]]:
    """Return the figures by kind of load and way."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    streams = STREAMS if hard == resource.RLIM_INFINITY or hard > _PORTS else 200
    return {
        kind: _measure(bench, found, kind, full, rounds=rounds, seconds=seconds)
        for kind, full in (("rate", RATE), ("streams", 40 if bench.quick else streams))
    }


def _measure(
    bench: "Bench", found: dict[str, Way], kind: str, full: int, *, rounds: int, seconds: float
) -> dict[str, Feel]:
    samples: dict[str, list[Sample]] = {name: [] for name in found}
    added: dict[str, list[float]] = {name: [] for name in found}
    carried = {name: full // way.divisor for name, way in found.items()}
    for number in range(rounds + 1):  # the first round is a warm-up
        direct: dict[int, float] = {}
        for name, way in found.items():
            one, carried[name] = _carried(bench, way, kind, carried[name], seconds)
            p99 = _times(kind, one)[1]
            if way.server is None:
                direct[carried[name]] = p99
            elif carried[name] not in direct:  # a server that carries less is compared at its own load
                at_less, _ = _carried(bench, found["direct"], kind, carried[name], seconds)
                direct[carried[name]] = _times(kind, at_less)[1]
            if number:
                samples[name].append(one)
                added[name].append(p99 - direct[carried[name]])
    figures = {}
    for name, runs in samples.items():
        p50, p99 = (statistics.median([_times(kind, one)[place] for one in runs]) for place in (0, 1))
        cpu = statistics.median([one.all_us for one in runs])
        figures[name] = Feel(carried[name], p50, p99, statistics.median(added[name]), cpu)
    return figures


def _times(kind: str, one: Sample) -> tuple[float, float]:
    return (one.p50_us, one.p99_us) if kind == "rate" else (one.ttft_p50_us, one.ttft_p99_us)


def _carried(bench: "Bench", way: Way, kind: str, most: int, seconds: float) -> tuple[Sample, int]:
    """Return a run at the highest load that a server carries, from `most` downwards, and that load."""
    for _ in range(_HALVINGS):
        load = _load(bench, way, kind, most, seconds)
        try:
            return sample(way.server, way.ports[kind], load) if way.server is not None else _direct(
                load, way, kind
            ), most
        except RuntimeError as error:
            print(f"{kind} {most}: {error}", file=sys.stderr)
            most = max(1, most // 2)
    raise RuntimeError("a server carries no load")


def _direct(load: Load, way: Way, kind: str) -> Sample:
    """Return a run without a server in between. Raise `RuntimeError` if any request failed."""
    result = load(way.ports[kind])
    if result["errors"] or not result["requests"]:
        raise RuntimeError(f"directly: {result['errors']:.0f} requests failed")
    return Sample(
        requests=int(result["requests"]),
        rate=0.0,
        worker_us=0.0,
        control_us=0.0,
        all_us=0.0,
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        others=0.0,
        ttft_p50_us=result["ttft_p50_us"],
        ttft_p99_us=result["ttft_p99_us"],
    )


def _load(bench: "Bench", way: Way, kind: str, most: int, seconds: float) -> Load:
    model = way.models[kind]
    bodies = bench.work.bodies(model, stream=kind == "streams")
    if kind == "rate":
        options = ["--rate", str(most), "--connections", str(_CONNECTIONS)]
    else:
        options = ["--connections", str(most), "--gap", str(GAP_S), *(["--lenient"] if way.is_lenient else [])]
        seconds = max(seconds, EVENTS * GAP_S / (4 if bench.quick else 1))
    return own(bench.work, bodies, kind, seconds, options=options)


def lines(kind: str, figures: dict[str, Feel]) -> str:
    """Return the table of one kind of load."""
    titles = {"rate": "requests/s, open loop", "streams": "streams at once, to the first content"}
    head = f"| {titles[kind]} | carried | p50 ms | p99 ms | added p99 ms | all CPU µs | core-hours per million |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for name, one in figures.items():
        cpu = f"{one.all_us:,.0f} | {one.core_hours:.3f}" if name != "direct" else "|"
        times = f"{one.p50_us / 1e3:.2f} | {one.p99_us / 1e3:.2f} | {one.added_us / 1e3:.2f}"
        rows.append(f"| {name} | {one.carried:,} | {times} | {cpu} |")
    return "\n".join(rows)


def litellm(stack: contextlib.ExitStack, bench: "Bench", program: Path) -> Way:
    """Start LiteLLM's proxy with one worker. It accepts any key here, because it knows several only with a database."""
    (port,) = free_ports(1)
    path = bench.work.folder / "litellm.yaml"
    entries = [
        {
            "model_name": model,
            "litellm_params": {
                "model": "openai/gpt-4o-mini",
                "api_base": f"http://127.0.0.1:{bench.direct[model]}/v1",
                "api_key": "sk-upstream",
            },
        }
        for model in (PLAIN, SLOW)
    ]
    settings = {
        "model_list": entries,
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
        "litellm_settings": {"telemetry": False},
    }
    path.write_text(json.dumps(settings))
    command = [str(program), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    log = bench.work.folder / "litellm.log"
    server = Server("litellm", command, GATEWAY_CORE, [port], log, LITELLM_LOCAL_MODEL_COST_MAP="True")
    server.patience_s = 300.0
    models = {"rate": PLAIN, "streams": SLOW}
    return Way(stack.enter_context(server), dict.fromkeys(models, port), models, is_lenient=True, divisor=16)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description="Added latency beside nginx.")
    parser.add_argument("venv", type=Path, nargs="?", help="a virtual environment with litellm[proxy]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="only 40 streams, for a trial")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--gateway-command", default=default_command())
    given = parser.parse_args()
    missing = [tool for tool in ("nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        print("skipped: the benchmark needs " + ", ".join(missing))
        return 0
    from bench.__main__ import machine, start  # noqa: PLC0415 -- it imports this module

    described = machine()
    print(described)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-bench-")))
        bench = start(stack, folder, given.gateway_command, quick=given.quick)
        found = ways(bench)
        if given.venv is not None:
            found[LITELLM] = litellm(stack, bench, given.venv / "bin" / "litellm")
        results = measure(bench, found, rounds=given.rounds, seconds=given.seconds)
    for kind, figures in results.items():
        print(f"\n{lines(kind, figures)}", flush=True)
    if given.json:
        given.json.write_text(as_json(described, results))
    return 0


def as_json(described: str, results: dict[str, dict[str, Feel]]) -> str:
    """Return the figures as JSON."""
    rows = {
        kind: {
            name: {field: round(value, 1) for field, value in asdict(one).items()}
            | {"core_hours_per_million": round(one.core_hours, 4)}
            for name, one in figures.items()
        }
        for kind, figures in results.items()
    }
    return json.dumps({"machine": described, **rows}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
