"""`python -m bench`: compares the cost of the gateway with nginx. See README.md beside this file."""

import argparse
import contextlib
import datetime as dt
import http.client
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import latency, nginx
from bench.gateway import (
    ADAPTIVE,
    ADAPTIVE_DEGRADED,
    DEGRADED,
    FOUR,
    FOUR_DEGRADED,
    PLAIN,
    RULED,
    SLOW,
    STREAM,
    TLS,
    default_command,
    gateway,
)
from bench.measure import Load, Runs, own, runs, wrk
from bench.processes import GATEWAY_CORE, LOAD_CORE, Server, free_ports
from bench.workload import HEADERS, Workload, prepare

_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures: written by --record -->\n", "<!-- end of figures -->\n"
_PARTS = ("plain", "rate", "stream", "tls", "large", "workers", "rules", "latency", "adaptive", "degraded")


@dataclass(frozen=True)
class Bench:
    """All running processes. `ports` are those of nginx, by model."""

    work: Workload
    gateway: Server
    gateway_port: int
    several: Server
    several_port: int
    ruled: Server
    ruled_port: int
    nginx: Server
    ports: dict[str, int]
    relays: dict[str, tuple[Server, int]]
    direct: dict[str, int]
    quick: bool

    def runs(self, model: str, load: Load, count: int, *, beside_relay: bool = False) -> Runs:
        relay = self.relays[model] if beside_relay else None
        return runs((self.gateway, self.gateway_port), (self.nginx, self.ports[model]), relay, load, count)


def main() -> int:
    """Measure, print, and write the requested files."""
    given = _arguments()
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing or (os.cpu_count() or 1) < 2:
        print("skipped: the benchmark needs two cores, and " + ", ".join(missing or ["nothing else"]))
        return 0
    parts = given.only or list(_PARTS)
    described = machine()
    print(described)
    results: dict[str, dict[str, object]] = {}
    rows: list[tuple[str, Runs]] = []
    felt: dict[str, dict[str, latency.Feel]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-bench-")))
        bench = start(stack, folder, given.gateway_command or default_command(), quick=given.quick)
        _check(bench, parts)
        for part in parts:
            if part == "latency":
                rounds, seconds = (1, 1.5) if given.quick else (3, 10.0)
                felt = latency.measure(bench, latency.ways(bench), rounds=rounds, seconds=seconds)
                continue
            for title, found in _MEASUREMENTS[part](bench):
                rows.append((title, found))
                results[title] = found.as_json()
                print(_row(title, found), flush=True)
        added = _added_latency(bench) if "plain" in parts else {}
    table = "\n".join([_HEAD, *(_row(title, found) for title, found in rows)])
    below = [_latency_line(added)] if added else []
    below += [latency.lines(kind, figures) for kind, figures in felt.items()]
    print("\n\n".join(below))
    if given.json:
        given.json.write_text(json.dumps({"machine": described, "results": results, "latency_c1": added}, indent=1))
    if given.record:
        _record("\n\n".join([described, table, *below]) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="CPU per request beside nginx.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, about 40 seconds")
    parser.add_argument("--only", choices=_PARTS, nargs="+", help="measure only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    parser.add_argument("--record", action="store_true", help="write the table into bench/README.md")
    parser.add_argument(
        "--gateway-command", metavar="COMMAND", help="measure this instead; {config} and {port} are filled in"
    )
    return parser.parse_args()


# Servers.


def start(stack: contextlib.ExitStack, folder: Path, command: str, *, quick: bool) -> Bench:
    """Start the measured servers and their upstreams."""
    work = prepare(folder)
    certificate = nginx.certificate(folder)
    numbers = free_ports(22)
    plain, streaming, secure, listen, another = (numbers[start : start + 2] for start in range(0, 10, 2))
    ports = dict(zip((PLAIN, STREAM, TLS, SLOW), (*numbers[10:13], numbers[21]), strict=True))
    routes = [
        nginx.Route(ports[PLAIN], plain),
        nginx.Route(ports[STREAM], streaming, is_stream=True),
        nginx.Route(ports[TLS], secure, authority=certificate.authority),
        nginx.Route(ports[SLOW], numbers[20:21], is_stream=True),
    ]
    urls = {
        PLAIN: [f"http://127.0.0.1:{port}/v1" for port in plain],
        STREAM: [f"http://127.0.0.1:{port}/v1" for port in streaming],
        SLOW: [f"http://127.0.0.1:{numbers[20]}/v1"],
        TLS: [f"https://localhost:{port}/v1" for port in secure],
        DEGRADED: [
            f"http://127.0.0.1:{port}/v1" for port in (plain[0], numbers[15])
        ],  # no server listens at the second
    }
    four = [*urls[PLAIN], *(f"http://127.0.0.1:{port}/v1" for port in numbers[18:20])]
    urls |= {FOUR: four, ADAPTIVE: four}
    degraded = [*four[:3], urls[DEGRADED][1]]
    urls |= {FOUR_DEGRADED: degraded, ADAPTIVE_DEGRADED: degraded}
    mock = [sys.executable, "-m", "bench.load", "upstream", "--ports", *map(str, streaming)]
    stack.enter_context(nginx.upstream(folder / "upstream", LOAD_CORE, [*plain, *numbers[18:20]], secure, certificate))
    stack.enter_context(Server("streams", mock, LOAD_CORE, streaming, folder / "streams.log"))
    slow = [*mock[:5], str(numbers[20]), "--gap", str(latency.GAP_S)]
    stack.enter_context(Server("slow streams", slow, LOAD_CORE, numbers[20:21], folder / "slow.log"))
    proxy = stack.enter_context(nginx.proxy(folder / "nginx", GATEWAY_CORE, routes))
    measured = gateway(command, folder / "gateway", listen, urls, work.keys, certificate.authority)
    stack.enter_context(measured)
    several = gateway(command, folder / "several", another, urls, work.keys, certificate.authority, workers=3)
    stack.enter_context(several)
    ruled = gateway(command, folder / "ruled", numbers[16:18], urls, work.keys, certificate.authority, more=RULED)
    stack.enter_context(ruled)
    relays: dict[str, tuple[Server, int]] = {}
    for model, port, upstreams in ((PLAIN, numbers[13], plain), (STREAM, numbers[14], streaming)):
        bare = [
            sys.executable,
            "-m",
            "bench.relay",
            "--listen",
            str(port),
            "--keys",
            str(work.keys_file),
            "--upstreams",
        ]
        server = Server("relay", [*bare, *map(str, upstreams)], GATEWAY_CORE, [port], folder / f"relay-{model}.log")
        relays[model] = stack.enter_context(server), port
    direct = {PLAIN: plain[0], STREAM: streaming[0], SLOW: numbers[20]}
    return Bench(
        work, measured, listen[0], several, another[0], ruled, numbers[16], proxy, ports, relays, direct, quick
    )


def _check(bench: Bench, parts: list[str]) -> None:
    """Send one request of each kind through each server, so that a wrong answer is not measured as a fast one."""
    models = {"stream": STREAM, "tls": TLS}
    for part in parts:
        model = models.get(part, PLAIN)
        body = bench.work.bodies(model, stream=model == STREAM).read_bytes().splitlines()[0]
        headers = dict(line.split(": ", 1) for line in HEADERS.strip().split("\r\n"))
        headers["Authorization"] = f"Bearer {bench.work.keys[0]}"
        targets = [(bench.gateway, bench.gateway_port), (bench.nginx, bench.ports[model])]
        for server, port in targets + ([bench.relays[model]] if model in bench.relays else []):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            if answer.status != 200 or b'"choices"' not in text:
                raise RuntimeError(f"{server.name} answers {part} with {answer.status}: {text[:500]!r}")


# Measurements.


def _plain(bench: Bench) -> list[tuple[str, Runs]]:
    bodies, seconds, count = bench.work.bodies(PLAIN), 1 if bench.quick else 3, 3 if bench.quick else 5
    wrk(bench.work, bodies, 32, 1)(bench.gateway_port)  # warm-up
    return [
        (
            "saturated, 32 connections",
            bench.runs(PLAIN, wrk(bench.work, bodies, 32, seconds), count, beside_relay=True),
        ),
        (
            "the same, a header unique per request",
            bench.runs(PLAIN, wrk(bench.work, bodies, 32, seconds, unique=True), count),
        ),
    ]


def _rate(bench: Bench) -> list[tuple[str, Runs]]:
    bodies, seconds, count = bench.work.bodies(PLAIN), 1.5 if bench.quick else 4.0, 2 if bench.quick else 5
    return [
        ("2,000 requests/s", bench.runs(PLAIN, own(bench.work, bodies, "rate", seconds), count, beside_relay=True)),
        (
            "the same, a header unique per request",
            bench.runs(PLAIN, own(bench.work, bodies, "rate", seconds, unique=True), count),
        ),
    ]


def _stream(bench: Bench) -> list[tuple[str, Runs]]:
    bodies, seconds, count = (
        bench.work.bodies(STREAM, stream=True),
        1.5 if bench.quick else 4.0,
        2 if bench.quick else 5,
    )
    return [
        (
            "streams of 53 events, 2 ms apart",
            bench.runs(STREAM, own(bench.work, bodies, "streams", seconds), count, beside_relay=True),
        )
    ]


def _tls(bench: Bench) -> list[tuple[str, Runs]]:
    bodies, seconds, count = bench.work.bodies(TLS), 1 if bench.quick else 3, 2 if bench.quick else 5
    return [("TLS to the upstream", bench.runs(TLS, wrk(bench.work, bodies, 32, seconds), count))]


def _large(bench: Bench) -> list[tuple[str, Runs]]:
    bodies, seconds, count = bench.work.bodies(PLAIN, large=True), 1 if bench.quick else 3, 2 if bench.quick else 5
    return [("50 KB prompts", bench.runs(PLAIN, wrk(bench.work, bodies, 32, seconds), count))]


def _workers(bench: Bench) -> list[tuple[str, Runs]]:
    """Measure one worker again beside three workers, so that both see the machine in the same state."""
    bodies, seconds, count = bench.work.bodies(PLAIN), 1 if bench.quick else 3, 2 if bench.quick else 5
    load = wrk(bench.work, bodies, 32, seconds)
    load(bench.several_port)  # warm-up
    several = runs((bench.several, bench.several_port), (bench.nginx, bench.ports[PLAIN]), None, load, count)
    return [("saturated, one worker again", bench.runs(PLAIN, load, count)), ("the same, three workers", several)]


def _rules(bench: Bench) -> list[tuple[str, Runs]]:
    """Measure the gateway again beside one with ten rules and a requirement."""
    bodies, seconds, count = bench.work.bodies(PLAIN), 1 if bench.quick else 3, 2 if bench.quick else 5
    load = wrk(bench.work, bodies, 32, seconds)
    load(bench.ruled_port)  # warm-up
    ruled = runs((bench.ruled, bench.ruled_port), (bench.nginx, bench.ports[PLAIN]), None, load, count)
    return [("saturated, without rules", bench.runs(PLAIN, load, count)), ("ten rules and a requirement", ruled)]


def _adaptive(bench: Bench) -> list[tuple[str, Runs]]:
    """Measure `adaptive` beside `weighted`, over the same four targets: while all are healthy, and while one refuses
    every connection."""
    seconds, count = 1 if bench.quick else 3, 2 if bench.quick else 5
    found = []
    for title, model in (
        ("weighted over four targets", FOUR),
        ("adaptive over the same four", ADAPTIVE),
        ("weighted, one of the four degraded", FOUR_DEGRADED),
        ("adaptive, one of the four degraded", ADAPTIVE_DEGRADED),
    ):
        load = wrk(bench.work, bench.work.bodies(model), 32, seconds)
        load(bench.gateway_port)  # opens the breaker, and gives the strategy something to learn from
        measured = runs((bench.gateway, bench.gateway_port), (bench.nginx, bench.ports[PLAIN]), None, load, count)
        found.append((title, measured))
    load = own(bench.work, bench.work.bodies(ADAPTIVE), "rate", 1.5 if bench.quick else 4.0)
    measured = runs((bench.gateway, bench.gateway_port), (bench.nginx, bench.ports[PLAIN]), None, load, count)
    return [*found, ("adaptive over four targets, 2,000 requests/s", measured)]


def _degraded(bench: Bench) -> list[tuple[str, Runs]]:
    """Make one target refuse every connection, so that its breaker opens and another target serves. This comes last,
    because a degraded target stays degraded."""
    bodies, seconds, count = bench.work.bodies(DEGRADED), 1 if bench.quick else 3, 2 if bench.quick else 5
    before = bench.runs(PLAIN, wrk(bench.work, bench.work.bodies(PLAIN), 32, seconds), count)
    load = wrk(bench.work, bodies, 32, seconds)
    load(bench.gateway_port)  # opens the breaker
    degraded = runs((bench.gateway, bench.gateway_port), (bench.nginx, bench.ports[PLAIN]), None, load, count)
    other_model = bench.runs(PLAIN, wrk(bench.work, bench.work.bodies(PLAIN), 32, seconds), count)
    return [
        ("saturated, every target healthy", before),
        ("one of its two targets degraded", degraded),
        ("a target of another model degraded", other_model),
    ]


_MEASUREMENTS: dict[str, Callable[[Bench], list[tuple[str, Runs]]]] = {
    "plain": _plain,
    "rate": _rate,
    "stream": _stream,
    "tls": _tls,
    "large": _large,
    "workers": _workers,
    "adaptive": _adaptive,
    "degraded": _degraded,
    "rules": _rules,
}


def _added_latency(bench: Bench) -> dict[str, float]:
    """Return the median p50 at one connection, in microseconds: direct, through nginx, through the gateway."""
    load = wrk(bench.work, bench.work.bodies(PLAIN), 1, 1)
    routes = {"direct": bench.direct[PLAIN], "nginx": bench.ports[PLAIN], "gateway": bench.gateway_port}
    found: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(2 if bench.quick else 5):
        for name, port in routes.items():
            found[name].append(load(port)["p50_us"])
    return {name: statistics.median(values) for name, values in found.items()}


# Output.

_HEAD = (
    "| | worker µs | control µs | all µs | core-hours per million | nginx µs | ratio (min to max)"
    " | bare relay µs, ratio | requests/s: gateway, nginx | p50 µs: gateway, nginx | others on core |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def _row(title: str, found: Runs) -> str:
    one, relay = found.summary(), found.relay_ratio
    bare = f"{one['relay_worker_us']:.1f}, **{relay:.2f}**" if relay is not None else ""
    return (
        f"| {title} | {one['gateway_worker_us']:.1f} | {one['gateway_control_us']:.1f} | {one['gateway_all_us']:.1f}"
        f" | {latency.core_hours(one['gateway_all_us']):.3f}"
        f" | {one['nginx_worker_us']:.1f}"
        f" | **{one['ratio']:.2f}** ({one['ratio_min']:.2f} to {one['ratio_max']:.2f})"
        f" | {bare} | {one['gateway_rate']:,.0f}, {one['nginx_rate']:,.0f}"
        f" | {one['gateway_p50_us']:,.0f}, {one['nginx_p50_us']:,.0f} | {one['others_on_core']:.0%} |"
    )


def _latency_line(added: dict[str, float]) -> str:
    return (
        f"p50 at one connection: direct {added['direct']:.0f} µs, nginx {added['nginx']:.0f} µs, gateway"
        f" {added['gateway']:.0f} µs; added by the gateway: **{added['gateway'] - added['direct']:.0f} µs**"
        f" (by nginx {added['nginx'] - added['direct']:.0f} µs)."
    )


def machine() -> str:
    """Describe the machine."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"{today} · {cpu}, {os.cpu_count()} cores · Linux {platform.release()} · Python {platform.python_version()}"
        f" · load average {os.getloadavg()[0]:.2f} at the start"
    )


def _record(figures: str) -> None:
    text = _README.read_text()
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    _README.write_text(f"{before}{_BEGIN}\n{figures}\n{_END}{after}")


if __name__ == "__main__":
    sys.exit(main())
