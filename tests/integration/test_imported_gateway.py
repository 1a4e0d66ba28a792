"""A gateway that replaces LiteLLM: its clients keep their keys, and their budgets keep what was spent there."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from typer.testing import CliRunner

from integration.databases import database
from integration.gateway import ADMIN_TOKEN, chat, run, serving, until
from integration.governance import settings
from pointsman.cli import build_app
from pointsman.simulate import SimulatedProvider

KEYS = 1000
TABLES = """
CREATE TABLE "LiteLLM_BudgetTable" (budget_id text PRIMARY KEY, max_budget float8, budget_duration text);
CREATE TABLE "LiteLLM_TeamTable" (
    team_id text PRIMARY KEY, team_alias text, max_budget float8, budget_duration text, budget_reset_at timestamp,
    spend float8 DEFAULT 0, models text[] DEFAULT '{}', rpm_limit bigint, blocked boolean DEFAULT false);
CREATE TABLE "LiteLLM_VerificationToken" (
    token text PRIMARY KEY, key_alias text, team_id text, user_id text, spend float8 DEFAULT 0, max_budget float8,
    budget_duration text, budget_reset_at timestamp, models text[] DEFAULT '{}', expires timestamp, blocked boolean);
"""


def secret(number: int) -> str:
    return f"sk-litellm-{number:04}"


def token(number: int) -> str:
    return hashlib.sha256(secret(number).encode()).hexdigest()


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(TABLES)
        reset = datetime.now() + timedelta(days=20)  # noqa: DTZ005 -- LiteLLM's columns have no zone
        await connection.execute("INSERT INTO \"LiteLLM_TeamTable\" (team_id, team_alias) VALUES ('t-1', 'research')")
        rows = [
            # Key 0 has spent $29.90 of $30, key 1 nothing, and key 2 is blocked.
            (token(number), f"app-{number}", "t-1", 29.9 if number == 0 else 0.0, 30.0, "30d", reset, number == 2)
            for number in range(KEYS)
        ]
        await connection.executemany(
            'INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, team_id, spend, max_budget, budget_duration, '
            "budget_reset_at, blocked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            rows,
        )
    finally:
        await connection.close()


def pointsman(*arguments: str, **environ: str) -> str:
    result = CliRunner().invoke(build_app(), list(arguments), env={"POINTSMAN_ADMIN_TOKEN": ADMIN_TOKEN, **environ})
    assert result.exit_code == 0, result.output
    return result.output


def test_keys_of_litellm_go_on_with_the_rest_of_their_budgets(tmp_path: Path) -> None:
    async def main() -> None:
        async with database() as url, SimulatedProvider(settings()) as provider:
            await fill(url)
            params = {"model": "openai/gpt-4o-mini", "api_base": provider.base_url, "api_key": "os.environ/UP"}
            price = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}  # dear, so that one request tells
            model = {"model_name": "chat", "litellm_params": params, "model_info": price}
            source, into = tmp_path / "config.yaml", tmp_path / "into"
            source.write_text(yaml.safe_dump({"model_list": [model]}))
            output = await _thread("import", "litellm", str(source), "--into", str(into), database=url)
            assert f"{KEYS - 1} keys go on working" in output
            found = yaml.safe_load((into / "pointsman.yaml").read_text())
            found["governance"]["keys_file"] = str(into / "keys.jsonl")
            providers = found.pop("providers")
            providers["openai"] |= {"type": "openai", "keys": {"default": ""}}
            async with serving(as_process=True, provider_settings=providers, **found) as gateway:
                await until(lambda: gateway.console_url, "the console has an address")
                carried = str(into / "carried.json")
                amounts = json.loads(Path(carried).read_text())
                assert amounts == [{"owner": "virtual_key:app-0", "per": "month", "usd": "29.9"}]
                assert await _thread("carry", carried, "--url", gateway.console_url) == "carried 1 of 1 amounts\n"
                body = chat(max_tokens=100)  # a dollar
                statuses = [
                    (await gateway.ask(body, headers={"authorization": f"Bearer {secret(number)}"})).status
                    for number in (0, 1, 2, KEYS - 1)
                ]
                assert statuses == [402, 200, 401, 200]
                refused = await gateway.ask(body, headers={"authorization": f"Bearer {secret(0)}"})
                assert "budget of $30 per month" in refused.body.decode()

    run(main())


async def _thread(*arguments: str, database: str = "") -> Any:
    import asyncio

    environ = {"POINTSMAN_IMPORT_DATABASE": database.replace("+asyncpg", "")} if database else {}
    return await asyncio.to_thread(lambda: pointsman(*arguments, **environ))
