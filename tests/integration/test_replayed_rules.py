"""`pointsman explain --rules` predicts what a gateway with these rules does with the same requests."""

import asyncio
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from fakes.clock import PATIENCE_S
from integration.gateway import ADMIN_TOKEN, Gateway, chat, run, serving
from integration.governance import bearer, governance
from pointsman.cli import build_app
from pointsman.simulate import Settings

TWO = {"alpha": Settings(), "beta": Settings()}
MODELS = {"chat": ["alpha/gpt-4o-mini"], "best": ["beta/gpt-4o-mini", "alpha/gpt-4o-mini"]}
OLD = [{"name": "silver", "when": 'headers["x-tier"] == "silver"', "targets": ["beta/gpt-4o-mini"]}]
NEW = [
    {"name": "hot", "scope": "team:red", "when": "params.temperature > 0.5", "model": "best", "chain": True},
    {"name": "best", "when": 'model == "best"', "targets": ["beta/gpt-4o-mini"]},
    {"name": "gold", "when": 'headers["x-tier"] == "gold"', "targets": ["beta/gpt-4o-mini"]},
    {"name": "closed", "when": 'request_tags["job"] == "night"', "refuse": {"message": "nothing at night"}},
]
KEYS = governance({"r": {"team": "red"}, "b": {"team": "blue"}}, teams={"red": {}, "blue": {}})
REQUESTS = list(product("rb", (None, "silver", "gold"), (None, 0.9), (None, "night")))
FACTS = ["headers.x-tier", "params.temperature"]


async def ask_all(gateway: Gateway) -> dict[str, str]:
    """Send all requests. Return the provider or the error code of each, by its id, in their order."""
    found: dict[str, str] = {}
    for key, tier, temperature, job in REQUESTS:
        headers = bearer(key)
        headers |= {"x-tier": tier} if tier is not None else {}
        headers |= {"x-pointsman-tag-job": job} if job is not None else {}
        fields: dict[str, Any] = {"temperature": temperature} if temperature is not None else {}
        answer = await gateway.ask(chat(**fields), headers=headers)
        is_ok = answer.status == 200
        went_to = f"{answer.headers['x-pointsman-provider']}/gpt-4o-mini" if is_ok else answer.json["error"]["code"]
        found[answer.headers["x-pointsman-request-id"]] = went_to
    return found


async def wait_for_store(gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len((await gateway.admin("/api/v1/records?limit=500")).json) < len(REQUESTS):
            await asyncio.sleep(0.05)


async def command(gateway: Gateway, *arguments: str) -> str:
    def invoke() -> str:
        line = ["explain", *arguments, "--url", gateway.console_url]
        done = CliRunner().invoke(build_app(), line, env={"POINTSMAN_ADMIN_TOKEN": ADMIN_TOKEN})
        assert done.exit_code == 0, done.output
        return done.output

    return await asyncio.to_thread(invoke)


def test_prediction_is_what_a_gateway_with_these_rules_does(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    sections: Mapping[str, Any] = {"models": MODELS, "governance": KEYS, "as_process": True}

    async def main() -> None:
        async with serving(providers=TWO, routing={"rules": OLD}, logging={"facts": FACTS}, **sections) as gateway:
            before = await ask_all(gateway)
            await wait_for_store(gateway)
            document = json.loads(gateway.config_file.read_text())
            file.write_text(json.dumps({**document, "routing": {"rules": NEW}}))
            found = json.loads(await command(gateway, "--rules", str(file), "--json"))
            file.write_text(json.dumps({"rules": NEW}))
            config = ("--config", str(gateway.config_file))
            text = await command(gateway, "--rules", str(file), *config, "--last", "1000")
            (newest,) = json.loads(await command(gateway, "--rules", str(file), *config, "--last", "1", "--json"))[
                "elsewhere"
            ]
        async with serving(providers=TWO, routing={"rules": NEW}, **sections) as gateway:
            after = await ask_all(gateway)
        moved = {
            name: (old, new) for (name, old), new in zip(before.items(), after.values(), strict=True) if old != new
        }
        assert len(moved) > 8
        assert {one["request_id"]: (one["went_to"], one["would_go_to"]) for one in found["elsewhere"]} == moved
        assert (found["requests"], found["same"]) == (len(REQUESTS), len(REQUESTS) - len(moved))
        assert found["undecidable"] == []
        assert newest["request_id"] == list(before)[-1]
        lines = text.splitlines()
        assert lines[:2] == [f"{len(REQUESTS):6} requests", f"{len(moved):6} would have gone elsewhere"]
        assert all(name in text for name in moved)

    run(main())


def test_requests_without_a_needed_fact_are_undecidable(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"rules": NEW}))

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=KEYS, as_process=True) as gateway:
            ids = list(await ask_all(gateway))
            await wait_for_store(gateway)
            arguments = ("--rules", str(file), "--config", str(gateway.config_file))
            text = await command(gateway, *arguments)
            found = json.loads(await command(gateway, *arguments, "--json"))
        # Every request needs a fact, and nothing is known of them; those without a tag of the night stay unclear too.
        assert [one["request_id"] for one in found["undecidable"]] == ids[::-1]
        assert found["facts"] == {'headers["x-tier"]': len(REQUESTS), 'params["temperature"]': len(REQUESTS) // 2}
        assert "add these facts to logging.facts:" in text

    run(main())
