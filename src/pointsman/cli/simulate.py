"""Compares ways of routing in a simulated world, on the user's own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import AsJson
from pointsman.cli._terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pointsman.domain.snapshots import Snapshot
    from pointsman.simulate.worlds.contender import Contender
    from pointsman.simulate.worlds.results import Measures
    from pointsman.simulate.worlds.world import Arrival, Provider, Scenario, Trace

_HELP = {
    "config": "The configuration file. Default: built from the environment, as with `serve`.",
    "against": "An older configuration, to compare with.",
    "model": "The public name to simulate. Default: the first one.",
    "scenario": "The scenario, such as `outage`. `pointsman simulate --list` prints all of them.",
    "list": "Print the scenarios and the ways of routing, and exit.",
    "trace": "A trace of Azure (CSV) or Mooncake (JSON lines), for the arrivals and lengths of requests.",
    "replay": "A log of the gateway: arrivals, lengths, and the speed and failures of each target are taken from it.",
    "policy": "A further way of routing to compare with. May be repeated.",
    "speed": "The time to the first content of a target in seconds, such as `openai/gpt-4o=0.6`. May be repeated.",
    "faulty": "The target that has the fault of the scenario. Default: the fastest.",
    "seeds": "The number of runs of each.",
    "rate": "Requests a second. Default: that of the scenario (8 in most), or of the trace.",
    "plot": "Write a chart to this file, as SVG.",
}
_COLUMNS = (
    "routing", "regret %", "success %", "mean s", "p50 s", "p95 s", "p99 s", "attempts", "429s", "$ per 1,000",
    "divert s", "return s",
)  # fmt: skip


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", "-s", help=_HELP["scenario"])] = None,
    trace: Annotated[Path | None, typer.Option("--trace", help=_HELP["trace"])] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help=_HELP["replay"])] = None,
    against: Annotated[Path | None, typer.Option("--against", help=_HELP["against"])] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=_HELP["model"])] = None,
    policy: Annotated[list[str] | None, typer.Option("--policy", "-p", help=_HELP["policy"])] = None,
    speed: Annotated[list[str] | None, typer.Option("--speed", help=_HELP["speed"])] = None,
    faulty: Annotated[str, typer.Option("--faulty", help=_HELP["faulty"])] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help=_HELP["seeds"])] = 3,
    rate: Annotated[float | None, typer.Option("--rate", min=0.01, max=1000, help=_HELP["rate"])] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help=_HELP["plot"])] = None,
    list_all: Annotated[bool, typer.Option("--list", help=_HELP["list"])] = False,
    as_json: AsJson = False,
) -> None:
    """Compare ways of routing in a simulated world, on your own configuration.

    Nothing is sent, and no secret is read. Only providers and the clock are simulated: the gateway's own code decides.
    The configuration is compared with `adaptive`, with an oracle that knows the state of each provider, with an older
    configuration, and with each --policy.
    """
    if list_all:
        _print_names()
        return
    if (replay is None) == (scenario is None and trace is None):
        raise typer.BadParameter("set --scenario, --trace or both; or --replay alone")
    if replay is not None:
        _reject_with_replay(rate, faulty)
    snapshots = _snapshots(config, against)
    name = _public_name(snapshots, model)
    world, arrivals = _world(
        snapshots, name, scenario, trace, replay=replay, speeds=_speeds(speed or []), faulty=faulty, rate=rate
    )
    contenders = _contenders(snapshots, name, policy or [])
    found = _play(world, contenders, arrivals, seeds, plot)
    if as_json:
        _print_json(world, name, found)
    else:
        _print_table(found)


def _reject_with_replay(rate: float | None, faulty: str) -> None:
    """End if an option is set that a log replaces."""
    if rate is not None:
        raise typer.BadParameter(
            "the log has its own arrivals; remove --rate, or use --scenario instead of --replay", param_hint="--rate"
        )
    if faulty:
        raise typer.BadParameter(
            "the log has its own faults; remove --faulty, or use --scenario instead of --replay", param_hint="--faulty"
        )


def _print_names() -> None:
    from pointsman.simulate.worlds.compare import CONTENDERS
    from pointsman.simulate.worlds.scenarios import OF_CONFIGURATIONS

    print_line("scenarios")
    for name in OF_CONFIGURATIONS:
        print_line(f"  {name}")
    print_line("policies")
    for name in CONTENDERS:
        print_line(f"  {name}")


def _snapshots(config: Path | None, against: Path | None) -> dict[str, Snapshot]:
    """Return the configurations by the names of their rows."""
    from pointsman.cli._configuration import compiled_or_exit

    found = {"configured": compiled_or_exit(config, reads_secrets=False).snapshot}
    if against is not None:
        found["against"] = compiled_or_exit(against, reads_secrets=False).snapshot
    return found


def _public_name(snapshots: Mapping[str, Snapshot], model: str | None) -> str:
    common = [name for name in snapshots["configured"].models if all(name in one.models for one in snapshots.values())]
    if model is None and common:
        return common[0]
    if model not in common:
        listed = ", ".join(common) or "none"
        raise typer.BadParameter(f"{model!r} is not a public name of each configuration; those are: {listed}")
    return model


def _speeds(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        target, _, seconds = text.rpartition("=")
        try:
            found[target] = float(seconds)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not of the form `openai/gpt-4o=0.6`", param_hint="--speed") from None
        if not 0 < found[target] < 1000:
            raise typer.BadParameter(f"the time in {text!r} must be above 0", param_hint="--speed")
    return found


def _world(  # noqa: PLR0913 -- the sources of a world
    snapshots: Mapping[str, Snapshot],
    model: str,
    scenario: str | None,
    trace: Path | None,
    *,
    replay: Path | None,
    speeds: Mapping[str, float],
    faulty: str,
    rate: float | None,
) -> tuple[Scenario, Trace | Sequence[Arrival] | None]:
    """Return the world, and the arrivals if they are recorded."""
    from msgspec.structs import replace

    from pointsman.simulate.worlds.own import ScenarioError, placed, providers_of
    from pointsman.simulate.worlds.scenarios import OF_CONFIGURATIONS, SCENARIOS

    if replay is not None:
        return _replayed(snapshots, model, replay, speeds)
    found = SCENARIOS.get(scenario or "steady")
    if found is None:
        raise typer.BadParameter(f"{scenario!r} is unknown; the scenarios are: {', '.join(OF_CONFIGURATIONS)}")
    recorded = _read_trace(trace) if trace is not None else None
    if recorded is not None and rate is None and scenario is None:
        length_s = recorded.arrivals[-1].at
        rate = len(recorded.arrivals) / max(length_s, 1.0)
        found = replace(found, duration_s=min(found.duration_s, max(length_s, 1.0)))
    if rate is not None:
        found = replace(found, traffic=replace(found.traffic, rate=rate))
    providers = _known(providers_of(list(snapshots.values()), model, found.traffic.rate, speeds), speeds, faulty)
    try:
        return placed(found, providers, faulty), recorded
    except ScenarioError as error:
        raise typer.BadParameter(str(error), param_hint="--scenario") from None


def _known(providers: tuple[Provider, ...], speeds: Mapping[str, float], faulty: str) -> tuple[Provider, ...]:
    """Return the providers, or end if there are none, or if an option names another one."""
    names = [one.name for one in providers]
    if not names:
        raise typer.BadParameter("the public name has no target with a key")
    for name in (*speeds, *([faulty] if faulty else [])):
        if name not in names:
            raise typer.BadParameter(f"{name!r} is not a target; the targets are: {', '.join(names)}")
    return providers


def _read_trace(path: Path) -> Trace:
    from pointsman.simulate.worlds.arrivals import TraceError, read_trace

    try:
        return read_trace(path)
    except (TraceError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--trace") from None


def _replayed(
    snapshots: Mapping[str, Snapshot], model: str, path: Path, speeds: Mapping[str, float]
) -> tuple[Scenario, Sequence[Arrival]]:
    from pointsman.simulate.worlds.own import providers_of
    from pointsman.simulate.worlds.replay import ReplayError, as_observed, read_log
    from pointsman.simulate.worlds.world import Scenario

    try:
        found = read_log(path, model)
    except (ReplayError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--replay") from None
    rate = len(found.arrivals) / found.duration_s
    assumed = _known(providers_of(list(snapshots.values()), model, rate, speeds), speeds, "")
    providers, faults = as_observed(assumed, found)
    scenario = Scenario(name=f"replay of {path.name}", providers=providers, faults=faults, duration_s=found.duration_s)
    return scenario, found.arrivals


def _contenders(snapshots: Mapping[str, Snapshot], model: str, policies: Sequence[str]) -> list[Contender]:
    from pointsman.simulate.worlds.compare import CONTENDERS, ORACLE
    from pointsman.simulate.worlds.own import configured, with_strategy

    found = [configured(name, snapshot, model) for name, snapshot in snapshots.items()]
    for name in dict.fromkeys(["adaptive", *policies]):
        known = CONTENDERS.get(name)
        if known is None:
            raise typer.BadParameter(f"{name!r} is unknown; known are: {', '.join(CONTENDERS)}", param_hint="--policy")
        if known is not ORACLE:
            is_ours = known.strategy is not None
            found.append(with_strategy(known, snapshots["configured"], model) if is_ours else known)
    return [*found, ORACLE]


def _play(
    world: Scenario,
    contenders: Sequence[Contender],
    arrivals: Trace | Sequence[Arrival] | None,
    seeds: int,
    plot: Path | None,
) -> Mapping[str, Measures]:
    from pointsman.simulate.worlds.chart import chart
    from pointsman.simulate.worlds.compare import measured, play
    from pointsman.simulate.worlds.simulation import UnknownTargetError

    try:
        runs = play(world, contenders, range(1, seeds + 1), arrivals)
    except UnknownTargetError as error:
        print_line(f"{error}; rules and budgets that lead to other models cannot be simulated", err=True)
        raise typer.Exit(1) from None
    if plot is not None:
        try:
            plot.write_text(chart(world, runs), encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"cannot write {plot}: {error.strerror}", param_hint="--plot") from None
    return measured(world, runs)


def _print_json(world: Scenario, model: str, found: Mapping[str, Measures]) -> None:
    import msgspec

    print_json({"scenario": world.name, "model": model, "routings": msgspec.to_builtins(found)})


def _print_table(found: Mapping[str, Measures]) -> None:
    lines = [
        (
            name,
            f"{100 * (one.regret or 0.0):.1f}",
            f"{100 * one.success:.2f}",
            f"{one.mean_s:.3f}",
            f"{one.p50_s:.2f}",
            f"{one.p95_s:.2f}",
            f"{one.p99_s:.2f}",
            f"{one.attempts:.3f}",
            f"{one.limited:.4f}",
            f"{one.usd_1000:.2f}",
            _seconds(one.divert_s),
            _seconds(one.return_s),
        )
        for name, one in found.items()
    ]
    print_table(_COLUMNS, lines, _COLUMNS[1:])


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
