"""Every example is a valid configuration without warnings."""

import re
from pathlib import Path

import pytest

from pointsman.config.catalog import packaged
from pointsman.config.compile import compile_file

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def test_examples_exist() -> None:
    assert {path.name for path in EXAMPLES} >= {
        "all-strategies.yaml",
        "budget-shift.yaml",
        "business-hours.yaml",
        "by-complexity.yaml",
        "cheapest.yaml",
        "coding-agents.yaml",
        "compliance.yaml",
        "default-limits.yaml",
        "environments.yaml",
        "experiments.yaml",
        "failover.yaml",
        "fallbacks-by-class.yaml",
        "governance.yaml",
        "local-models.yaml",
        "paced-budget.yaml",
        "quickstart.yaml",
        "regions.yaml",
        "teams.yaml",
        "tiers.yaml",
        "weighted.yaml",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the day of the catalog, so that no later day adds a warning of a retirement."""
    day = packaged().date
    monkeypatch.setattr("pointsman.config.catalog._today", lambda: day)
    text = path.read_text()
    # Every secret it refers to exists, each with a different value.
    environ = {name: f"value-of-{name}-for-the-test" for name in re.findall(r"\benv\.([A-Z_]+)", text)}
    checked = compile_file(path, environ)
    unwanted = [str(problem) for problem in checked.problems if problem.severity != "note"]
    assert unwanted == []
    assert checked.compiled is not None
    assert checked.compiled.snapshot.models
