"""The benchmark of routing: its ablation switches off parts that exist, and its page is written from the figures."""

import json
import sys
from collections.abc import Sequence

import bench.routing.__main__
import msgspec
import pytest
from bench.routing.__main__ import main
from bench.routing.ablation import PARTS, without
from bench.routing.report import report
from bench.routing.tables import aligned, markdown, regret_rows

from pointsman.simulate.worlds.compare import Regrets
from pointsman.simulate.worlds.contender import Contender
from pointsman.simulate.worlds.results import Measures
from pointsman.simulate.worlds.world import Scenario

MEASURES = Measures(
    requests=10, success=0.9, mean_s=0.5, p50_s=0.4, p95_s=0.9, p99_s=1.2, loss_s=0.5, slo_missed=0.1, attempts=1.1,
    duplicates=0.0, limited=0.02, usd_1000=3.0, divert_s=1.5, regret=0.25,
)  # fmt: skip
REGRETS = Regrets(mean=0.2, median=0.1, worst=0.8, success=1.0, attempts=1.02, limited=0.0)


@pytest.mark.parametrize("part", PARTS)
def test_part_is_switched_off_and_on_again(part: str) -> None:
    before = [getattr(owner, name) for owner, name, _ in PARTS[part]]
    with without(part):
        assert [getattr(owner, name) for owner, name, _ in PARTS[part]] == [value for _, _, value in PARTS[part]]
    assert [getattr(owner, name) for owner, name, _ in PARTS[part]] == before


def test_page_shows_the_figures_of_both_files() -> None:
    simulated = {
        "date": "2026-01-02", "python": "3.11", "arrivals": "synthetic", "seeds": [100, 104], "worlds": [5000, 5049],
        "baseline_seeds": 2,
        "scenarios": {"outage": {"oracle": MEASURES, "adaptive": MEASURES}}, "random_worlds": {"adaptive": REGRETS},
        "without": {"": REGRETS, "noise": REGRETS},
    }  # fmt: skip
    live = {
        "date": "2026-01-03",
        "litellm": "1.2.3",
        "faults": {"outage": {"litellm": {"mean_ms": 12.5, "return_s": None}}},
    }
    page = report(json.loads(msgspec.json.encode(simulated)), live)
    for text in (
        "Seeds: 100 to 104.",
        "Seeds of the baselines: the first 2.",
        "| adaptive | 25 |",
        "| adaptive | 20.0 | 10.0 | 80.0 |",
        "litellm 1.2.3",
        "12.5",
    ):
        assert text in page
    assert "Not measured yet" in report(json.loads(msgspec.json.encode(simulated)), None)


def test_table_of_regrets_has_the_mean_over_scenarios() -> None:
    other = msgspec.structs.replace(MEASURES, regret=0.05)
    rows = regret_rows({"steady": {"adaptive": other}, "outage": {"adaptive": MEASURES}})
    assert rows == [("router", "steady", "outage", "mean"), ("adaptive", "5", "25", "15.0")]
    assert len({len(line) for line in aligned(rows).splitlines()}) == 1


def test_cell_of_a_scenario_that_a_router_lacks_is_empty() -> None:
    rows = regret_rows({"budget": {"adaptive": MEASURES}, "steady": {"adaptive": MEASURES, "bifrost": MEASURES}})
    assert rows[1:] == [("adaptive", "25", "25", "25.0"), ("bifrost", "", "25", "25.0")]
    assert len({len(line) for line in aligned(rows).splitlines()}) == 1
    assert markdown(rows).splitlines()[-1] == "| bifrost |  | 25 | 25.0 |"


def test_ablation_has_worlds_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []

    def ablation(worlds: list[Scenario], note: object) -> dict[str, Regrets]:
        heard.extend(one.name for one in worlds)
        return {"": REGRETS}

    monkeypatch.setattr(bench.routing.__main__, "ablation", ablation)
    monkeypatch.setattr(sys, "argv", ["bench", "--scenarios", "", "--worlds", "0", "--ablation", "2"])
    assert main() == 0
    assert heard == ["world 5000", "world 5001"]
    assert "adaptive without one of its parts" in capsys.readouterr().out


def test_baselines_may_have_fewer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[list[str], list[int]]] = []

    def compare(_: Scenario, contenders: Sequence[Contender], seeds: Sequence[int], __: None) -> dict[str, Measures]:
        heard.append(([one.name for one in contenders], list(seeds)))
        return {one.name: msgspec.structs.replace(MEASURES, regret=float(len(seeds))) for one in contenders}

    monkeypatch.setattr(bench.routing.__main__, "compare", compare)
    given = ["bench", "--scenarios", "steady", "--policies", "oracle,adaptive,bifrost", "--worlds", "0"]
    monkeypatch.setattr(sys, "argv", [*given, "--seeds", "3", "--baseline-seeds", "1"])
    assert main() == 0
    assert heard == [(["oracle", "adaptive"], [100, 101, 102]), (["oracle", "bifrost"], [100])]
