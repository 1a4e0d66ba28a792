"""`pointsman models`: its results and exit status."""

import json
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner, Result

from pointsman.cli import build_app

CONFIG = """
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
governance: {require_key: false}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["models", *arguments], env={"OPENAI_API_KEY": "x", "GROQ_API_KEY": "y"})


def test_table_lists_providers_cheapest_first() -> None:
    result = run("gpt-4o-mini", "-p", "openai", "-p", "azure")
    assert result.exit_code == 0
    assert "gpt-4o-mini" in result.output
    assert "0.15" in result.output
    assert "in dollars per million tokens" in result.output


def test_data_and_filters() -> None:
    result = run("--json", "--can", "tools", "--can", "vision", "--context", "200000", "--max-usd", "1", "-n", "0")
    models = json.loads(result.stdout)
    assert models
    costs = []
    for model in models:
        assert {"tools", "vision"} <= set(model["capabilities"])
        assert model["context"] >= 200_000
        rates = model["price_pico_usd_per_token"]["rates"]
        costs.append((3 * rates["input"] + rates["output"]) // 4)
    assert costs == sorted(costs)
    assert costs[-1] <= 1_000_000


def test_configuration_limits_the_providers(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(CONFIG)
    models = json.loads(run("--json", "-n", "0", "--config", str(file)).stdout)
    assert {model["provider"] for model in models} == {"openai", "groq"}


def test_sources_of_fields_are_printed() -> None:
    (model,) = json.loads(run("gpt-4o-mini-2024-07-18", "-p", "openai", "--json", "--sources").stdout)
    assert model["sources"]["price input"] == "genai-prices"
    assert "price input: genai-prices" in run("gpt-4o-mini-2024-07-18", "-p", "openai", "--sources").output


def test_empty_result_and_misuse_exit_with_an_error() -> None:
    assert run("no-such-model").exit_code == 1
    assert "the catalog has no model 'gpt4o'; did you mean 'gpt-4o'" in run("gpt4o").output
    assert run("zzz").output == "the catalog has no model 'zzz'\n"
    assert "the catalog has no provider 'azur'; did you mean 'azure'?" in run("gpt-4o", "-p", "azur").output
    assert "no model meets all of these options" in run("gpt-4o", "-p", "groq").output
    assert run("--can", "fly").exit_code == 2
    limited = run("claude", "-n", "1")
    assert "more; narrow the search" in limited.output


CALLABLE = """
providers:
  openai:
    keys: {main: env.OPENAI_API_KEY, mini: {value: env.GROQ_API_KEY, serves: [gpt-4o-mini], tags: {region: eu}}}
models: {chat: [openai/gpt-4o-mini]}
governance: {require_key: false}
"""


def test_callable_models_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(CALLABLE)
    text = run("--callable", "--config", str(file), "gpt-4o-mini", "-n", "2")
    assert text.exit_code == 0
    assert "chat, gpt-4o-mini, openai/gpt-4o-mini" in text.output
    assert "more; narrow the search" in text.output
    assert "openai (key mini), " in text.output
    assert "models, such as " in text.output
    assert "it is not in `serves` of the key" in text.output
    rows = json.loads(run("--callable", "--config", str(file), "--json", "-n", "0", "-p", "openai").stdout)
    places = {(row["key"], row["model"]): row for row in rows}
    mini = places["mini", "gpt-4o-mini"]
    assert (mini["callable"], mini["reason"], mini["tags"], mini["sent_as"]) == (True, "", ["region=eu"], "gpt-4o-mini")
    assert mini["price_pico_usd_per_token"]["rates"]["input"] == 150_000
    assert places["mini", "gpt-4o"]["callable"] is False
    assert run("--callable", "--config", str(file), "no-such-model").exit_code == 1
    assert json.loads(run("--callable", "--config", str(file), "--json", "-p", "groq").stdout) == []


PUBLIC = """
providers: {openai: env.OPENAI_API_KEY, local: {type: vllm, base_url: "http://127.0.0.1:9/v1"}}
models: {chat: {targets: [openai/gpt-5.4, local/free], fallbacks: [local/unknown]}, draw: [openai/gpt-image-2]}
governance: {require_key: false}
pricing: {overrides: [{model: local/free, input_usd_per_million: 0, output_usd_per_million: 0}]}
"""


def test_public_names_are_listed_alone(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(PUBLIC)
    lines = run("--public", "--config", str(file)).output.splitlines()
    rows = {tuple(line.split()[:3]): line for line in lines}
    assert rows["chat", "openai/gpt-5.4", "target"].rstrip().endswith("catalog")
    assert "free" in rows["chat", "local/free", "target"]
    assert rows["chat", "local/free", "target"].rstrip().endswith("pricing.overrides")
    assert "no price: the catalog does not know this model" in rows["chat", "local/unknown", "fallback"]
    (chat,) = json.loads(run("--public", "--config", str(file), "--json", "chat").stdout)
    assert [one["price_source"] for one in chat["candidates"]] == ["catalog", "pricing.overrides", ""]
    assert run("--public", "--config", str(file), "nothing").exit_code == 1


def test_model_of_the_overlay_is_shown_with_its_age(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    day = datetime.now(UTC).date()
    price = f"name: gpt-99, input_usd_per_million: 2, output_usd_per_million: 8, priced_on: {day}"
    (folder / "overlay.yaml").write_text(f"models: {{openai/gpt-99: {{{price}}}}}")
    assert "0 d, overlay" in run("gpt-99", "--data-dir", str(tmp_path)).output
    (model,) = json.loads(run("gpt-99", "--data-dir", str(tmp_path), "--json").stdout)
    assert (model["price_source"], model["priced_on"], model["note"]) == ("overlay", day.isoformat(), "")
    (folder / "overlay.yaml").write_text("models: {openai/gpt-99: {contxt: 5}}")
    assert "did you mean" in run("gpt-99", "--data-dir", str(tmp_path)).output or run("gpt-99").exit_code == 1


def test_missing_and_free_prices_are_explained() -> None:
    models = json.loads(run("--json", "-n", "0").stdout)
    notes = {model["note"] for model in models if model["price_pico_usd_per_token"] is None}
    assert notes
    assert all(note.startswith("no price: ") for note in notes)
    assert any(model["note"] == "free" for model in models)
