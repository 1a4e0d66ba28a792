"""`pointsman export` and `pointsman apply`: the resources of a gateway as a file."""

from pathlib import Path

import pytest
import yaml

from fakes.admin_api import served
from pointsman.config.compile import compile_file
from unit.cli.test_config import DATA
from unit.cli.test_users import invoke, quick


def test_exported_file_is_valid_and_applying_it_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", "sk-of-the-caller")
    with served(tmp_path, quick, DATA) as url:
        address = "base_url=http://127.0.0.1:9/v1"
        made = invoke(
            "providers", "create", "up", "type=openai-compatible", address, "keys.main=env.UP_KEY", "--url", url
        )
        assert made.exit_code == 0, made.output
        exported = invoke("export", "--url", url).output
        file = tmp_path / "exported.yaml"
        file.write_text(exported)
        assert "sealed:v1:" in exported
        assert "sk-of-the-caller" not in exported
        checked = compile_file(file, {}, reads_secrets=False)
        assert checked.compiled is not None, checked.problems
        assert invoke("apply", str(file), "--url", url).output == "nothing to change\n"

        document = yaml.safe_load(exported)
        document["providers"]["up"]["keys"]["main"] = "env.UP_KEY"
        document["governance"]["teams"]["sales"] = {}
        file.write_text(yaml.safe_dump(document))
        assert invoke("apply", str(file), "--dry-run", "--url", url).output == "created team sales\n"
        assert invoke("apply", str(file), "--url", url).output == "created team sales\n", "the same secret is no change"
        monkeypatch.setenv("UP_KEY", "sk-of-the-caller-2")
        assert invoke("apply", str(file), "--url", url).output == "changed provider up\n"
        monkeypatch.delenv("UP_KEY")
        failed = invoke("apply", str(file), "--url", url)
        assert failed.exit_code == 1
        assert "provider up: keys.main.value: the environment variable UP_KEY is not set" in failed.output
        file.write_text("- a list")
        assert "must be a mapping" in invoke("apply", str(file), "--url", url).output
        assert "cannot be read" in invoke("apply", str(tmp_path / "nowhere"), "--url", url).output
        only = yaml.safe_load(invoke("export", "--only-made", "--url", url).output)
        assert {name: list(part) for name, part in only.items()} == {"providers": ["up"], "governance": ["teams"]}
        assert invoke("master-key", "rotate", "--url", url).output == "2 secrets are sealed with the new key\n"
