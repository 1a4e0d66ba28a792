"""Default limits by selector, limits of end users, and budgets that fall to a cheaper model. Tests compare the figures
with the provider's bill."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.client import Answer, Client
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, governance, prices, usd, virtual_key
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

PER_TOKEN = 1000  # nano-dollars for a token of an answer; a prompt costs nothing
OUTPUT_ONLY = Price(input_pico=0, output_pico=PER_TOKEN * 1000, cached_pico=0)
FREE_INPUT = {"input_usd_per_million": "0", "cached_input_usd_per_million": "0", "output_usd_per_million": "1"}
CALL = 50  # tokens of an answer
PAID = Settings(price=OUTPUT_ONLY, output_tokens="max_tokens", kept_requests=1000)
BODY = chat(max_tokens=CALL)


def calls(count: float) -> str:
    """Return the dollars of this number of calls."""
    return f"{count * CALL * PER_TOKEN / NANO:.9f}"


def serving_two(**sections: Any) -> Any:
    """Run a gateway with two paid providers, of which `chat` has the first."""
    fields: dict[str, Any] = {
        "providers": {"dear": PAID, "cheap": PAID},
        "models": {"chat": ["dear/gpt-4o"]},
        "pricing": prices("dear/gpt-4o", "cheap/gpt-4o-mini", output_tokens=500, **FREE_INPUT),
    }
    return serving(**fields | sections)


async def ask(gateway: Gateway, name: str, body: Any = BODY, **headers: str) -> Answer:
    client = await Client.connect(gateway.port)
    try:
        return await client.ask(body, headers=bearer(name) | headers)
    finally:
        await client.close()


async def budgets(gateway: Gateway, **wanted: int) -> dict[str, int]:
    """Return the spent amounts by owner, once those of the `wanted` owners have arrived."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = (await gateway.admin("/api/v1/budgets?limit=10000")).json
            found = {row["owner"]: row["posted"] for row in rows}
            if all(found.get(owner, 0) >= amount for owner, amount in wanted.items()):
                return found
            await asyncio.sleep(0.02)


def billed(gateway: Gateway) -> dict[str, int]:
    return {name: one.bill.totals().charged_nano for name, one in gateway.providers.items()}


def test_requests_without_room_fall_to_the_cheaper_model_and_count_in_all_other_limits() -> None:
    async def main() -> None:
        keys = {"me": {"team": "red", "budgets": usd(calls(3.5), then="cheap/gpt-4o-mini")}}
        teams = {"red": {"budgets": usd(calls(8.5))}}
        async with serving_two(governance=governance(keys, teams=teams), as_process=True) as gateway:
            answers = [await ask(gateway, "me") for _ in range(10)]
            assert [answer.status for answer in answers] == [200] * 8 + [402] * 2
            served = [answer.headers.get("x-pointsman-provider") for answer in answers]
            assert served == ["dear"] * 3 + ["cheap"] * 5 + [None] * 2
            records = await gateway.wait_for_records(10)
            assert "budget of $0.000175 per year of virtual key me" in records[3]["verdicts"][0]
            message = answers[-1].json["error"]["message"]
            assert "of virtual key me has $0.000025 left until 20" in message
            assert "of team red has $0.000025 left until 20" in message
            spent = billed(gateway)
            assert spent == {"dear": 3 * CALL * PER_TOKEN, "cheap": 5 * CALL * PER_TOKEN}
            posted = await budgets(gateway, **{"team:red": sum(spent.values())})
            assert posted == {"virtual_key:me": spent["dear"], "team:red": sum(spent.values())}
            usage = (await gateway.admin("/api/v1/usage?group_by=key")).json
            assert usage["total"]["cost_nano"] == sum(spent.values())

    run(main())


def test_budget_falls_at_once_to_a_public_name_and_its_failures_move_on() -> None:
    async def main() -> None:
        keys = {"me": {"budgets": usd(calls(0.5), then="thrifty")}}
        models = {"chat": ["dear/gpt-4o"], "thrifty": ["gone/gpt-4o-mini", "cheap/gpt-4o-mini"]}
        sections = {"models": models, "provider_settings": {"gone": {"base_url": "http://127.0.0.1:9/v1"}}}
        async with serving_two(governance=governance(keys), **sections) as gateway:
            answers = [await ask(gateway, "me") for _ in range(3)]
            assert [answer.status for answer in answers] == [200] * 3
            assert {answer.headers["x-pointsman-provider"] for answer in answers} == {"cheap"}
            assert answers[0].headers["x-pointsman-attempts"] == "2"
            assert billed(gateway)["dear"] == 0

    run(main())


def test_client_that_names_a_provider_gets_no_other() -> None:
    async def main() -> None:
        keys = {"me": {"budgets": usd(calls(0.5), then="cheap/gpt-4o-mini")}}
        async with serving_two(governance=governance(keys)) as gateway:
            answer = await ask(gateway, "me", **{"x-pointsman-provider": "dear"})
            assert answer.status == 402
            assert (await ask(gateway, "me")).headers["x-pointsman-provider"] == "cheap"

    run(main())


def test_each_key_of_a_team_has_a_default_budget(tmp_path: Path) -> None:
    lines = [{"name": name, **virtual_key(name), "team": "red"} for name in ("far", "wide")]
    lines.append({"name": "own", **virtual_key("own"), "team": "red", "budgets": usd(calls(1.5))})
    (tmp_path / "keys.jsonl").write_text("\n".join(map(json.dumps, lines)))

    async def main() -> None:
        fields = {
            "teams": {"red": {}, "blue": {}},
            "keys_file": str(tmp_path / "keys.jsonl"),
            "defaults": [{"each": "virtual_key", "team": "red", "budgets": usd(calls(2.5))}],
        }
        keys = {"near": {"team": "red"}, "other": {"team": "blue"}}
        async with serving_two(governance=governance(keys, **fields), as_process=True) as gateway:
            for name, fitting in (("near", 2), ("far", 2), ("wide", 2), ("own", 1), ("other", 4)):
                statuses = [(await ask(gateway, name)).status for _ in range(4)]
                assert statuses == [200] * fitting + [402] * (4 - fitting), name
            message = (await ask(gateway, "far")).json["error"]["message"]
            assert f"the budget of ${float(calls(2.5)):.6f} per year of virtual key far" in message
            each = 2 * CALL * PER_TOKEN
            wanted = {"virtual_key:near": each, "virtual_key:far": each, "virtual_key:wide": each}
            assert await budgets(gateway, **wanted) == wanted | {"virtual_key:own": CALL * PER_TOKEN}

    run(main())


def users(workers: int = 1, at_most: int = 10, limit: float = 2.5, *, as_process: bool = True, **fields: Any) -> Any:
    """Run a gateway whose key `app` names its users, and whose key `other` may not."""
    default = {"each": "end_user", "at_most": at_most, "budgets": usd(calls(limit)), **fields}
    keys: dict[str, Any] = {"app": {"end_users": "trusted", "budgets": usd(1)}, "other": {"budgets": usd(1)}}
    sections = {"governance": governance(keys, defaults=[default]), "server": {"workers": workers}}
    return serving_two(**sections, as_process=as_process)


def spent_by_user(gateway: Gateway) -> Counter[str]:
    """Return the charges of the provider by the user in the requests."""
    provider = gateway.providers["dear"]
    names = [json.loads(request.body).get("user", "") for request in provider.requests]
    found: Counter[str] = Counter()
    for name, entry in zip(names, provider.bill.entries, strict=True):
        found[name] += entry.charged_nano
    return found


def test_each_end_user_has_a_budget_and_untrusted_names_have_none() -> None:
    async def main() -> None:
        async with users() as gateway:
            for user in ("ann", "ben"):
                statuses = [(await ask(gateway, "app", BODY | {"user": user})).status for _ in range(4)]
                assert statuses == [200, 200, 402, 402], user
            answer = await ask(gateway, "app", BODY | {"user": "ann"})
            message = answer.json["error"]["message"]
            assert "the budget of $0.000125 per year of end user all/" in message
            assert "has $0.000025 left until 20" in message
            assert "ann" not in message
            unnamed = [(await ask(gateway, "app")).status for _ in range(3)]
            other = [(await ask(gateway, "other", BODY | {"user": "ann"})).status for _ in range(3)]
            assert unnamed == other == [200] * 3
            assert spent_by_user(gateway)["ben"] == 2 * CALL * PER_TOKEN
            found = await budgets(gateway, **{"virtual_key:app": 7 * CALL * PER_TOKEN})
            of_users = {owner: posted for owner, posted in found.items() if owner.startswith("end_user:")}
            assert list(of_users.values()) == [2 * CALL * PER_TOKEN] * 2

    run(main())


@pytest.mark.parametrize("source", ["messages", "responses", "header"])
def test_user_is_read_in_every_dialect_and_from_a_header(source: str) -> None:
    fields: dict[str, Any] = {"end_user_from": "header:X-End-User"} if source == "header" else {}

    async def main() -> None:
        async with users(as_process=False, **fields) as gateway:

            async def of(user: str) -> object:
                if source == "messages":
                    body = {**BODY, "metadata": {"user_id": user}}
                    return (await gateway.ask(body, path="/v1/messages", headers=bearer("app"))).status
                if source == "responses":
                    body = {"model": "chat", "input": "Say", "max_output_tokens": CALL, "safety_identifier": user}
                    return (await gateway.ask(body, path="/v1/responses", headers=bearer("app"))).status
                return (await ask(gateway, "app", **{"x-end-user": user})).status

            assert [await of("ann") for _ in range(3)] == [200, 200, 402]
            assert [await of("ben") for _ in range(3)] == [200, 200, 402]

    run(main())


def test_users_past_the_most_share_one_budget() -> None:
    async def main() -> None:
        async with users(at_most=3) as gateway:
            for number in range(3):
                assert (await ask(gateway, "app", BODY | {"user": f"early-{number}"})).status == 200
            statuses = [(await ask(gateway, "app", BODY | {"user": f"late-{number}"})).status for number in range(6)]
            assert statuses == [200] * 2 + [402] * 4
            assert (await ask(gateway, "app", BODY | {"user": "early-1"})).status == 200
            found = await budgets(gateway, **{"virtual_key:app": 6 * CALL * PER_TOKEN})
            names = [owner for owner in found if owner.startswith("end_user:")]
            assert len(names) == 4
            assert "end_user:all/others" in names

    run(main())


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_limits_of_users_hold_with_several_workers_and_after_a_kill(seed: int) -> None:
    limit, names = 20.5, [f"user-{number}" for number in range(5)]

    async def main() -> None:
        async with users(3, limit=limit) as gateway:
            for round_ in range(3):
                asking = [ask(gateway, "app", BODY | {"user": name}) for name in names for _ in range(12)]
                tasks = [asyncio.create_task(one) for one in asking]
                await asyncio.sleep(0.005 * seed)
                if round_ < 2:
                    os.kill(gateway.children[f"worker {(seed + round_) % 3}"], signal.SIGKILL)
                await asyncio.gather(*tasks, return_exceptions=True)
                rows = (await gateway.admin("/api/v1/budgets?limit=10000")).json
                assert all(row["posted"] + row["lent"] <= row["limit"] for row in rows), rows
                assert all(amount <= limit * CALL * PER_TOKEN for amount in spent_by_user(gateway).values())
            async with asyncio.timeout(PATIENCE_S):
                while any([(await ask(gateway, "app", BODY | {"user": name})).status != 402 for name in names]):
                    pass
            assert all(amount <= limit * CALL * PER_TOKEN for amount in spent_by_user(gateway).values())

    run(main())
