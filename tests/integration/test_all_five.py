"""All five strategies in one plan: failover, weights, adaptive routing, budgets, and rules with a requirement.

The bills of the providers are the oracle for the money, and the provider outside the required region for compliance.
"""

import asyncio
from collections import Counter
from typing import Any

from msgspec import Struct

from fakes.clock import PATIENCE_S
from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, usd
from integration.test_stored_decisions import stored
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

LARGE, SMALL = "gpt-4o", "gpt-4o-mini"
PRICES = {
    LARGE: Price(input_pico=2_500_000, output_pico=10_000_000, cached_pico=1_250_000),
    SMALL: Price(input_pico=150_000, output_pico=600_000, cached_pico=75_000),
}
DEAR = {name: Price(10 * one.input_pico, 10 * one.output_pico, 10 * one.cached_pico) for name, one in PRICES.items()}
KEYS = {"most": ("sk-most", 80), "few": ("sk-few", 20)}
ENVIRON = {f"KEY_{secret[3:].upper()}": secret for secret, _ in KEYS.values()}
TEAM_USD, FALLBACK_USD = 0.1, 0.04
MOST_REQUESTS = 600  # until the team has used 80 % of its budget


def provider(prices: dict[str, Price], first_token_ms: float, **fields: Any) -> Settings:
    return Settings(prices=prices, first_token_ms=first_token_ms, output_tokens="max_tokens", **fields)


PROVIDERS = {
    "frankfurt": provider(PRICES, 20.0, keys={secret: "" for secret, _ in KEYS.values()}),
    "paris": provider(PRICES, 400.0),
    "zurich": provider(DEAR, 20.0),
    "virginia": provider(PRICES, 0.0),  # the fastest, but not in the required region
}


def sections() -> dict[str, Any]:
    overrides = [
        {
            "model": f"{name}/{model}",
            "input_usd_per_million": price.input_pico / 1e6,
            "output_usd_per_million": price.output_pico / 1e6,
            "cached_input_usd_per_million": price.cached_pico / 1e6,
        }
        for name, settings in PROVIDERS.items()
        for model, price in settings.prices.items()
    ]
    europe: dict[str, Any] = {"tags": {"region": "eu"}}
    keys = {name: {"value": f"env.KEY_{name.upper()}", "weight": weight} for name, (_, weight) in KEYS.items()}
    return {
        "provider_settings": {
            "frankfurt": {**europe, "keys": keys},
            "paris": europe,
            "zurich": {**europe, "budgets": usd(FALLBACK_USD)},
            "virginia": {"tags": {"region": "us"}},
        },
        "models": {
            "chat": {
                "strategy": "adaptive",
                "targets": [f"{name}/{LARGE}" for name in ("frankfurt", "paris", "virginia")],
                "fallbacks": [f"zurich/{LARGE}"],
            },
            "small": {
                "strategy": "adaptive",
                "targets": [f"{name}/{SMALL}" for name in ("frankfurt", "paris", "virginia")],
                "fallbacks": [f"zurich/{SMALL}"],
            },
        },
        "routing": {
            "health": {"max_block_s": 0.5},
            "rules": [{"name": "saving", "when": "budget_used.team >= 80", "model": "small"}],
        },
        "pricing": {"overrides": overrides},
        "governance": governance(
            {"notebook": {"team": "research"}},
            teams={"research": {"budgets": usd(TEAM_USD), "require": {"region": "eu"}}},
        ),
    }


class Client(Struct):
    """Sends requests one after another, and keeps the answers."""

    gateway: Gateway
    answers: list[Answer] = []

    async def ask(self) -> Answer:
        answer = await self.gateway.ask(chat(max_tokens=20), headers=bearer("notebook"))
        self.answers.append(answer)
        return answer

    async def served_by(self, count: int) -> Counter[str]:
        """Send requests that must all succeed. Count them by provider."""
        found = Counter[str]()
        for _ in range(count):
            answer = await self.ask()
            assert answer.status == 200, answer
            found[answer.headers["x-pointsman-provider"]] += 1
        return found


async def play(gateway: Gateway, client: Client) -> None:
    """Send requests while one provider dies, then another, and the budget of the team runs low."""
    frankfurt, paris, zurich = (gateway.providers[name] for name in ("frankfurt", "paris", "zurich"))
    found = await client.served_by(50)
    assert set(found) == {"frankfurt", "paris"}, "each got a first request"
    assert found["frankfurt"] > 30, "adaptive prefers the faster one"
    keys = Counter(entry.key for entry in frankfurt.bill.entries)
    assert keys["sk-most"] > keys["sk-few"] > 0, keys

    frankfurt.set_fault("refuse")
    assert set(await client.served_by(12)) == {"paris"}

    paris.set_fault("refuse")
    while (answer := await client.ask()).status == 200:
        assert answer.headers["x-pointsman-provider"] == "zurich"
        assert len(zurich.bill.entries) < 100, "the budget of the fallback has an end"
    assert 0 < zurich.bill.totals().charged_nano <= FALLBACK_USD * NANO

    frankfurt.set_fault(None)
    for _ in range(MOST_REQUESTS):
        answer = await client.ask()
        if answer.headers.get("x-pointsman-model") == SMALL:
            break
    else:
        raise AssertionError("the team never used 80 % of its budget")
    assert billed_nano(gateway) >= 0.8 * TEAM_USD * NANO
    assert set(await client.served_by(20)) <= {"frankfurt", "zurich"}, "paris is still dead"
    assert {one.headers["x-pointsman-model"] for one in client.answers[-20:]} == {SMALL}


def check_decision(decision: dict[str, Any], answer: Answer) -> None:
    """Check that a stored decision names the rule, and the candidates that were rejected."""
    is_small = answer.headers["x-pointsman-model"] == SMALL
    (rule,) = decision["rules"]
    assert rule["rule"] == "saving"
    assert (rule["result"] == "matched") is is_small, rule  # or the used amount was not known yet
    model, verdicts = SMALL if is_small else LARGE, {one["candidate"]: one["code"] for one in decision["verdicts"]}
    assert verdicts[f"virginia/{model}"] == "no_compliant_provider", verdicts
    assert "virginia" not in {one["provider"] for one in decision["attempts"]}
    if answer.status != 200:
        assert verdicts[f"zurich/{model}"] == "over_budget", verdicts
    assert decision["strategy"] == "adaptive"


async def check_money(gateway: Gateway, records: list[dict[str, Any]]) -> None:
    """Compare attempts and limits with the bills, to the nano-dollar."""
    billed = {name: one.bill.totals().charged_nano for name, one in gateway.providers.items()}
    charged = Counter[str]()
    for record in records:
        for attempt in record["attempts"]:
            charged[attempt["provider"]] += attempt.get("cost_nano", 0)  # absent if nothing was charged
    assert +charged == +Counter(billed)
    expected = {"team:research": sum(billed.values()), "provider:zurich": billed["zurich"]}
    found: dict[str, int] = {}
    async with asyncio.timeout(PATIENCE_S):
        while found != expected:
            rows = (await gateway.admin("/api/v1/budgets?limit=100")).json
            found = {row["owner"]: row["posted"] for row in rows}
            await asyncio.sleep(0.05)


def test_all_five_strategies_in_one_plan() -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, as_process=True, environ=ENVIRON, **sections()) as gateway:
            client = Client(gateway)
            await play(gateway, client)
            for answer in client.answers:
                found = await stored(gateway, answer.headers["x-pointsman-request-id"])
                check_decision(found["decision"], answer)
            await check_money(gateway, await gateway.wait_for_records(len(client.answers)))
            virginia = gateway.providers["virginia"]
            assert virginia.bill.entries == []
            assert virginia.counters.connections_accepted == 0

    run(main())
