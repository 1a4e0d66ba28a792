"""`pointsman import`: the files that it writes, and its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli import build_app

GOOD = {
    "model_list": [{"model_name": "chat", "litellm_params": {"model": "openai/gpt-5.4", "api_key": "sk-canary"}}],
    "litellm_settings": {"cache": True},
}


def invoke(folder: Path, document: Any = GOOD, origin: str = "litellm", *more: str) -> Result:
    (folder / "source").write_text(document if isinstance(document, str) else json.dumps(document))
    arguments = ["import", origin, str(folder / "source"), "--into", str(folder / "into"), *more]
    return CliRunner().invoke(build_app(), arguments)


def words(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_folder_gets_a_usable_configuration_a_report_and_the_secrets(tmp_path: Path) -> None:
    result = invoke(tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == ["pointsman.yaml", "report.md", "secrets.env"]
    assert "usable; report.md has 1 things to do, 1 without a counterpart, and 1 that work differently" in words(result)
    assert "sk-canary" not in result.output
    assert (tmp_path / "into" / "secrets.env").read_text() == "OPENAI_API_KEY='sk-canary'\n"
    checked = CliRunner().invoke(build_app(), ["check", str(tmp_path / "into" / "pointsman.yaml"), "--no-secrets"])
    assert checked.exit_code == 0, checked.output


def test_folder_with_files_is_not_overwritten(tmp_path: Path) -> None:
    assert invoke(tmp_path).exit_code == 0
    before = (tmp_path / "into" / "pointsman.yaml").read_text()
    again = invoke(tmp_path, {"model_list": []})
    assert (again.exit_code, "is not an empty folder" in words(again)) == (2, True)
    assert (tmp_path / "into" / "pointsman.yaml").read_text() == before


@pytest.mark.parametrize(
    ("document", "origin", "status", "expected"),
    [
        ({"providers": {}}, "litellm", 1, "it has no list `model_list`"),
        ({"model_list": []}, "bifrost", 1, "it has no mapping `providers`"),
        ("a: [", "litellm", 2, "is neither YAML nor JSON"),
        ("[1]", "litellm", 2, "is not a mapping of sections"),
        ({}, "portkey", 2, "'portkey' is none of bifrost, litellm"),
    ],
)
def test_unusable_source_is_explained(document: Any, origin: str, status: int, expected: str, tmp_path: Path) -> None:
    result = invoke(tmp_path, document, origin)
    assert (result.exit_code, expected in words(result)) == (status, True), result.output
    assert not (tmp_path / "into").exists()


def test_unreadable_database_is_explained_without_its_address(tmp_path: Path) -> None:
    address = "postgresql://u:canary@127.0.0.1:1/x"
    result = invoke(tmp_path, GOOD, "litellm", "--database", address)
    assert (result.exit_code, "the database cannot be read" in words(result)) == (1, True), result.output
    assert "canary" not in result.output
    wrong = invoke(tmp_path, GOOD, "litellm", "--database", "mysql://x")
    assert "must begin with postgresql://" in words(wrong)
    bifrost = invoke(tmp_path, {"providers": {}}, "bifrost", "--database", address)
    assert (bifrost.exit_code, "the database of Bifrost is not read" in words(bifrost)) == (2, True)
