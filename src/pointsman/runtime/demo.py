"""The demonstration of `make run`: a gateway in open mode in front of three simulated providers.

One is flaky, and one speaks Anthropic's Messages."""

import os
import subprocess
import tempfile
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

import msgspec

from pointsman.config.overrides import CONSOLE_LISTEN, DATA_DIR, LISTEN
from pointsman.runtime.safe_path import python
from pointsman.runtime.start import serve, start_or_exit
from pointsman.simulate.settings import Lognormal, Price, ScheduledFault, Settings

KEY = "pm-demo-notebook"  # valid for simulated providers on this machine only

_CONFIG = """\
version: 1
server: {{listen: "127.0.0.1:{port}"}}
console: {{listen: "127.0.0.1:{console_port}"}}
data_dir: "{data_dir}"
providers:
  flaky: {{type: openai-compatible, base_url: "{flaky}", keys: {{only: ""}}, serves: ["sim-*"]}}
  steady: {{type: openai-compatible, base_url: "{steady}", keys: {{only: ""}}, serves: ["sim-*"]}}
  courier: {{type: anthropic, base_url: "{courier}", keys: {{only: ""}}, serves: {{only: [sim-3]}}}}
models:
  chat: [flaky/sim-1, steady/sim-1]
  mixed: [flaky/sim-1, courier/sim-3]
  balanced:
    strategy: weighted
    targets:
      - {{model: steady/sim-1, weight: 80, variant: control}}
      - {{model: steady/sim-2, weight: 20, variant: trial}}
  embed: [steady/sim-embed]
pricing:
  overrides:
    - {{model: "*/sim-*", input_usd_per_million: 2.5, output_usd_per_million: 10, max_output_tokens: 200}}
    # Fine-tuning and the like
    - {{model: "*/", input_usd_per_million: 0, output_usd_per_million: 0, per_request_usd: 1}}
governance:
  require_key: false
  teams:
    research: {{budgets: [{{limit_usd: 1, per: day}}]}}
  virtual_keys:
    notebook:
      value: "sha256:{digest}"
      team: research
      budgets: [{{limit_usd: 0.01, per: day}}]
      rate_limits: [{{requests: 60, per: minute}}]
"""

_WELCOME = """
Pointsman is running with three simulated providers: 'flaky' fails its first request and half of the others.

  curl -i http://127.0.0.1:{port}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "chat", "messages": [{{"role": "user", "content": "Hello"}}]}}'

The header x-pointsman-attempts shows a failover: 'flaky' failed, and 'steady' served the request.
Add "stream": true for a stream. Models: chat, balanced, embed, and mixed, whose second provider speaks Messages:

  curl -i http://127.0.0.1:{port}/v1/messages -H 'content-type: application/json' \\
    -d '{{"model": "mixed", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'

The virtual key 'notebook' may spend one cent a day. A few requests with -H 'authorization: Bearer {key}' use that up.

Console: http://127.0.0.1:{console_port}/ (with the admin token above). Stop with Ctrl-C.
Every request is one line of JSON below.
"""

_MODELS = ("sim-1", "sim-2", "sim-embed")
_PRICE = Price(input_pico=2_500_000, output_pico=10_000_000, cached_pico=2_500_000)


def run(port: int, console_port: int, folder: str | None = None) -> int:
    """Run until a signal, with configuration and data in a folder, or in a temporary one if none is given. Return the
    exit code."""
    first, gap = Lognormal(150.0, 0.5), Lognormal(15.0, 0.5)
    length = Lognormal(40.0, 0.5)
    # The first request always fails, so that a new user sees a failover at once.
    faults = (
        ScheduledFault(fault="status=500", to_request=1),
        ScheduledFault(fault="status=500", from_request=1, probability=0.5),
    )
    steady = Settings(
        name="steady", models=_MODELS, price=_PRICE, output_tokens=length, first_token_ms=first, token_gap_ms=gap
    )
    flaky = msgspec.structs.replace(steady, name="flaky", schedule=faults)
    courier = msgspec.structs.replace(steady, name="courier", models=("sim-3",))
    providers = [_start(settings) for settings in (flaky, steady, courier)]
    try:
        addresses = [_address(process) for process in providers]
        with nullcontext(folder) if folder is not None else tempfile.TemporaryDirectory(prefix="pointsman-") as data:
            file = Path(data) / "demo.yaml"
            urls = dict(zip(("flaky", "steady", "courier"), addresses, strict=True))
            ports = {"port": port, "console_port": console_port}
            digest = sha256(KEY.encode()).hexdigest()
            file.write_text(_CONFIG.format(data_dir=Path(data) / "data", digest=digest, **ports, **urls))
            for name in (LISTEN, CONSOLE_LISTEN, DATA_DIR):  # the demonstration sets its own addresses and folder
                os.environ.pop(name, None)
            start = start_or_exit(file, os.environ)
            return serve(start, file, _WELCOME.format(key=KEY, **ports))
    finally:
        for process in providers:
            process.terminate()
        for process in providers:
            process.wait()


def _start(settings: Settings) -> "subprocess.Popen[bytes]":
    arguments = [
        *python("pointsman.simulate"),
        "--until-eof",
        "--settings",
        msgspec.json.encode(settings).decode(),
    ]
    # In a separate session, so that Ctrl-C in the terminal ends the gateway before the providers. Its pipe closes
    # when this process ends, for any reason.
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, start_new_session=True)  # noqa: S603 -- our own module


def _address(process: "subprocess.Popen[bytes]") -> str:
    """Return the base URL that the process prints when it listens."""
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise SystemExit("a simulated provider did not start; its error is above")
    return line.decode().strip()
