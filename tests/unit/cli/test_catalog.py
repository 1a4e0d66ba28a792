"""`pointsman catalog`: update from a file or an address, and revert."""

import http.server
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

NEW = content("9999-01-01")
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
    return CliRunner().invoke(build_app(), ["catalog", *arguments, "--data-dir", str(data_dir)])


def test_update_and_revert(file: Path, data_dir: Path) -> None:
    assert packaged().date in run(data_dir).output
    result = run(data_dir, "update", "--from", str(file))
    assert result.exit_code == 0
    assert result.output == f"in force: the catalog of 9999-01-01 with 1 models, sha256 {SUM}\n"
    assert read_catalog(data_dir).catalog.date == "9999-01-01"
    assert packaged().date in run(data_dir, "revert").output
    assert run(data_dir, "revert").exit_code == 1


def test_update_from_an_address(address: str, data_dir: Path) -> None:
    assert run(data_dir, "update", "--from", address).exit_code == 0
    assert read_catalog(data_dir).catalog.date == "9999-01-01"


@pytest.mark.parametrize("checksum", ["00", "0" * 64])
def test_wrong_checksum_changes_nothing(file: Path, data_dir: Path, checksum: str) -> None:
    result = run(data_dir, "update", "--from", str(file), "--sha256", checksum)
    assert result.exit_code == 1
    assert ": its SHA-256 is" in result.output
    assert read_catalog(data_dir).catalog is packaged()


def test_checksum_is_required(file: Path, data_dir: Path) -> None:
    file.with_name("new.json.sha256").unlink()
    assert "set the checksum with --sha256" in run(data_dir, "update", "--from", str(file)).output
    assert run(data_dir, "update", "--from", str(file), "--sha256", SUM).exit_code == 0


def test_invalid_catalog_is_rejected(file: Path, data_dir: Path) -> None:
    file.write_bytes(b"{}")
    result = run(data_dir, "update", "--from", str(file), "--sha256", sha256(b"{}").hexdigest())
    assert result.exit_code == 1
    assert "is not a catalog" in result.output


def test_misuse_is_explained(file: Path, data_dir: Path) -> None:
    assert run(data_dir, "update").exit_code == 2
    assert run(data_dir, "revert", "--from", str(file)).exit_code == 2
    assert run(data_dir, "update", "--from", "http://example.com/x", "--sha256", SUM).exit_code == 2
    missing = run(data_dir, "update", "--from", str(file.with_name("missing")), "--sha256", SUM)
    assert missing.exit_code == 1
    assert "no such file" in missing.output


def test_default_folder_is_the_gateways(file: Path, tmp_path: Path) -> None:
    """Without a configuration file, the gateway keeps its data in the user's home. It would not see a catalog
    elsewhere."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "POINTSMAN_DATA_DIR": ""}
    done = CliRunner().invoke(build_app(), ["catalog", "update", "--from", str(file)], env=env)
    assert done.exit_code == 0, done.output
    assert read_catalog(default_data_dir(env)).catalog.date == "9999-01-01"
    models = CliRunner().invoke(build_app(), ["models", "--limit", "1"], env=env)
    assert "as of 9999-01-01" in models.output


def test_configuration_names_the_folder_without_reading_secrets(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "pointsman.yaml"
    config.write_text(
        "providers: {openai: env.NO_SUCH_KEY}\ngovernance: {virtual_keys: {me: env.NO_SUCH_VIRTUAL_KEY}}\n"
    )
    arguments = ["catalog", "update", "--from", str(file), "--config", str(config)]
    done = CliRunner().invoke(build_app(), arguments, env={"POINTSMAN_DATA_DIR": ""})
    assert done.exit_code == 0, done.output
    assert read_catalog(tmp_path / "data").catalog.date == "9999-01-01"
