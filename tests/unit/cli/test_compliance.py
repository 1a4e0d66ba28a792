"""`pointsman compliance report`: what a virtual key can reach, as text and as JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli import build_app

CONFIG = """
providers:
  de:
    type: vllm
    base_url: "http://127.0.0.1:9000/v1"
    tags: {region: {value: eu, evidence: "DPA, page 4", expires: 2100-01-01}}
  us: {type: vllm, base_url: "http://127.0.0.1:9001/v1"}
models: {chat: [us/m, de/m]}
governance:
  virtual_keys:
    ward: {value: env.CLIENT_KEY, require: {region: eu}}
    nowhere: {value: env.OTHER_KEY, require: {region: mars}, provider_tools: [], allow_models: [chat]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "pointsman.yaml"
    path.write_text(CONFIG)
    return str(path)


def report(config: str, *arguments: str) -> Result:
    environ = {"CLIENT_KEY": "pm-" + "1" * 30, "OTHER_KEY": "pm-" + "2" * 30}
    return CliRunner().invoke(build_app(), ["compliance", "report", "-c", config, *arguments], env=environ)


def test_report_lists_what_a_key_reaches_and_what_is_excluded(config: str) -> None:
    result = report(config, "--key", "ward")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "virtual key ward",
        "  requires region=eu, from virtual key ward",
        "  provider tools: none, because a requirement applies",
        "",
        "can reach",
        "  de (key default): any model",
        "    region=eu is met by eu (evidence: DPA, page 4, expires 2100-01-01)",
        "  de (key default): m, as chat",
        "    region=eu is met by eu (evidence: DPA, page 4, expires 2100-01-01)",
        "",
        "excluded",
        "  us (key default): any model: region=eu (required by virtual key ward): it has no tag region",
        "  us (key default): m, as chat: region=eu (required by virtual key ward): it has no tag region",
    ]


def test_report_as_json_and_for_a_key_that_reaches_nothing(config: str) -> None:
    result = report(config, "--key", "nowhere", "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["requirements"] == [["region=mars", "virtual key nowhere"]]
    assert found["provider_tools"] == []
    assert all(row["excluded"] for row in found["rows"])
    text = report(config, "--key", "nowhere").output
    assert "can reach nothing" in text
    assert "may request only: chat" in text
    assert report(config, "--key", "nobody").exit_code == 2
