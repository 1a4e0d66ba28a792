"""`python -m bench.soak`: the gateway under a steady load for ten minutes, with TLS on both sides and everything on.

Requests come at a fixed rate and streams beside them, to a model with adaptive routing over TLS, with keys, six limits,
ten rules, a requirement, the journal and the log. At the end three things must hold, or the exit code is 1: no request
failed; no process of the gateway has grown by more than a tenth since the first fifth of the time; and the store has a
record of every request, and exactly the attempts and the cost that the upstreams served.
"""

import argparse
import contextlib
import json
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from bench import nginx
from bench.gateway import ADAPTIVE, RULED, STREAM, default_command, gateway
from bench.load import EVENTS
from bench.processes import LOAD_CORE, Server, free_ports
from bench.workload import Workload, prepare

_PLAIN_NANO = 42 * 150 + 88 * 600  # of the answer in `bench.nginx`, at the prices in `bench.gateway`
_STREAM_NANO = 42 * 150 + (EVENTS - 3) * 600
_GROWTH = 1.1
_EVERY_S = 5.0


def main() -> int:
    """Run, check, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="A steady load for ten minutes.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--streams", type=int, default=50, help="streams at once, whose events are 20 ms apart")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args()
    missing = [tool for tool in ("nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        print("skipped: the soak needs " + ", ".join(missing))
        return 0
    figures = soak(given.seconds, given.rate, given.streams, given.workers)
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    return 0 if figures["problems"] == [] else 1


def soak(seconds: float, rate: float, streams: int, workers: int) -> dict[str, object]:
    """Run the load and return the figures. `problems` is empty if all holds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-soak-")))
        work, files = prepare(folder), nginx.certificate(folder)
        *plain, listen, console, one, two = free_ports(8)
        stack.enter_context(nginx.upstream(folder / "upstream", LOAD_CORE, [], plain, files))
        mock = [sys.executable, "-m", "bench.load", "upstream", "--ports", str(one), str(two), "--gap", "0.02"]
        mock += ["--certificate", str(files.chain), str(files.key)]
        stack.enter_context(Server("streams", mock, LOAD_CORE, [one, two], folder / "streams.log"))
        urls = {ADAPTIVE: plain, STREAM: [one, two]}
        more = RULED | {
            "server": {
                "listen": f"127.0.0.1:{listen}",
                "workers": workers,
                "tls": {"cert_file": str(files.chain), "key_file": str(files.key)},
            }
        }
        server = stack.enter_context(
            gateway(
                default_command(),
                folder / "gateway",
                (listen, console),
                {model: [f"https://localhost:{port}/v1" for port in ports] for model, ports in urls.items()},
                work.keys,
                files.authority,
                more=more,
            )
        )
        before = _served(plain[0], one, files)
        loads = [
            _start(work, listen, files, ADAPTIVE, seconds, "rate", "--rate", f"{rate:g}"),
            _start(work, listen, files, STREAM, seconds, "streams", "--connections", str(streams), "--gap", "0.02"),
        ]
        memory = _watch(server, loads)
        reports = [json.loads(load.communicate()[0]) for load in loads]
        server.settle()
        after = _served(plain[0], one, files)
        served = {kind: after[kind] - before[kind] for kind in before}
        served["plain"] -= 1  # the request for the second count
        stored = _stored(folder / "gateway" / "data")
    return _judged(reports, served, stored, memory) | {"seconds": seconds, "rate": rate, "streams": streams}


def _judged(
    reports: list[dict[str, float]], served: Mapping[str, int], stored: Mapping[str, int], memory: list[dict[str, int]]
) -> dict[str, object]:
    """Compare all counts."""
    errors, requests = (int(sum(report[name] for report in reports)) for name in ("errors", "requests"))
    bill = served["plain"] * _PLAIN_NANO + served["streams"] * _STREAM_NANO
    attempts = served["plain"] + served["streams"]
    problems = [f"{errors} requests failed"] if errors else []
    for name, expected in (("requests", requests), ("attempts", attempts), ("nano", bill)):
        if stored[name] != expected:
            problems.append(f"the store has {stored[name]} {name} instead of {expected}")
    settled = memory[len(memory) // 5] if memory else {}
    growth = {name: size / settled[name] for name, size in (memory[-1] if memory else {}).items() if name in settled}
    problems += [f"{name} has grown to {ratio:.2f} times its size" for name, ratio in growth.items() if ratio > _GROWTH]
    return {
        "problems": problems,
        "errors": errors,
        "requests": requests,
        "requests_per_s": round(sum(report["requests"] / report["duration_s"] for report in reports), 1),
        "p99_ms": round(reports[0]["p99_us"] / 1e3, 2),
        "ttft_p99_ms": round(reports[1]["ttft_p99_us"] / 1e3, 2),
        "attempts_served": attempts,
        "billed_nano": bill,
        "stored": dict(stored),
        "rss_kib_settled": settled,
        "rss_kib_at_the_end": memory[-1] if memory else {},
    }


def _start(
    work: Workload, port: int, files: nginx.Certificate, model: str, seconds: float, kind: str, *options: str
) -> "subprocess.Popen[str]":
    bodies = work.bodies(model, stream=kind == "streams")
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.load", kind, "--ports", str(port)]
    command += ["--bodies", str(bodies), "--keys", str(work.keys_file), "--authority", str(files.authority)]
    return subprocess.Popen([*command, "--duration", f"{seconds:g}", *options], stdout=subprocess.PIPE, text=True)


def _watch(server: Server, loads: "list[subprocess.Popen[str]]") -> list[dict[str, int]]:
    """Return the resident memory of each process of the gateway in KiB, every few seconds until the load ends."""
    found: list[dict[str, int]] = []
    while any(load.poll() is None for load in loads):
        time.sleep(_EVERY_S)
        found.append(server.resident_kib())
    return found


def _served(port: int, streams_port: int, files: nginx.Certificate) -> dict[str, int]:
    """Return the requests that each upstream has served."""
    context = ssl.create_default_context(cafile=str(files.authority))

    def text_at(url: str) -> str:
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            return str(answer.read().decode())

    status = text_at(f"https://localhost:{port}/status").splitlines()[2].split()
    return {"plain": int(status[2]), "streams": int(text_at(f"https://localhost:{streams_port}/"))}


def _stored(data: Path) -> dict[str, int]:
    """Return the sums in the store."""
    (path,) = data.glob("*.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        (requests,) = store.execute("SELECT count(*) FROM requests").fetchone()
        sums = store.execute(
            "SELECT sum(attempts), sum(failures), sum(nano), sum(estimated_nano) FROM usage"
        ).fetchone()
    names = ("attempts", "failures", "nano", "estimated_nano")
    return {"requests": requests, **{name: value or 0 for name, value in zip(names, sums, strict=True)}}


if __name__ == "__main__":
    sys.exit(main())
