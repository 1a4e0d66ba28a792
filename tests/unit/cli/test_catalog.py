"""`pointsman catalog`: update from a file or an address, and revert."""

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli import build_app
from pointsman.config.catalog import packaged, read_catalog
from pointsman.config.overrides import default_data_dir
from unit.config.test_catalog import content

DATE = packaged().date
NEW = content(DATE)
SUM = sha256(NEW).hexdigest()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "new.json"
    path.write_bytes(NEW)
    path.with_name("new.json.sha256").write_text(f"{SUM}  new.json\n")
    return path


@pytest.fixture
def address(file: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/new.json"
        finally:
            server.shutdown()
            thread.join()


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["catalog", *(arguments or ["show"]), "--data-dir", str(data_dir)])


CONFIG = """
providers: {openai: env.NO_SUCH_KEY, local: {type: vllm, base_url: "http://127.0.0.1:9/v1"}}
governance: {require_key: false}
"""


def add(folder: Path, *arguments: str) -> Result:
    config = folder / "pointsman.yaml"
    config.write_text(CONFIG)
    return CliRunner().invoke(
        build_app(), ["catalog", "add", *arguments, "--config", str(config)], env={"POINTSMAN_DATA_DIR": ""}
    )


def test_update_and_revert(file: Path, data_dir: Path) -> None:
    assert packaged().date in run(data_dir).output
    result = run(data_dir, "update", "--force", "--from", str(file))
    assert result.exit_code == 0
    first, second = result.output.splitlines()
    assert first == f"in force: the catalog of {DATE}, sha256 {SUM}"
    assert second == "1 models at 1 provider, retired ones too; 1 canonical names that are still served"
    assert read_catalog(data_dir).catalog.date == DATE
    assert packaged().date in run(data_dir, "revert").output
    assert run(data_dir, "revert").exit_code == 1


def test_update_from_an_address(address: str, data_dir: Path) -> None:
    assert run(data_dir, "update", "--force", "--from", address).exit_code == 0
    assert read_catalog(data_dir).catalog.date == DATE


@pytest.mark.parametrize("checksum", ["00", "0" * 64])
def test_wrong_checksum_changes_nothing(file: Path, data_dir: Path, checksum: str) -> None:
    result = run(data_dir, "update", "--force", "--from", str(file), "--sha256", checksum)
    assert result.exit_code == 1
    assert ": its SHA-256 is" in result.output
    assert read_catalog(data_dir).catalog is packaged()


def test_checksum_is_required(file: Path, data_dir: Path) -> None:
    file.with_name("new.json.sha256").unlink()
    assert "set the checksum with --sha256" in run(data_dir, "update", "--force", "--from", str(file)).output
    assert run(data_dir, "update", "--force", "--from", str(file), "--sha256", SUM).exit_code == 0


def test_invalid_catalog_is_rejected(file: Path, data_dir: Path) -> None:
    file.write_bytes(b"{}")
    result = run(data_dir, "update", "--force", "--from", str(file), "--sha256", sha256(b"{}").hexdigest())
    assert result.exit_code == 1
    assert "is not a catalog" in result.output


def test_misuse_is_explained(file: Path, data_dir: Path) -> None:
    assert run(data_dir, "update").exit_code == 2
    assert run(data_dir, "revert", "--from", str(file)).exit_code == 2
    assert run(data_dir, "update", "--force", "--from", "http://example.com/x", "--sha256", SUM).exit_code == 2
    missing = run(data_dir, "update", "--force", "--from", str(file.with_name("missing")), "--sha256", SUM)
    assert missing.exit_code == 1
    assert "no such file" in missing.output


def test_default_folder_is_the_gateways(file: Path, tmp_path: Path) -> None:
    """Without a configuration file, the gateway keeps its data in the user's home. It would not see a catalog
    elsewhere."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "POINTSMAN_DATA_DIR": ""}
    done = CliRunner().invoke(build_app(), ["catalog", "update", "--force", "--from", str(file)], env=env)
    assert done.exit_code == 0, done.output
    assert read_catalog(default_data_dir(env)).catalog.date == DATE
    models = CliRunner().invoke(build_app(), ["models", "--limit", "1"], env=env)
    assert f"the catalog is of {DATE}" in models.output


def test_configuration_names_the_folder_without_reading_secrets(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "pointsman.yaml"
    config.write_text(
        "providers: {openai: env.NO_SUCH_KEY}\ngovernance: {virtual_keys: {me: env.NO_SUCH_VIRTUAL_KEY}}\n"
    )
    arguments = ["catalog", "update", "--force", "--from", str(file), "--config", str(config)]
    done = CliRunner().invoke(build_app(), arguments, env={"POINTSMAN_DATA_DIR": ""})
    assert done.exit_code == 0, done.output
    assert read_catalog(tmp_path / "data").catalog.date == DATE


def test_implausible_catalog_needs_force(file: Path, data_dir: Path) -> None:
    def update(date: str) -> Result:
        file.write_bytes(content(date))
        return run(data_dir, "update", "--from", str(file), "--sha256", sha256(content(date)).hexdigest())

    assert "is before that of the catalog in force" in update("2020-01-01").output
    assert "its date, 9999-01-01, is in the future" in update("9999-01-01").output
    shrunken = update(DATE)
    assert shrunken.exit_code == 1
    assert "it has nothing of " in shrunken.output
    assert "--force accepts it: `pointsman catalog update --from … --force`" in shrunken.output
    assert read_catalog(data_dir).catalog is packaged()


def test_added_model_is_in_the_overlay(tmp_path: Path) -> None:
    price = ("--price-input", "2", "--price-output", "8.5", "--price-cached", "0.2")
    result = add(tmp_path, "gpt-99", "--provider", "openai", *price, "--like", "gpt-5", "--context", "500000")
    assert result.exit_code == 0, result.output
    assert "openai/gpt-99 is in " in result.output
    assert "$2 in, $8.5 out per million tokens; 500,000 tokens of context; can " in result.output
    assert "clients request it as gpt-99\n" in result.output
    assert "loads it within seconds" in result.output
    overlay = (tmp_path / "data" / "catalog" / "overlay.yaml").read_text()
    assert "input_usd_per_million: 2, output_usd_per_million: 8.5, cached_input_usd_per_million: 0.2" in " ".join(
        overlay.split()
    )
    assert "priced_on: 20" in overlay
    again = add(tmp_path, "openai/gpt-99", "--retires-on", "2030-01-01", "--can", "prefill", "--cannot", "vision")
    assert "retires on 2030-01-01" in again.output
    same = add(tmp_path, "own-name", "--provider", "local", "--name", "gpt-4o", "--max-output", "5")
    assert "clients request it as gpt-4o; it is the same model as " in same.output
    shown = CliRunner().invoke(build_app(), ["catalog", "--config", str(tmp_path / "pointsman.yaml")])
    assert " and an overlay, sha256 " in shown.output
    config = str(tmp_path / "pointsman.yaml")
    for of_group in (["catalog", "--config", config, "diff"], ["catalog", "-c", config, "show"]):
        output = CliRunner().invoke(build_app(), of_group, env={"POINTSMAN_DATA_DIR": ""}).output
        assert "overlay" in output, "an option before the subcommand counts"


def test_mistake_changes_nothing(tmp_path: Path, data_dir: Path) -> None:
    assert "has a provider 'opnai'; did you mean 'openai'?" in add(tmp_path, "x", "--provider", "opnai").output
    assert "name the provider: --provider PROVIDER" in add(tmp_path, "x").output
    assert "is not a number of dollars" in add(tmp_path, "openai/x", "--price-input", "two").output
    assert "must be from 0 to 1,000,000" in add(tmp_path, "openai/x", "--price-input", "-1").output
    result = add(tmp_path, "openai/x", "--price-input", "2", "--name", "x")
    assert result.exit_code == 1
    assert "set both input_usd_per_million and output_usd_per_million" in result.output
    assert "nothing was changed" in result.output
    assert not (tmp_path / "data" / "catalog" / "overlay.yaml").exists()
    alone = run(data_dir, "add", "openai/x", "--context", "5", "--name", "x")
    assert "loads it at SIGHUP" in alone.output
    assert "no price is known" in alone.output


def test_other_spelling_is_the_known_model(tmp_path: Path) -> None:
    price = ("--price-input", "1", "--price-output", "2")
    for model in ("GPT-4O", "openai/gpt-4o", "openai/GPT 4o"):
        output = add(tmp_path, model, "--provider", "openai", *price).output
        assert "openai/gpt-4o is in " in output
        assert ("so this entry is changed" in output) is (model != "openai/gpt-4o")
    assert "openrouter/openai/gpt-4o is in " in add(tmp_path, "openai/gpt-4o", "-p", "openrouter", *price).output
    assert "openrouter/openrouter/auto is in " in add(tmp_path, "openrouter/auto", "-p", "openrouter", *price).output
    misspelt = add(tmp_path, "gpt-4o-minni", "--provider", "openai", *price)
    assert misspelt.exit_code == 1
    assert "did you mean 'gpt-4o-mini'?" in misspelt.output


def test_price_per_token_is_refused(tmp_path: Path) -> None:
    price = ("--price-input", "0.000002", "--price-output", "0")
    result = add(tmp_path, "openai/gpt-4o", *price)
    assert result.exit_code == 2
    assert "prices are per million tokens; write 2, or" in " ".join(result.output.replace("│", " ").split())
    assert add(tmp_path, "openai/gpt-4o", *price, "--force").exit_code == 0


def test_model_without_a_provider_of_the_configuration_is_noted(tmp_path: Path) -> None:
    output = add(tmp_path, "claude-9", "--provider", "anthropic", "--like", "claude-sonnet-4-6").output
    assert "no provider of the configuration has the catalog of anthropic, so clients cannot request it" in output
    assert "clients request it as" not in output


def test_differences_are_printed(tmp_path: Path, file: Path) -> None:
    price = ("--price-input", "2", "--price-output", "8")
    add(tmp_path, "gpt-4o", "--provider", "openai", *price, "--retires-on", "never")
    add(tmp_path, "gpt-99", "--provider", "openai", *price, "--context", "5")
    config = ("--config", str(tmp_path / "pointsman.yaml"))
    text = CliRunner().invoke(build_app(), ["catalog", "diff", *config]).output
    assert "+ openai/gpt-99  $2 in, $8 out per million tokens" in text
    assert "-20 %" in text
    assert "no date" in text
    data = json.loads(CliRunner().invoke(build_app(), ["catalog", "diff", str(file), *config, "--json"]).stdout)
    assert data["added"] == ["openai/brand-new"]
    assert len(data["removed"]) > 1000
    assert run(tmp_path / "empty", "diff").output.endswith("no differences\n")
    assert run(tmp_path, "diff", str(tmp_path / "absent")).exit_code == 1
    (tmp_path / "bad").write_text("{}")
    assert "is not a catalog" in run(tmp_path, "diff", str(tmp_path / "bad")).output


def test_schema_of_the_overlay_is_printed() -> None:
    schema = json.loads(CliRunner().invoke(build_app(), ["catalog", "schema"]).stdout)
    assert "models" in schema["properties"]


def test_option_of_the_data_folder_outranks_that_of_the_configuration(tmp_path: Path) -> None:
    config, other = ("--config", str(tmp_path / "pointsman.yaml")), tmp_path / "other"
    result = add(tmp_path, "gpt-99", "--provider", "openai", "--like", "gpt-5", "--data-dir", str(other))
    assert result.exit_code == 0, result.output
    assert (other / "catalog" / "overlay.yaml").exists()
    assert not (tmp_path / "data").exists()
    assert "and an overlay" in run(other, "show", *config).output
    found = CliRunner().invoke(build_app(), ["models", "gpt-99", *config, "--data-dir", str(other), "--no-secrets"])
    assert "gpt-99" in found.stdout
    named = tmp_path / "named.yaml"
    (tmp_path / "pointsman.yaml").write_text(f"{CONFIG}catalog: {{overlay: {named.name}}}\n")
    named.write_text("models: {openai/gpt-98: {like: gpt-5}}\n")
    assert "openai/gpt-98" in run(other, "diff", *config).output
