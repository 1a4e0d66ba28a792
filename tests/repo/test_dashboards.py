"""The dashboard and the alert rules refer only to metrics and labels that exist, and Prometheus accepts them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fakes.all_metrics import all_metrics
from fakes.metrics import samples
from pointsman.admin.metrics import content_type, render
from pointsman.domain.failures import KINDS
from repo.dashboards import dashboard, expressions

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_NAME = re.compile(r"pointsman_[a-z0-9_]+")
_BY = re.compile(r"by \(([a-z_, ]+)\)|\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}|\{([a-z_]+)=")


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing; apt-get install prometheus")
    return found


def labels_by_name() -> dict[str, set[str]]:
    """Return the labels of each name that Prometheus can query."""
    page = all_metrics()
    found = {one.name: set(one.labels) for one in page.counters}
    found |= {one.name: set(one.labels) for one in page.gauges}
    for one in page.histograms:
        found |= {f"{one.name}_{part}": {*one.labels, "le"} for part in ("bucket", "sum", "count")}
    return found


def check(texts: list[str], known: dict[str, set[str]]) -> None:
    """Check the names in some texts that belong together, and that one of the metrics has each label."""
    names = {name for text in texts for name in _NAME.findall(text)}
    assert names <= known.keys(), names - known.keys()
    wanted = {
        label.strip() for text in texts for groups in _BY.findall(text) for one in groups for label in one.split(",")
    }
    assert wanted - {""} <= set().union(*(known[name] for name in names)), texts


def test_dashboard_uses_metrics_that_exist() -> None:
    known = labels_by_name()
    panels = json.loads(dashboard())["panels"]
    for panel in panels:
        for target in panel.get("targets", ()):
            check([target["expr"], target["legendFormat"]], known)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert (ROOT / "deploy" / "grafana" / "pointsman.json").read_text() == dashboard()


def test_alerts_use_metrics_that_exist() -> None:
    known = labels_by_name()
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            check([rule["expr"], *rule["annotations"].values()], known)
            reasons = re.findall(r"reason=~\"([a-z_|]+)\"", rule["expr"])
            assert {code for one in reasons for code in one.split("|")} <= KINDS.keys()


def test_promtool_accepts_alerts_and_expressions(tmp_path: Path) -> None:
    rules = [
        {"record": f"check:{n}", "expr": one.replace("$__rate_interval", "5m")} for n, one in enumerate(expressions())
    ]
    of_dashboard = tmp_path / "dashboard.yml"
    of_dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for path in (ALERTS, of_dashboard):
        done = subprocess.run([promtool(), "check", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_has_no_complaint_about_metrics() -> None:
    page = render(all_metrics())
    done = subprocess.run([promtool(), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_openmetrics_has_the_same_series() -> None:
    page = all_metrics()
    text = render(page, OPENMETRICS).decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    found = {sample.name for family in families for sample in family.samples}
    assert content_type(OPENMETRICS).startswith("application/openmetrics-text")
    plain = {name.partition("{")[0] for name in samples(page)}
    assert {name for name in found if not name.endswith("_created")} == plain
