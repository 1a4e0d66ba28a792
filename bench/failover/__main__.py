"""`python -m bench.failover`: sixteen provider failures, as clients see them through a gateway.

The scenarios are those of a public benchmark of failover (Failover Bench, catalogue v0.1), rewritten as rows of data:
the fault of the primary provider, and the checks. Each scenario has its own primary and a healthy fallback. The client
never retries, so that only the gateway can recover.

    pass      the whole answer came (in S13: the provider's rejection), and every check holds
    partial   the answer came, but an advisory check failed
    safe      the answer did not come, but a clear error did, in time, and every required check holds
    fail      a required check failed: a hang, or a truncated answer that looks complete

They are played against this gateway with its defaults, and with the settings of `scenarios.stated_routing`. With
`--litellm VENV` they are also played against the proxy of LiteLLM from that virtual environment. A last row is not from
the catalogue: four of five providers are dead under a burst of requests.

With `--scale 0.1` all times, including those in the gateway's configuration, are a tenth. Limits then allow for a busy
machine, so that only an endless wait fails.
"""

import argparse
import asyncio
import datetime as dt
import json
import platform
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path

from bench.failover.gateways import LITELLM, Providers, litellm, litellm_settings, pointsman
from bench.failover.play import VERDICTS, Result, play, play_burst
from bench.failover.scenarios import public_names, scaled_routing, stated_routing, upstreams

from pointsman.simulate import SimulatedProvider


async def measure(name: str, scale: float, environment: Path | None = None) -> list[Result]:
    """Play the scenarios against the gateway of this name."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-failover-")))
        providers: Providers = {
            one: await stack.enter_async_context(SimulatedProvider(settings))
            for one, settings in upstreams(scale).items()
        }
        if name == LITELLM and environment is not None:
            gateway = litellm(folder, environment, litellm_settings(providers))
        else:
            routing = stated_routing(scale) if name == "stated" else scaled_routing(scale)
            gateway = pointsman(folder, providers, public_names(), routing)
        base_url = await stack.enter_async_context(gateway)
        return [*await play(base_url, providers, scale), await play_burst(base_url, providers)]


def counts_of(results: list[Result]) -> dict[str, int]:
    """Count the verdicts on the scenarios of the catalogue."""
    catalogue = [result for result in results if result.name != "burst"]
    return {verdict: sum(result.verdict == verdict for result in catalogue) for verdict in VERDICTS}


def show(name: str, results: list[Result]) -> None:
    """Print a scorecard."""
    print(f"\n{name}")
    for result in results:
        notes = "; ".join([*result.broken, *result.advice])
        tries = f"{result.attempts[0]:.0f}" if result.name == "burst" else str(len(result.attempts))
        print(f"{result.name:5} {result.verdict:8} {result.took_s:7.2f} s  {tries} at dead providers  "
              f"{result.title}{f' ({notes})' if notes else ''}")  # fmt: skip
    print(", ".join(f"{count} {verdict}" for verdict, count in counts_of(results).items()))


def main() -> int:
    """Play, print, and write the requested file. Return the exit code, which is 1 if this gateway failed a row."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover", description="Provider failures as clients see them."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="the scale of all times: 0.1 is ten times faster")
    parser.add_argument("--json", type=Path, help="a file for all observations")
    parser.add_argument("--litellm", type=Path, help="a virtual environment with litellm[proxy]")
    given = parser.parse_args()
    found = {name: asyncio.run(measure(name, given.scale)) for name in ("defaults", "stated")}
    made: dict[str, object] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "scale": given.scale,
        "stated": stated_routing(given.scale)["failover"],
    }
    if given.litellm is not None:
        found[LITELLM] = asyncio.run(measure(LITELLM, given.scale, given.litellm))
        packages = distributions(path=[str(next((given.litellm / "lib").glob("python*/site-packages")))])
        made[LITELLM] = next(one.version for one in packages if one.name == LITELLM)
    for name, results in found.items():
        show(name, results)
    if given.json is not None:
        cards = {
            name: {"counts": counts_of(results), "scenarios": [asdict(result) for result in results]}
            for name, results in found.items()
        }
        given.json.write_text(json.dumps({**made, "gateways": cards}, indent=1) + "\n")
    own = [result for name in ("defaults", "stated") for result in found[name]]
    return 1 if any(result.verdict == "fail" for result in own) else 0


if __name__ == "__main__":
    sys.exit(main())
