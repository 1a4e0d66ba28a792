"""Policies of keys made by API are compiled by the code for keys of the file."""

from pathlib import Path
from typing import Any

import pytest

from fakes.configuration import ENVIRON, accept, checked, found
from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import LiveRow, generation_of, open_for_writing
from pointsman.config.live_policies import PolicyCompiler, read_policy

CONFIG = """\
data_dir: {folder}
providers: {{openai: env.OPENAI_API_KEY}}
governance:
  customers: {{acme: {{}}}}
  teams: {{research: {{customer: acme, labels: {{tier: gold}}}}}}
  defaults: [{{each: virtual_key, rate_limits: [{{requests: 9, per: minute}}]}}]
  virtual_keys: {{me: {{value: env.CLIENT_KEY}}}}
"""


def compiled(folder: Path, settings: dict[str, Any]) -> Any:
    accepted = accept(folder / "snapshot", CONFIG.format(folder=folder))
    text, problems = read_policy(settings)
    key, more = PolicyCompiler(accepted, ENVIRON).compile(text)
    return key if not problems and not more else [str(one) for one in (*problems, *more)]


def test_policy_has_team_customer_labels_and_limits(tmp_path: Path) -> None:
    key = compiled(tmp_path, {"team": "research", "budgets": [{"limit_usd": 5, "per": "day"}], "from": ["10.1.2.3/16"]})
    assert (key.name, key.team, key.customer, key.labels) == ("", "research", "acme", {"tier": "gold"})
    assert [(one.metric, one.amount) for one in key.limits] == [("usd", 5_000_000_000), ("requests", 9)]
    assert key.networks == ("10.1.0.0/16",)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"team": "reserch"}, "team: unknown team 'reserch'; did you mean 'research'?"),
        ({"from": ["10.0.0.0/99"]}, "from[0]: '10.0.0.0/99' is not an IP address or network"),
        ({"budgets": [{"limit_usd": 5}]}, "budgets[0].per: this field is required"),
        ({"budget": 5}, "budget: unknown field; did you mean 'budgets'?"),
        ({"value": "env.SECRET"}, "value: is set apart from the policy; remove it"),
        ({"budgets": [{"limit_usd": 5, "per": "day", "then": "nothing"}]}, "unknown model 'nothing'"),
    ],
)
def test_problem_names_its_field(settings: dict[str, Any], problem: str, tmp_path: Path) -> None:
    problems = compiled(tmp_path, settings)
    assert isinstance(problems, list)
    assert problem in problems[0]


def test_equal_settings_are_one_policy() -> None:
    assert read_policy({"team": "a", "labels": {"x": "1", "y": "2"}}) == read_policy(
        {"labels": {"y": "2", "x": "1"}, "team": "a"}
    )


def with_key(folder: Path, name: str, settings: str) -> None:
    live = open_for_writing(folder)
    live.write([LiveRow(b"1" * 32, name, live.number_of(settings))])
    live.close()


def test_configuration_compiles_the_policies_of_keys_made_by_api(tmp_path: Path) -> None:
    with_key(tmp_path, "app", '{"team":"research"}')
    result = checked(CONFIG.format(folder=tmp_path), folder=tmp_path)
    assert result.compiled is not None
    table = result.compiled.snapshot.virtual_keys
    assert isinstance(table, FileKeys)
    key = table.get(b"1" * 32)
    assert key is not None
    assert (key.name, key.team) == ("app", "research")
    assert table.generation == generation_of(result.compiled.snapshot.digest)


def test_configuration_that_a_key_made_by_api_cannot_have_is_rejected(tmp_path: Path) -> None:
    with_key(tmp_path, "app", '{"team":"gone"}')
    (problem,) = found(checked(CONFIG.format(folder=tmp_path), folder=tmp_path))
    assert "keys that were made by API, such as app: team: unknown team 'gone'" in problem


def test_name_in_the_file_and_of_a_key_made_by_api_is_rejected(tmp_path: Path) -> None:
    with_key(tmp_path, "me", "{}")
    outcome = checked(CONFIG.format(folder=tmp_path), folder=tmp_path)
    (problem,) = [one for one in outcome.problems if one.severity == "error"]
    assert (problem.path, problem.line) == ("governance.virtual_keys.me", 7)
    assert "also the name of a key that was made by API" in problem.message
