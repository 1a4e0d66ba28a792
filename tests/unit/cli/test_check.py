"""`pointsman check`: its output and exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli import build_app

GOOD = """
providers:
  openai: env.OPENAI_API_KEY
  local: {type: vllm, base_url: "http://127.0.0.1:9000/v1", serves: [smol]}
models:
  chat:
    strategy: weighted
    targets: [{model: openai/gpt-5.4, weight: 3, variant: x}, {model: local/b}, {model: openai/gpt-5.2, weight: 0}]
    fallbacks: [local/d]
governance: {virtual_keys: {me: env.CLIENT_KEY}}
"""
ENVIRON = {"OPENAI_API_KEY": "sk-never-printed", "CLIENT_KEY": "pm-never-printed-either"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["check", *arguments], env={**ENVIRON, "MISSING": None})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pointsman.yaml"
    path.write_text(GOOD)
    return path


def test_file_may_be_named_in_the_words_of_serve(file: Path) -> None:
    assert run("--config", str(file)).output == run(str(file)).output
    twice = run(str(file), "-c", str(file))
    assert (twice.exit_code, "name the file once" in twice.output) == (2, True)


def test_valid_file_prints_a_summary(file: Path) -> None:
    result = run(str(file))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{file}:8: note: models.chat.targets[2].weight: weight 0: the target is drained",
        f"{file}: usable, no errors, no warnings",
        "",
        "listens on   127.0.0.1:8080",
        "accepts      1 virtual key",
        "providers",
        "  openai  (openai)  https://api.openai.com:443/v1  1 key",
        "  local  (vllm)  http://127.0.0.1:9000/v1  1 key, serves also smol",
        "models",
        "  chat  weighted",
        "    openai/gpt-5.4  variant x, 75.0%",
        "    local/b  25.0%, no price: the catalog does not know this model",
        "    openai/gpt-5.2  drained",
        "    local/d  fallback, no price: the catalog does not know this model",
    ]


def test_invalid_file_prints_every_problem(file: Path) -> None:
    file.write_text(GOOD.replace("env.OPENAI_API_KEY", "env.MISSING").replace("variant", "varient"))
    result = run(str(file))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{file}:3: error: providers.openai: the environment variable MISSING is not set",
        f"{file}:8: error: models.chat.targets[0].varient: unknown field; did you mean 'variant'?",
        f"{file}:8: note: models.chat.targets[2].weight: weight 0: the target is drained",
        f"{file}: not usable, 2 errors, no warnings",
    ]


def test_warnings_fail_only_when_strict(file: Path) -> None:
    file.write_text(GOOD.replace("127.0.0.1:9000", "10.0.0.1:9000"))
    assert run(str(file)).exit_code == 0
    strict = run(str(file), "--strict")
    assert strict.exit_code == 1
    assert f"{file}: usable, no errors, 1 warning" in strict.output


def test_json_output(file: Path) -> None:
    result = run(str(file), "--json")
    data = json.loads(result.output)
    assert result.exit_code == 0
    assert data["passed"] is True
    assert data["problems"][0]["path"] == "models.chat.targets[2].weight"
    assert data["problems"][0]["line"] == 8
    assert data["models"]["chat"]["targets"][0] == {
        "candidate": "openai/gpt-5.4",
        "weight": 3.0,
        "variant": "x",
        "price_note": "",
    }
    assert data["providers"]["local"]["keys"] == ["default"]
    assert data["virtual_keys"] == ["me"]
    assert "never-printed" not in result.output
    file.write_text("providers: 3")
    result = run(str(file), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "passed": False,
        "problems": [
            {"severity": "error", "path": "providers", "line": 1, "message": "must be a mapping, not a number"}
        ],
    }


def test_schema_is_printed() -> None:
    result = run("--schema")
    assert result.exit_code == 0
    assert json.loads(result.output)["title"] == "Document"


def test_file_is_required(tmp_path: Path) -> None:
    assert run().exit_code == 2
    missing = run(str(tmp_path / "missing.yaml"))
    assert missing.exit_code == 1
    assert "cannot be read: No such file or directory" in missing.output


@pytest.mark.parametrize(
    "command", [["check"], ["explain", "--model", "chat", "--config"], ["models", "gpt", "--config"]]
)
def test_no_secrets_checks_a_file_without_them(command: list[str], tmp_path: Path) -> None:
    """CI has no secrets: no variable, no secret file, no certificate."""
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        """
server: {tls: {cert_file: missing.pem, key_file: missing.key}}
egress: {proxy: env.MISSING_PROXY, ca_file: missing-ca.pem}
store: {url: env.MISSING_STORE}
providers: {openai: {keys: {a: env.MISSING, b: "file:missing", c: env.OTHER}}}
models: {chat: [openai/gpt-5.4]}
governance: {virtual_keys: {me: {value: env.MISSING_KEY, previous_value: env.OTHER_KEY}}}
"""
    )
    without = CliRunner().invoke(build_app(), [*command, str(file)])
    assert without.exit_code != 0
    assert "the environment variable MISSING is not set" in without.output
    result = CliRunner().invoke(build_app(), [*command, str(file), "--no-secrets"])
    assert result.exit_code == 0, result.output
    assert "error" not in result.output.replace("no errors", "")


def test_no_secrets_still_finds_problems_of_the_file(file: Path) -> None:
    file.write_text(GOOD.replace("env.OPENAI_API_KEY", "sk-written-into-the-file"))
    result = run(str(file), "--no-secrets")
    assert result.exit_code == 1
    assert "a secret must not be in this file" in result.output
