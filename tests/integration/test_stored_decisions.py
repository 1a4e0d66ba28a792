"""The stored decision of a request is that of `POST /api/v1/explain` before it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.clock import PATIENCE_S
from integration.gateway import ADMIN_TOKEN, Gateway, chat, run, serving
from integration.governance import bearer, governance, prices, settings, usd
from pointsman.cli import build_app

MODELS = {
    "listed": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"],
    "cheap": {"strategy": "cheapest", "targets": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]},
    "sticky": {
        "strategy": {"weighted": {"sticky": "session"}},
        "targets": [{"model": "alpha/gpt-4o-mini", "weight": 1}, {"model": "beta/gpt-4o-mini", "weight": 1}],
    },
    "safe": {"strategy": "priority", "targets": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"], "require": {"region": "eu"}},
}
RULES = [
    {"name": "night", "when": 'request_tags["job"] == "night"', "targets": ["beta/gpt-4o-mini"]},
    {"name": "odd", "when": "1 / (max_tokens - 20) == 7", "model": "cheap"},
    {"name": "no", "when": "stream", "refuse": {"message": "streams are off"}},
]
PRICES = prices("alpha/gpt-4o-mini") | {
    "overrides": [
        *prices("alpha/gpt-4o-mini")["overrides"],
        *prices("beta/gpt-4o-mini", input_usd_per_million="0.01", output_usd_per_million="0.02")["overrides"],
    ]
}
COMMON = ("rules", "facts", "strategy", "source", "notes", "requirements", "refused")
OF_ATTEMPTS, OF_VERDICTS = ("provider", "model"), ("candidate", "policy", "code", "message", "last_resort")


def comparable(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a decision that a record stores. The values of facts are texts there."""
    found: dict[str, Any] = {name: decision[name] for name in COMMON if name in decision}
    found["facts"] = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in found["facts"].items()
    }
    if "refused" in decision:
        return found | {"refused": dict(decision["refused"])}
    found["order"] = [[one[name] for name in OF_ATTEMPTS] for one in decision["attempts"]]
    found["verdicts"] = [[one[name] for name in OF_VERDICTS] for one in decision["verdicts"]]
    bound = decision["attempts"][0]
    return found | {"bound": [bound["most_nano"], bound["most_tokens"]]}


async def stored(gateway: Gateway, request_id: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await gateway.admin(f"/api/v1/requests/{request_id}")).status == 404:
            await asyncio.sleep(0.05)
    found: dict[str, Any] = answer.json
    return found


@pytest.mark.parametrize("has_rules", [False, True])
def test_stored_decision_is_the_explained_one(has_rules: bool) -> None:
    sections: dict[str, Any] = {
        "models": MODELS,
        "pricing": PRICES,
        "governance": governance({"me": {"budgets": usd("5")}}),
        "provider_settings": {"beta": {"tags": {"region": "eu"}}},
        "routing": {"rules": RULES} if has_rules else {},
        "logging": {"facts": ["request_tags.job"]},
    }
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("me", chat("cheap", max_tokens=50), {}),  # before the usual length of an answer is known
        ("me", chat("listed", max_tokens=50), {}),
        ("me", chat("sticky", max_tokens=50), {"x-pointsman-session": "s-1"}),
        ("me", chat("safe", max_tokens=50), {}),
        ("me", chat("listed", max_tokens=20), {"x-pointsman-tag-job": "night"}),
        ("me", chat("listed", max_tokens=20), {}),
        ("me", chat("listed", max_tokens=50), {"x-pointsman-require": "region=us"}),
        ("me", chat("listed", max_tokens=50, stream=True), {}),
    ]

    async def main() -> None:
        providers = {"alpha": settings(), "beta": settings()}
        async with serving(providers=providers, as_process=True, **sections) as gateway:
            for key, body, headers in asked:
                question = {"body": body, "key": key, "headers": headers}
                explained = (await gateway.admin("/api/v1/explain", "POST", question)).json
                # The bytes of the body bound its tokens, so both requests must have the same.
                raw = json.dumps(body, separators=(",", ":")).encode()
                answer = await gateway.ask(raw, headers={**bearer(key), **headers})
                found = await stored(gateway, answer.headers["x-pointsman-request-id"])
                expected, kept = comparable(explained), comparable(found["decision"])
                if "refused" in expected:
                    assert kept["refused"]["message"].startswith(expected["refused"]["message"])
                    del expected["refused"]["message"], kept["refused"]["message"]
                assert kept == expected, body
            name = answer.headers["x-pointsman-request-id"]

            def printed() -> str:
                line = ["trace", name, "--url", gateway.console_url]
                return CliRunner().invoke(build_app(), line, env={"POINTSMAN_ADMIN_TOKEN": ADMIN_TOKEN}).output

            text = await asyncio.to_thread(printed)
            assert 'facts: request_tags["job"] = ' in text
            assert ("rule no: matched" in text) is has_rules

    run(main())
