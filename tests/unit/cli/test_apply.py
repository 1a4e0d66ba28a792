"""`pointsman export` and `pointsman apply`: the resources of a gateway as a file."""

from hashlib import sha256
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


def test_only_the_digest_of_a_key_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_KEY", "pm-a-value-of-the-caller")
    with served(tmp_path, lambda plane: None) as url:
        file = tmp_path / "keys.yaml"
        keys = {"app": {"value": "env.APP_KEY", "team": "research"}, "short": "env.APP_KEY_2", "me": "env.MISSING"}
        file.write_text(yaml.safe_dump({"governance": {"virtual_keys": keys}}))
        missing = invoke("apply", str(file), "--url", url)
        assert missing.exit_code == 1
        assert "virtual_key short: value: the environment variable APP_KEY_2 is not set" in missing.output
        del keys["short"], keys["me"]
        file.write_text(yaml.safe_dump({"governance": {"virtual_keys": keys}}))
        for _ in range(200):
            done = invoke("apply", str(file), "--url", url)
            if "retry in a moment" not in done.output:
                break
        assert done.output == "created virtual_key app\n"
        exported = invoke("export", "--url", url).output
        assert f"sha256:{sha256(b'pm-a-value-of-the-caller').hexdigest()}" in exported
        assert "pm-a-value-of-the-caller" not in exported
