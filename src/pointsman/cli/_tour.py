"""The tour of the demonstration: each step prints a description and a command, runs the command, and prints its output.

The gateway is a child process, so its log does not mix with the tour. Every command can be typed in another terminal
while the tour waits.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import typer

from pointsman.cli._admin import VARIABLE
from pointsman.cli._terminal import print_line
from pointsman.runtime.demo import KEY
from pointsman.runtime.safe_path import python

START_S = 60.0
STORED_S = 30.0  # the longest time until a record is in the store
_MAX_REQUESTS = 40  # a budget of one cent is used up long before
_CHILD = (
    "import sys; from pointsman.runtime.demo import run; sys.exit(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))"
)


class Tour:
    """Runs the steps against one demonstration. `wait` is called between two steps."""

    def __init__(self, port: int, console_port: int, folder: Path, wait: Callable[[], None]) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._console = f"http://127.0.0.1:{console_port}"
        self._ports = port, console_port
        self._folder = folder
        self._token = secrets.token_urlsafe(32)
        self._wait = wait
        self._steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("A provider fails, and the client does not notice", self._failover),
            ("The reasons behind the order of targets", self._explain),
            ("Weights: 80 of 100 to one model, 20 to another", self._weights),
            ("A budget of one cent cannot be overspent", self._budget),
            ("Spending by key and provider, and the rest of each limit", self._spending),
        )

    def run(self) -> int:
        """Start the demonstration, take every step, and end it. Return the exit code."""
        log = self._folder / "gateway.log"
        arguments = [sys.executable, "-P", "-c", _CHILD, *map(str, self._ports), str(self._folder)]
        environment = {**os.environ, VARIABLE: self._token}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 -- our own module
                arguments, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        try:
            if not self._is_ready(process):
                print_line("The demonstration did not start:", err=True)
                for line in log.read_text()[-2000:].splitlines():
                    print_line(line, err=True)
                return 1
            for number, (title, step) in enumerate(self._steps, 1):
                print_line()
                print_line(f"{number} of {len(self._steps)}. {title}")
                print_line()
                step()
                self._wait()
            print_line()
            print_line(f"The console shows all of this: {self._console}/ with the admin token {self._token}")
            print_line("The gateway ends with the tour. `pointsman demo` keeps it running.")
            self._wait()
        finally:
            process.terminate()
            process.wait()
        return 0

    def _is_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        """Wait until the demonstration serves. Only its own console accepts the token, so another gateway at one of the
        ports is not mistaken for it."""
        status = Request(f"{self._console}/api/v1/status", headers={"authorization": f"Bearer {self._token}"})  # noqa: S310 -- our own address
        ends_at = time.monotonic() + START_S
        while time.monotonic() < ends_at and process.poll() is None:
            try:
                with urlopen(status, timeout=5), urlopen(f"{self._address}/readyz", timeout=5):  # noqa: S310 -- as above
                    return True
            except (URLError, OSError):
                time.sleep(0.05)
        return False

    # The steps.

    def _failover(self) -> None:
        print_line("The model 'chat' has two targets: 'flaky' fails its first request, 'steady' is its fallback.")
        self._print_request({"model": "chat"}, None)
        headers, _ = self._post({"model": "chat"})
        for name in ("x-pointsman-provider", "x-pointsman-attempts", "x-pointsman-cost-usd"):
            print_line(f"    {name}: {headers.get(name, '')}")
        print_line("Two attempts, one answer. The log of requests holds both attempts, and why the first failed:")
        self._command("trace", headers["x-pointsman-request-id"])

    def _explain(self) -> None:
        print_line("`explain` runs the code that routes, and sends nothing. It prints the order, and every reason.")
        config = str(self._folder / "demo.yaml")
        self._command("explain", *("--config", config, "--model", "chat", "--key", "notebook"))

    def _weights(self) -> None:
        print_line("The model 'balanced' sends 80 % to sim-1, labelled 'control', and 20 % to sim-2, labelled 'trial'.")
        self._print_request({"model": "balanced"}, None, "# 25 times")
        served: dict[str, int] = {}
        for _ in range(25):
            headers, _ = self._post({"model": "balanced", "max_tokens": 5})
            model = headers.get("x-pointsman-model", "?")
            served[model] = served.get(model, 0) + 1
        for model, count in sorted(served.items()):
            print_line(f"    {model}: {count} requests")

    def _budget(self) -> None:
        print_line(
            "The virtual key 'notebook' may spend $0.01 per day. Each attempt first reserves the most that it can cost."
        )
        self._print_request({"model": "chat"}, KEY, "# until it is rejected")
        for count in range(_MAX_REQUESTS):
            headers, answer = self._post({"model": "chat"}, KEY)
            if "error" in answer:
                print_line(f"    Requests answered: {count}. Then status {headers['status']}:")
                print_line(f"    {answer['error']['message']}")
                return
        print_line(f"    {_MAX_REQUESTS} requests did not use up the budget.", err=True)
        raise typer.Exit(1)

    def _spending(self) -> None:
        print_line("Every attempt is charged the usage that its provider reported; none of these costs is an estimate.")
        self._command("usage", "--by", "key,provider")
        self._command("budgets")

    # Parts of the steps.

    def _print_request(self, fields: Mapping[str, object], key: str | None, comment: str = "") -> None:
        body = json.dumps({**fields, "messages": [{"role": "user", "content": "Hello"}]})
        credential = f" -H 'authorization: Bearer {key}'" if key is not None else ""
        print_line()
        print_line(f"  $ curl -i {self._address}/v1/chat/completions{credential} \\")
        print_line(f"      -H 'content-type: application/json' -d '{body}' {comment}".rstrip())

    def _post(self, fields: Mapping[str, object], key: str | None = None) -> tuple[dict[str, str], Any]:
        body = json.dumps({**fields, "messages": [{"role": "user", "content": "Hello"}]}).encode()
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        request = Request(f"{self._address}/v1/chat/completions", body, headers)  # noqa: S310 -- our own address
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310 -- our own address
                return {**dict(answer.headers.items()), "status": str(answer.status)}, json.load(answer)
        except HTTPError as error:
            return {**dict(error.headers.items()), "status": str(error.code)}, json.load(error)

    def _command(self, name: str, *words: str) -> None:
        """Print a command of `pointsman`, run it, and print its output."""
        if name != "explain":
            words = (*words, "--url", self._console)
        print_line()
        print_line(f"  $ pointsman {name} {' '.join(words)}")
        arguments, environment = [*python("pointsman"), name, *words], {**os.environ, VARIABLE: self._token}
        ends_at = time.monotonic() + STORED_S
        while True:  # a request reaches the store after its response
            done = subprocess.run(  # noqa: S603 -- our own module
                arguments, env=environment, capture_output=True, text=True, check=False
            )
            if not done.returncode or time.monotonic() > ends_at:
                break
            time.sleep(0.2)
        for line in (done.stdout + done.stderr).splitlines():
            print_line(f"    {line}".rstrip())
        if done.returncode:
            raise typer.Exit(1)


def take_tour(port: int, console_port: int) -> int:
    """Take the tour; in a terminal, wait for Enter after each step. Return the exit code."""

    def wait() -> None:
        if sys.stdin.isatty() and sys.stdout.isatty():
            typer.prompt("\nPress Enter to continue", default="", show_default=False)

    with tempfile.TemporaryDirectory(prefix="pointsman-tour-") as folder:
        return Tour(port, console_port, Path(folder), wait).run()
