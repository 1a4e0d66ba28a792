"""`pointsman explain`: prints the plan of the routing code, and rejections in the client's words."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli import build_app

CONFIG = """
providers:
  openai: env.OPENAI_API_KEY
  local: {type: vllm, base_url: "http://127.0.0.1:9000/v1"}
models:
  chat:
    strategy: weighted
    targets: [{model: openai/a, weight: 1}, {model: local/b, weight: 1}, {model: local/c, weight: 0}]
    fallbacks: [openai/d]
governance: {require_key: false}
"""


def run(*arguments: str, stdin: str | None = None) -> Result:
    environ = {"OPENAI_API_KEY": "sk-never-printed", "GROQ_API_KEY": None}
    return CliRunner().invoke(build_app(), ["explain", *arguments], env=environ, input=stdin)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "pointsman.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_model_name_is_explained(config: str) -> None:
    result = run("-c", config, "--model", "chat", "--seed", "1")
    assert result.exit_code == 0
    assert result.output.startswith("strategy weighted, from model chat")
    assert "openai/d  (weight 1, fallback, at most an unknown cost and " in result.output
    assert "local/c excluded (drained): its weight is 0" in result.output
    assert "never-printed" not in result.output


def test_seed_makes_the_plan_repeatable(config: str) -> None:
    plans = [run("-c", config, "-m", "chat", "--seed", str(seed)).output for seed in range(20)]
    assert plans == [run("-c", config, "-m", "chat", "--seed", str(seed)).output for seed in range(20)]
    assert {plan.splitlines()[1].split()[1] for plan in plans} == {"openai/a", "local/b"}


def test_request_is_read_from_a_file_or_standard_input(config: str, tmp_path: Path) -> None:
    request = {"model": "openai/x", "messages": [{"role": "user", "content": "hi"}], "fallbacks": ["local/y"]}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
    for result in (
        run("-c", config, str(file), "--json"),
        run("-c", config, "-", "--json", stdin=json.dumps(request)),
    ):
        attempts = json.loads(result.output)["attempts"]
        assert [(item["provider"], item["model"], item["provenance"]) for item in attempts] == [
            ("openai", "x", "target"),
            ("local", "y", "fallback"),
        ]


def test_header_and_path_are_used_for_routing(config: str) -> None:
    result = run("-c", config, "-m", "x", "--path", "/v1/embeddings", "-H", "x-pointsman-provider: local", "--json")
    assert json.loads(result.output)["attempts"][0]["provider"] == "local"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "nope"], "rejected: 404 model_not_found"),
        (["-m", "chat", "--path", "/v1/nowhere/at/all"], "rejected: 404 unknown_path"),
        (["-m", "chat", "-H", "x-pointsman-timeout-ms: soon"], "rejected: 400 invalid_request"),
    ],
)
def test_rejections_are_explained(config: str, arguments: list[str], message: str) -> None:
    result = run("-c", config, *arguments)
    assert result.exit_code == 1
    assert message in result.output


def test_malformed_request_is_rejected_as_by_the_gateway(config: str) -> None:
    result = run("-c", config, "-", stdin='{"model": "chat", "model": "chat"}')
    assert result.exit_code == 1
    assert "appears more than once" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-m", "chat", "request.json"],
        ["missing.json"],
        ["-m", "chat", "-H", "nothing"],
        ["-m", "chat", "--path", "/v1/models"],
        ["--stream", "-"],
    ],
)
def test_misuse_is_explained(config: str, arguments: list[str]) -> None:
    assert run("-c", config, *arguments).exit_code in (1, 2)


GOVERNED = """
providers:
  local: {type: vllm, base_url: "http://127.0.0.1:9000/v1"}
models: {chat: [local/free, local/priced, local/dear]}
pricing:
  overrides:
    - {model: local/priced, input_usd_per_million: 1, output_usd_per_million: 1, max_output_tokens: 100}
    - {model: local/dear, input_usd_per_million: 1000, output_usd_per_million: 1000, max_output_tokens: 100}
governance:
  virtual_keys:
    me: {value: "sha256:DIGEST_a", budgets: [{limit_usd: 0.01, per: day}]}
    near: {value: "sha256:DIGEST_b", near_limit: shorten, budgets: [{limit_usd: 0.20, per: day}]}
    past: {value: "sha256:DIGEST_c", expires_at: 2020-01-01T00:00:00Z}
"""


def test_unpayable_candidates_are_excluded_as_for_a_request(config: str) -> None:
    Path(config).write_text(re.sub("DIGEST_(.)", lambda found: found[1] * 64, GOVERNED))
    result = run("-c", config, "-m", "chat", "--key", "me")
    assert result.exit_code == 0, result.output
    assert "1. local/priced" in result.output
    assert "2. " not in result.output
    assert "local/free excluded (billing): the price of local/free is unknown, and a budget applies" in result.output
    assert "local/dear excluded (billing): the budget of $0.01 per day" in result.output

    result = run("-c", config, "-m", "local/free", "--key", "me")
    assert result.exit_code == 1
    assert result.output.startswith("rejected: 403 price_unknown")
    result = run("-c", config, "-m", "local/dear", "--key", "me")
    assert result.output.startswith("rejected: 402 budget_exceeded")
    assert run("-c", config, "-m", "local/free").exit_code == 0, "no budget applies without a key"

    result = run("-c", config, "-m", "local/dear", "--key", "near")
    assert result.exit_code == 0
    assert "local/dear shortened (billing): the answer is limited to " in result.output


def test_expired_key_is_rejected(config: str) -> None:
    Path(config).write_text(re.sub("DIGEST_(.)", lambda found: found[1] * 64, GOVERNED))
    result = run("-c", config, "-m", "local/free", "--key", "past")
    assert result.exit_code == 1
    assert result.output == "rejected: 401 invalid_api_key: the virtual key has expired; present another one\n"


def test_invalid_configuration_ends_the_command(config: str) -> None:
    Path(config).write_text("providers: 3")
    result = run("-c", config, "-m", "chat")
    assert result.exit_code == 1
    assert "pointsman.yaml:1: error: providers: must be a mapping" in result.output


def test_default_configuration_is_that_of_serve() -> None:
    result = run("-m", "gpt-4o")
    assert result.exit_code == 0
    assert "1. openai/gpt-4o" in result.output


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/openai/v1/responses?x=1"])
def test_request_that_is_made_from_a_model_can_be_translated(path: str, tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "version: 1\n"
        "providers: {openai: env.OPENAI_API_KEY, anthropic: env.ANTHROPIC_API_KEY}\n"
        "models: {chat: [openai/gpt-4o, anthropic/claude-sonnet-4-5]}\n"
        "governance: {virtual_keys: {me: {value: env.CLIENT_KEY}}}\n"
    )
    result = run("-c", str(file), "-m", "claude-via-chat", "--no-secrets", "--path", path)
    assert result.exit_code == 0, result.output
    assert "1. openai/gpt-4o" in result.output
    assert "2. anthropic/claude-sonnet-4-5" in result.output


def test_source_of_a_price_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    override = "{model: openai/own, input_usd_per_million: 1, output_usd_per_million: 1}"
    targets = "models: {chat: [openai/gpt-99, openai/gpt-5.4, openai/own, local/b]}"
    file.write_text(
        CONFIG.partition("models:")[0]
        + f"{targets}\ngovernance: {{require_key: false}}\ncatalog: {{overlay: over.yaml}}\n"
        + f"pricing: {{overrides: [{override}]}}\n"
    )
    price = "{name: gpt-99, input_usd_per_million: 2, output_usd_per_million: 8}"
    (tmp_path / "over.yaml").write_text(f"models: {{openai/gpt-99: {price}}}")
    lines = run("-c", str(file), "--model", "chat").output.splitlines()
    assert "price from the overlay" in next(line for line in lines if "openai/gpt-99" in line)
    assert sum("price from" in line for line in lines) == 1
    data = json.loads(run("-c", str(file), "--model", "chat", "--json").output)
    sources = {one["model"]: one.get("price_from") for one in data["attempts"]}
    assert sources == {"gpt-99": "overlay", "gpt-5.4": "catalog", "own": "pricing.overrides", "b": None}
