"""Measures the cost of a configuration for a worker, and of the directory of keys alone. Times are CPU time.

python -m bench.snapshot --before /path/of/another/environment/bin/python --json docs/measurements/snapshot.json
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from hashlib import sha256
from pathlib import Path

from bench.processes import free_ports

from pointsman.config.key_directory import KeyDirectory, KeyRow
from pointsman.domain.identity import VirtualKey

_TOKEN = "pm-admin-token-of-the-benchmark"
_ROUNDS = 3


def _entry(number: int) -> dict[str, object]:
    return {
        "value": f"sha256:{sha256(b'%d' % number).hexdigest()}",
        "budgets": [{"limit_usd": 5 + number % 20, "per": "day"}],
    }


def _reload(console: int) -> None:
    """Return when every worker has the configuration of the file."""
    url, headers = f"http://127.0.0.1:{console}/api/v1/config/reload", {"authorization": f"Bearer {_TOKEN}"}
    for _ in range(600):
        try:
            urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=60).close()
        except OSError:  # it is starting
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the gateway does not start")


def _cpu_s(pid: int) -> float:
    """Return the CPU time of all threads."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def _measure(python: str, folder: Path, inline: int, in_file: int) -> dict[str, float]:
    """Return the figures of one worker, with so many keys in the configuration and so many in a file of their own."""
    port, console = free_ports(2)
    keys, config = folder / "keys.jsonl", folder / "pointsman.yaml"
    keys.write_text("".join(json.dumps({"name": f"user-{n}", **_entry(n)}) + "\n" for n in range(in_file)))
    document = {
        "server": {"listen": f"127.0.0.1:{port}"},
        "console": {"listen": f"127.0.0.1:{console}"},
        "providers": {"openai": "env.BENCH_KEY"},
        "governance": {"virtual_keys": {f"key-{n}": _entry(-1 - n) for n in range(inline)}, "keys_file": str(keys)},
    }
    config.write_text(json.dumps(document))
    environ = {**os.environ, "BENCH_KEY": "sk-of-the-benchmark", "POINTSMAN_ADMIN_TOKEN": _TOKEN}
    command = [python, "-P", "-m", "pointsman", "serve", "--config", str(config)]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        _reload(console)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (worker,) = (int(pid) for pid in children if "worker" in Path(f"/proc/{pid}/cmdline").read_text())
        start_cpu_s, rss_mb = _cpu_s(worker), _rss_mb(worker)
        config.write_text(json.dumps({**document, "routing": {"max_attempts": 3}}))
        _reload(console)
        return {"start_cpu_s": start_cpu_s, "rss_mb": rss_mb, "reload_cpu_s": _cpu_s(worker) - start_cpu_s}
    finally:
        process.terminate()
        process.wait(30)


def _worker(python: str, inline: int, in_file: int) -> dict[str, float]:
    """Return the least of each figure."""
    rounds = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            rounds.append(_measure(python, Path(name), inline, in_file))
    return {name: round(min(one[name] for one in rounds), 3) for name in rounds[0]}


def _directory(count: int) -> dict[str, float]:
    began = time.process_time()
    rows = (KeyRow(sha256(b"%d" % n).digest(), f"user-{n}", n % 20) for n in range(count))
    made = KeyDirectory.build(rows, [VirtualKey(name="", digest=b"")] * 20)
    figures = {"build_cpu_s": time.process_time() - began, "size_mb": len(made.data) / 1e6}
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "keys").write_bytes(made.data)
        began = time.process_time()
        opened = KeyDirectory.open(Path(name) / "keys", made.digest)
        figures["open_cpu_s"] = time.process_time() - began
        sample, began = random.sample(range(count), 20_000), time.process_time()
        assert all(opened.named(f"user-{n}") is not None for n in sample)
        figures["look_up_cpu_us"] = (time.process_time() - began) / len(sample) * 1e6
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, default=Path("/dev/stdout"))
    parser.add_argument("--before", help="the Python of another environment")
    given = parser.parse_args()
    result: dict[str, object] = {"directory of 1,000,000 keys": _directory(1_000_000)}
    for when, python in (("before", given.before), ("after", sys.executable)):
        for label, inline, in_file in (("1,000 keys", 1_000, 0), ("100,000 keys in a file", 0, 100_000)):
            if python is not None:
                result[f"{label}, {when}"] = _worker(python, inline, in_file)
    given.json.write_text(json.dumps(result, indent=1) + "\n")
