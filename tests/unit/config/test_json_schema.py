"""The JSON Schema accepts the files that the program accepts, and flags mistakes."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pointsman.config.json_schema import document_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

DESIGNED = """
version: 1
server:  {listen: 127.0.0.1:8080, workers: 1}
console: {listen: 127.0.0.1:8081}
data_dir: ./data
egress:  {proxy: env.EGRESS_PROXY, ca_file: /etc/ssl/corp.pem}
providers:
  openai: env.OPENAI_API_KEY
  ollama:
  anthropic:
    type: openai-compatible
    base_url: https://api.anthropic.com/v1
    keys:
      primary: {value: env.ANTHROPIC_API_KEY, weight: 3}
      spare:   {value: "file:/run/secrets/anthropic", weight: 1, serves: ["claude-haiku*"]}
  local:
    type: openai-compatible
    base_url: http://127.0.0.1:8000/v1
    keys: {only: {value: ""}, short: env.X}
    serves: [smollm2]
    tags: {region: eu, certifications: [hipaa]}
models:
  quick: [openai/gpt-4o-mini, {model: anthropic/claude-haiku-4-5}]
  single: openai/gpt-4o
  chat:
    strategy: weighted
    targets:
      - {model: openai/gpt-4o-mini, weight: 80, variant: control}
      - local/smollm2
    fallbacks: [anthropic/claude-haiku-4-5]
routing:
  strategy: priority
  max_attempts: 5
  timeouts: {connect_s: 5, commit_s: 600, stall_s: 60, stream_s: 3600}
governance:
  virtual_keys:
    notebook: {value: env.NOTEBOOK_KEY}
    short: env.OTHER_KEY
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_validate(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    validator.validate(yaml.safe_load(path.read_text()))


def test_full_and_short_forms_validate(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(DESIGNED))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("routing:", "routng:"),
        ("weight: 3", "wieght: 3"),
        ("weight: 3", "weight: '3'"),
        ("weight: 3", "weight: -3"),
        ("strategy: weighted", "strategy: wieghted"),
        ("strategy: priority", "strategy: quickest"),
        ("type: openai-compatible", "type: opnai"),
        ("version: 1", "version: 2"),
        ("variant: control", "varient: control"),
        ("max_attempts: 5", "max_attempts: 0"),
        ("  local:", "  lo/cal:"),
        ("notebook: {value: env.NOTEBOOK_KEY}", "notebook: {value: env.NOTEBOOK_KEY, tema: x}"),
    ],
)
def test_misspelt_fields_and_values_are_flagged(validator: jsonschema.Draft202012Validator, old: str, new: str) -> None:
    assert old in DESIGNED
    data: Any = yaml.safe_load(DESIGNED.replace(old, new))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(data)
