"""Rules in a running gateway: each request goes where its own facts send it, and its record says why."""

import asyncio
import json
from itertools import accumulate, product
from random import Random
from time import time
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.client import Answer
from integration.gateway import chat, run, serving
from integration.governance import bearer, governance, prices, settings, usd
from pointsman.engine import billing, facts, serve
from pointsman.simulate import Settings

TWO = {"alpha": Settings(), "beta": Settings()}
MODELS = {"chat": ["alpha/gpt-4o-mini"]}


def served_by(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.headers["x-pointsman-provider"]


def rule(name: str, when: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "when": when, **(fields or {"targets": ["beta/gpt-4o-mini"]})}


def test_warm_heads_never_give_a_client_the_route_of_another() -> None:
    rules = [
        rule("premium", 'headers["x-tier"] == "premium" && key.labels.plan == "paid"'),
        rule("tagged", 'request_tags["to"] == "beta"'),
    ]
    keys = governance({"paid": {"labels": {"plan": "paid"}}, "free": {"labels": {"plan": "free"}}})

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"rules": rules}, governance=keys) as gateway:
            variants = list(product(("paid", "free"), ("premium", "basic", None), ("beta", "alpha", None)))
            chosen = [Random(7).choice(variants) for _ in range(300)]

            async def ask(variant: tuple[str, str | None, str | None]) -> None:
                key, tier, tag = variant
                headers = bearer(key)
                if tier is not None:
                    headers["x-tier"] = tier
                if tag is not None:
                    headers["x-pointsman-tag-to"] = tag
                expected = "beta" if (tier, key) == ("premium", "paid") or tag == "beta" else "alpha"
                assert served_by(await gateway.ask(chat(), headers=headers)) == expected, variant

            for start in range(0, len(chosen), 20):
                await asyncio.gather(*map(ask, chosen[start : start + 20]))

    run(main())


def test_record_has_the_rules_and_their_facts() -> None:
    rules = [
        rule("never", 'headers["x-a"] == "1"'),
        rule("broken", "1 / (max_tokens + 1) == 9"),
        rule("all", "!stream"),
    ]

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"rules": rules}) as gateway:
            assert served_by(await gateway.ask(chat())) == "beta"
            (record,) = await gateway.wait_for_records(1)
            assert (record["rule"], record["rules"]) == ("all", ["never", "broken", "all"])
            assert record["rule_facts"] == {'headers["x-a"]': "", "max_tokens": "-1", "stream": "false"}
            assert record["rule_problems"][0].startswith("broken: error: ")
            metrics = await gateway.metrics()
            counted = {name: value for name, value in metrics.items() if name.startswith("pointsman_rule_results")}
            assert list(counted.values()) == [1, 1]
            assert any("broken" in name and "error" in name for name in counted)
            assert any("all" in name and "matched" in name for name in counted)

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_parameters_that_a_rule_changes_reach_the_provider(stream: bool) -> None:
    changes = rule("calm", "true", set={"temperature": 0, "max_tokens": 7}, drop=["seed"])

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"rules": [changes]}) as gateway:
            answer = await gateway.ask(chat(stream=stream, temperature=1.5, seed=4, max_completion_tokens=500))
            assert answer.status == 200, answer
            body = json.loads(gateway.providers["alpha"].requests[-1].body)
            assert (body["temperature"], body.get("max_tokens", body.get("max_completion_tokens"))) == (0, 7)
            assert "seed" not in body

    run(main())


def test_refusal_reaches_the_client_and_no_provider() -> None:
    refusal = rule("closed", "stream", refuse={"message": "streams are off today"})

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"rules": [refusal]}) as gateway:
            answer = await gateway.ask(chat(stream=True))
            error = answer.json["error"]
            assert (answer.status, error["code"]) == (403, "refused_by_rule")
            assert "closed" in error["message"]
            assert "streams are off today" in error["message"]
            assert gateway.providers["alpha"].counters.requests_received == 0
            (record,) = await gateway.wait_for_records(1)
            assert (record["rule"], record["code"]) == ("closed", "refused_by_rule")

    run(main())


def test_client_address_behind_a_trusted_proxy_decides() -> None:
    inside = rule("inside", 'in_cidr(client_ip, "10.0.0.0/8")')
    server = {"trusted_proxies": ["127.0.0.1/32"]}

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"rules": [inside]}, server=server) as gateway:
            for address, expected in (("10.2.3.4", "beta"), ("192.0.2.7", "alpha"), ("10.9.9.9, 192.0.2.7", "alpha")):
                assert served_by(await gateway.ask(chat(), headers={"x-forwarded-for": address})) == expected
            assert served_by(await gateway.ask(chat())) == "alpha"

    run(main())


def test_rule_on_a_budget_moves_requests_and_comes_back_with_the_next_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget is of a minute. The test moves the clock over its end."""
    saving = rule("saving", "budget_used.virtual_key >= 50")
    free = {"model": "beta/gpt-4o-mini", "input_usd_per_million": "0", "output_usd_per_million": "0"}
    cost = {"overrides": [*prices("alpha/gpt-4o-mini")["overrides"], free]}
    keys = governance({"me": {"budgets": usd("0.0005", per="minute")}})
    now = (int(time()) // 60 + 1) * 60 - 30.0
    for module in (billing, facts, serve):
        monkeypatch.setattr(module, "time", lambda: now)

    async def main() -> None:
        nonlocal now
        providers = {"alpha": settings(), "beta": Settings()}
        sections: dict[str, Any] = {"routing": {"rules": [saving]}, "governance": keys, "pricing": cost}
        async with serving(providers=providers, models=MODELS, **sections) as gateway:

            async def ask() -> str:
                return served_by(await gateway.ask(chat(max_tokens=20), headers=bearer("me")))

            served = [await ask() for _ in range(40)]
            spent = [0, *accumulate(one.charged_nano for one in gateway.providers["alpha"].bill.entries)]
            first = served.index("beta")
            assert served == ["alpha"] * first + ["beta"] * (40 - first)
            assert spent[first - 1] < 250_000 <= spent[first], "alpha serves until half of the budget is used"
            now += 60.0
            assert await ask() == "alpha", "nothing is used in the next window"

    run(main())


def test_explanation_counts_the_present_use() -> None:
    saving = rule("saving", "budget_used.virtual_key >= 50")
    keys = governance({"me": {"budgets": usd("0.0005")}})
    sections: dict[str, Any] = {
        "routing": {"rules": [saving]},
        "governance": keys,
        "pricing": prices("alpha/gpt-4o-mini", "beta/gpt-4o-mini"),
        "server": {"workers": 2},
    }

    async def main() -> None:
        providers = {"alpha": settings(), "beta": settings()}
        async with serving(providers=providers, models=MODELS, as_process=True, **sections) as gateway:
            asked = {"body": chat(max_tokens=20), "key": "me"}

            async def explained(**fields: Any) -> dict[str, Any]:
                answer = await gateway.admin("/api/v1/explain", "POST", {**asked, **fields})
                assert answer.status == 200, answer
                found: dict[str, Any] = answer.json
                return found

            found = await explained(used={"virtual_key:me": 60})
            assert found["rules"] == [{"rule": "saving", "result": "matched", "message": None}]
            assert found["facts"] == {'budget_used["virtual_key"]': 60.0}
            assert [one["provider"] for one in found["attempts"]] == ["beta"]
            assert found["attempts"][0]["most_nano"] > 0
            found = await explained(headers={"x-pointsman-require": "region=eu"})
            assert found["refused"]["code"] == "no_compliant_provider"
            assert (await gateway.admin("/api/v1/explain", "POST", {**asked, "key": "none"})).status == 422
            while served_by(await gateway.ask(chat(max_tokens=20), headers=bearer("me"))) != "beta":
                pass
            async with asyncio.timeout(PATIENCE_S):
                while not (found := await explained())["facts"]['budget_used["virtual_key"]'] >= 50:
                    await asyncio.sleep(0.05)
            (limit,) = found["limits"]
            assert limit["used"] >= 250_000
            assert [one["provider"] for one in found["attempts"]] == ["beta"]

    run(main())


@pytest.mark.parametrize("rules", [[], [rule("beta", 'headers["x-to"] == "beta"')]])
def test_facts_of_the_log_are_stored_without_a_rule_that_reads_them(rules: list[dict[str, Any]]) -> None:
    log = {"facts": ["headers.x-tier", "params.temperature", "params.top_p", "client_ip", "team"]}
    keys = governance({"me": {"team": "red"}}, teams={"red": {}})

    async def main() -> None:
        sections: dict[str, Any] = {"models": MODELS, "routing": {"rules": rules}, "logging": log, "governance": keys}
        async with serving(providers=TWO, **sections) as gateway:
            for tier in ("gold", "silver"):  # a head that is known must not hide the header
                answer = await gateway.ask(chat(temperature=0.25), headers={**bearer("me"), "x-tier": tier})
                assert served_by(answer) == "alpha"
            records = await gateway.wait_for_records(2)
            for record, tier in zip(records, ("gold", "silver"), strict=True):
                assert record["rule_facts"] == {
                    'headers["x-tier"]': tier,
                    'params["temperature"]': "0.25",
                    'params["top_p"]': "",
                    "client_ip": "127.0.0.1",
                    "team": "red",
                    **({'headers["x-to"]': ""} if rules else {}),
                }

    run(main())
