"""The demonstration answers its first request after a failover, and leaves no process running."""

import json
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fakes.clock import PATIENCE_S
from fakes.processes import free_ports


def children_of(process: int) -> list[int]:
    """Return the pids of a process's children."""
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def spend(address: str, body: dict[str, Any]) -> int:
    """Send requests with the demonstration's key until one fails. Return its status, or 0 if none fails."""
    headers = {"content-type": "application/json", "authorization": "Bearer pm-demo-notebook"}
    request = {"model": "chat", "messages": body["messages"], "max_tokens": 200, "n": 4}
    for _ in range(30):
        try:
            with urlopen(Request(address, json.dumps(request).encode(), headers), timeout=PATIENCE_S) as answer:
                answer.read()
        except HTTPError as error:
            error.close()
            return error.code
    return 0


def test_demonstration_fails_over_enforces_its_budget_and_ends() -> None:
    port, console_port = free_ports(2)
    command = [sys.executable, "-m", "pointsman", "demo", "--port", str(port), "--console-port", str(console_port)]
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            log = list(takewhile(lambda line: "listening on" not in line, process.stderr))
            children = children_of(process.pid)
            address = f"http://127.0.0.1:{port}/v1/chat/completions"
            request = Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
            with urlopen(request, timeout=PATIENCE_S) as answer:
                assert json.load(answer)["choices"][0]["message"]["content"]
                assert answer.headers["x-pointsman-provider"] == "steady"
                assert answer.headers["x-pointsman-attempts"] == "2"
            assert spend(address, body) == 402, "the budget of the key is used up"
            with urlopen(f"http://127.0.0.1:{console_port}/metrics", timeout=PATIENCE_S) as metrics:
                assert b"pointsman_requests_total" in metrics.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE_S) == 0
        finally:
            process.kill()
        lines = process.stdout.read().splitlines()
        log += process.stderr.read().splitlines()
    assert not any("warning" in line or "open mode" in line for line in log), "its own configuration has no fault"
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert any(f"http://127.0.0.1:{port}/v1/chat/completions" in line for line in lines)
    assert records[0]["provider"] == "steady"
    assert records[-1]["code"] == "budget_exceeded"
    assert len(children) == 6
    assert not any(Path(f"/proc/{child}").exists() for child in children)
