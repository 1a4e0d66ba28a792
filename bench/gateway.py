"""The measured gateway, with all features on: keys, prices, six limits per request, weighted strategy, journal, log to
a file, metrics."""

import asyncio
import hashlib
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.processes import GATEWAY_CORE, Server, free_ports

PLAIN, STREAM, TLS, DEGRADED = "bench", "bench-stream", "bench-tls", "bench-degraded"
SLOW = "bench-slow"  # streams whose events are far apart
MESSAGES = "bench-messages"  # at providers that speak Anthropic's dialect
FOUR, FOUR_DEGRADED = "bench-four", "bench-four-degraded"  # the same four targets by weight
ADAPTIVE, ADAPTIVE_DEGRADED = "bench-adaptive", "bench-adaptive-degraded"  # and by what was learned of them
_STRATEGIES = {ADAPTIVE: "adaptive", ADAPTIVE_DEGRADED: "adaptive"}  # of other models: weighted
_PRICE = {"input_usd_per_million": 0.15, "output_usd_per_million": 0.6, "max_output_tokens": 16_384}
# Limits of each key; with those of its team and customer they are six. None is ever reached.
_LIMITS: dict[str, object] = {
    "budgets": [{"limit_usd": 100_000, "per": "day"}, {"limit_usd": 1_000_000, "per": "month"}],
    "rate_limits": [{"requests": 100_000_000, "per": "hour"}, {"tokens": 100_000_000_000, "per": "hour"}],
}
_KEY_VARIABLE = "BENCH_UPSTREAM_KEY"


# Ten rules that no request matches, and a requirement that every provider meets.
RULED: dict[str, object] = {
    "require": {"region": ["eu"]},
    "routing": {
        "rules": [
            {
                "name": f"rule-{number}",
                "when": f'headers["x-tier-{number}"] == "premium" && stream && team == "research"',
                "set": {"temperature": 0},
            }
            for number in range(10)
        ]
    },
}


def default_command() -> str:
    """Return the command that starts the gateway of this environment."""
    return f"{shlex.quote(str(Path(sys.executable).with_name('pointsman')))} serve --config {{config}}"


def gateway(  # noqa: PLR0917 -- the parts of one server
    command: str,
    folder: Path,
    listen: Sequence[int],
    upstreams: Mapping[str, Sequence[str]],
    keys: Sequence[str],
    authority: Path,
    workers: int = 1,
    more: Mapping[str, object] | None = None,
) -> Server:
    """Start `command` with `{config}` and `{port}` filled in. `listen` holds the ports for clients and console;
    `upstreams` maps each public model to the URLs of its targets. `more` are further sections of the configuration."""
    folder.mkdir()
    port, console = listen
    providers: dict[str, object] = {}
    models: dict[str, object] = {}
    for model, urls in upstreams.items():
        targets = []
        for number, url in enumerate(urls):
            name = f"{model}-{number}"
            providers[name] = {
                "type": "anthropic" if model == MESSAGES else "openai-compatible",
                "base_url": url,
                "keys": {"only": {"value": f"env.{_KEY_VARIABLE}"}},
                "tags": {"region": "eu"},
            }
            targets.append({"model": f"{name}/gpt-4o-mini", "weight": 1})
        models[model] = {"strategy": _STRATEGIES.get(model, "weighted"), "targets": targets}
    configuration = {
        "version": 1,
        "server": {"listen": f"127.0.0.1:{port}", "workers": workers},
        "console": {"listen": f"127.0.0.1:{console}"},
        "data_dir": str(folder / "data"),
        "egress": {"ca_file": str(authority)},
        "logging": {"file": str(folder / "requests.log")},
        "providers": providers,
        "models": models,
        "pricing": {"overrides": [{"model": f"{name}/*", **_PRICE} for name in providers]},
        "governance": {
            "customers": {"customer": {"budgets": [{"limit_usd": 1_000_000, "per": "year"}]}},
            "teams": {"team": {"customer": "customer", "budgets": [{"limit_usd": 1_000_000, "per": "month"}]}},
            "virtual_keys": {
                f"key-{number}": {
                    "value": "sha256:" + hashlib.sha256(key.encode()).hexdigest(),
                    "team": "team",
                    **_LIMITS,
                }
                for number, key in enumerate(keys)
            },
        },
    }
    configuration |= more or {}
    path = folder / "pointsman.yaml"
    path.write_text(json.dumps(configuration, indent=1))  # JSON is YAML
    words = shlex.split(command.format(config=path, port=port))
    return Server("gateway", words, GATEWAY_CORE, [port], folder / "output.log", **{_KEY_VARIABLE: "sk-upstream"})


@asynccontextmanager
async def serving(folder: Path, sections: Mapping[str, object], **environ: str) -> AsyncIterator[int]:
    """Run a gateway in open mode with one worker, and these sections. Its data is in the folder. Yield its port."""
    (port,) = free_ports(1)
    config = folder / "pointsman.yaml"
    own = {
        "server": {"listen": f"127.0.0.1:{port}", "workers": 1},
        "console": {"listen": "127.0.0.1:0"},
        "data_dir": str(folder / "data"),
        "governance": {"require_key": False},
    }
    config.write_text(json.dumps({**own, **sections}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pointsman", "serve", "--config", str(config)),
        env={**os.environ, **environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        while process.stderr is not None and (line := await process.stderr.readline()):
            if b"listening on" in line:
                break
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
