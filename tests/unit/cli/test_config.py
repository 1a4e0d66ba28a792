"""`pointsman teams`, `providers` and the like, and the history of their changes."""

from pathlib import Path

import pytest

from fakes.admin_api import served
from unit.cli.test_users import invoke, quick

DATA = "data_dir: .\negress: {allow_private: [127.0.0.0/8]}\n"


def test_resources_are_changed_and_restored_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UP_KEY", "sk-of-the-caller")
    with served(tmp_path, quick, DATA) as url:

        def say(*arguments: str, code: int = 0) -> str:
            found = invoke(*arguments, "--url", url)
            assert found.exit_code == code, found.output
            return found.output

        budget = "budgets=[{limit_usd: 5, per: day}]"
        assert say("teams", "create", "sales", budget, "labels.env=prod") == "created team sales\n"
        assert say("teams", "set", "sales", "labels.env=null", "labels.x=1", code=1).endswith(
            "must be text, not a number\n"
        )
        assert say("teams", "set", "sales", "labels.env=null", "--note", "no label") == "changed team sales\n"
        shown = say("teams", "show", "sales")
        assert shown == "sales:\n  budgets:\n  - limit_usd: 5\n    per: day\n  labels: {}\n"
        listed = say("teams", "list")
        assert "file, line" in listed
        assert "admin-token" in listed
        fields = ("type=openai-compatible", "base_url=http://127.0.0.1:9/v1", "serves=[m]")
        made = say("providers", "create", "up", *fields, "keys.main=env.UP_KEY")
        assert "created provider up" in made
        assert "master key was made" in made
        assert "sk-of-the-caller" not in say("providers", "show", "up")
        assert say("public-models", "create", "quick", "targets=[up/m]") == "created model quick\n"
        (tmp_path / "rule.yaml").write_text("when: 'model == \"x\"'\nmodel: quick\n")
        assert say("rules", "create", "go", "--file", str(tmp_path / "rule.yaml")) == "created rule go\n"
        price = ("input_usd_per_million=1.5", "output_usd_per_million=2")
        assert say("prices", "create", "up/m", "model=up/m", *price) == "created price up/m\n"
        assert say("customers", "create", "acme", "--dry-run") == "created customer acme\n"
        assert say("customers", "list") == "none found\n"
        history = say("config", "history")
        assert "no label" in history
        assert say("config", "diff", "1", "2").startswith("--- before: team sales\n+++ after: team sales\n")
        rolled = say("config", "rollback", "1")
        assert "deleted rule go" in rolled
        assert "changed team sales" in rolled
        assert say("teams", "delete", "sales") == "deleted team sales\n"
        assert "no field" in say("teams", "create", "x", "budgets", code=2)
