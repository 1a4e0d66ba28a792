"""The command that simulates a configuration."""

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pointsman.cli import build_app
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.simulate.worlds.scenarios import OF_CONFIGURATIONS

FILE = """
version: 1
providers:
  openai: {keys: {a: env.A}}
  groq: {keys: {b: env.B}}
models:
  chat: [groq/llama-3.3-70b-versatile, openai/gpt-4o-mini]
  other: [openai/gpt-4o]
  priced: {strategy: priority, targets: [openai/gpt-4o, openai/gpt-4o-mini]}
governance: {require_key: false}
"""
WEIGHTED = FILE.replace(
    "chat: [groq/llama-3.3-70b-versatile, openai/gpt-4o-mini]",
    "chat: {strategy: weighted, targets: [groq/llama-3.3-70b-versatile, openai/gpt-4o-mini]}",
)
TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:{second // 60:02}:{second % 60:02}.0000000,500,20\n" for second in range(120)
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "gateway.yaml").write_text(FILE)
    return str(tmp_path / "gateway.yaml")


def run(*arguments: str, expected: int = 0) -> str:
    done = CliRunner().invoke(build_app(), ["simulate", *arguments])
    assert done.exit_code == expected, done.output
    return done.output


def table(*arguments: str) -> dict[str, dict[str, float]]:
    found = json.loads(run(*arguments, "--json", "--seeds", "1"))
    routings: dict[str, dict[str, float]] = found["routings"]
    return routings


def test_scenario_compares_the_configuration_with_adaptive_and_an_oracle(config: str) -> None:
    found = table("-c", config, "--scenario", "outage", "--rate", "1")
    assert list(found) == ["configured", "adaptive", "oracle"]
    assert found["oracle"]["regret"] == 0.0
    assert found["configured"]["success"] == 1.0


@pytest.mark.parametrize("scenario", OF_CONFIGURATIONS)
def test_configuration_is_simulated_in_every_listed_scenario(config: str, scenario: str) -> None:
    found = table("-c", config, "--scenario", scenario, "--rate", "0.2", "-p", "bifrost")
    assert list(found) == ["configured", "adaptive", "bifrost", "oracle"]
    assert found["oracle"]["success"] > 0.8
    assert scenario in run("--list")


def test_workers_that_share_are_simulated_with_the_configuration(config: str) -> None:
    alone, shared = [table("-c", config, "-s", name, "--rate", "2") for name in ("4 workers", "4 workers that share")]
    assert alone["adaptive"] != shared["adaptive"]
    assert alone["oracle"] == shared["oracle"]


def test_new_price_moves_requests_that_weigh_costs(config: str) -> None:
    """The first target is dearer by far, so the adaptive strategy leaves it, and the order of the file does not."""
    found = table("-c", config, "-s", "price x4", "--rate", "1", "-m", "priced")
    steady = table("-c", config, "-s", "steady", "--rate", "1", "-m", "priced")
    assert found["configured"]["usd_1000"] > 1.5 * steady["configured"]["usd_1000"]
    assert found["adaptive"]["usd_1000"] < 0.8 * found["configured"]["usd_1000"]


def test_two_configurations_and_further_policies_are_compared(config: str, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(WEIGHTED)
    options = ["-c", str(tmp_path / "new.yaml"), "--against", config, "-s", "steady", "--rate", "1", "-p", "bifrost"]
    slow = ["--speed", "openai/gpt-4o-mini=4"]
    found = table(*options, *slow, "-p", "weighted")
    assert list(found)[:4] == ["configured", "against", "adaptive", "bifrost"]
    assert found["configured"]["mean_s"] > 2 * found["against"]["mean_s"]  # the weights send half to the slow target


def test_same_seeds_give_the_same_table(config: str) -> None:
    options = ("-c", config, "-s", "latency x4", "--rate", "1", "--seeds", "1")
    assert run(*options) == run(*options)


def test_chart_is_written(config: str, tmp_path: Path) -> None:
    plot = tmp_path / "out.svg"
    run("-c", config, "-s", "steady", "--rate", "0.5", "--seeds", "1", "--plot", str(plot))
    assert plot.read_text().startswith("<svg")
    assert "groq/llama-3.3-70b-versatile" in plot.read_text()


def test_trace_gives_the_arrivals(config: str, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    found = table("-c", config, "--trace", str(tmp_path / "trace.csv"))
    assert 100 <= found["configured"]["requests"] <= 120


def test_log_gives_arrivals_and_speeds(config: str, tmp_path: Path) -> None:
    """The log has a slow first target, so the order of the configuration is the worse one."""
    lines = []
    for at in range(120):
        provider = "groq" if at % 2 else "openai"
        model, content_s = ("llama-3.3-70b-versatile", 3.0) if at % 2 else ("gpt-4o-mini", 0.4)
        attempt = AttemptRecord(
            provider=provider, model=model, key="a", outcome="ok", start_us=0, duration_us=int((content_s + 1) * 1e6),
            first_byte_us=int(content_s * 1e6), tokens_out=50,
        )  # fmt: skip
        record = RequestRecord(
            time=1.8e9 + at, request_id=str(at), method="POST", path="/v1/chat/completions", status=200, model="chat",
            operation="chat", stream=True, tokens_in=100, tokens_out=50, attempts=(attempt,),
            ttft_us=int(content_s * 1e6),
        )  # fmt: skip
        lines.append(msgspec.json.encode(record))
    (tmp_path / "requests.log").write_bytes(b"\n".join(lines))
    found = table("-c", config, "--replay", str(tmp_path / "requests.log"))
    assert found["configured"]["requests"] == 120
    assert found["configured"]["mean_s"] == pytest.approx(3.0, rel=0.1)
    assert found["adaptive"]["mean_s"] < 1.0


def test_list_names_scenarios_and_policies() -> None:
    found = run("--list")
    assert "black hole" in found
    assert "bifrost" in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "set --scenario, --trace or both"),
        (("-s", "steady", "--replay", "log"), "set --scenario, --trace or both"),
        (("-s", "nonsense"), "the scenarios are: steady"),
        (("-s", "steady", "-m", "nonsense"), "those are: chat, other, priced"),
        (("-s", "steady", "-p", "nonsense"), "known are: oracle"),
        (("-s", "steady", "--faulty", "nonsense"), "the targets are: groq/llama"),
        (("-s", "steady", "--speed", "nonsense"), "is not of the form"),
        (("-s", "steady", "--speed", "nonsense=0.5"), "the targets are: groq/llama"),
        (("-s", "steady", "--speed", "openai/gpt-4o-mini=0"), "must be above 0"),
        (("--trace", "/nonexistent"), "No such file"),
        (("--replay", "/nonexistent"), "No such file"),
        (("--replay", "log", "--rate", "4"), "the log has its own arrivals; remove --rate"),
        (("--replay", "log", "--faulty", "openai/gpt-4o-mini"), "the log has its own faults; remove --faulty"),
        (("-s", "budget exhausted"), "set a budget of the provider in the configuration"),
    ],
)
def test_wrong_options_are_named(config: str, arguments: tuple[str, ...], message: str) -> None:
    found = " ".join(run("-c", config, *arguments, expected=2).replace("│", " ").split())
    assert message in found
