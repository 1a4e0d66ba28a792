"""A paced budget through a whole gateway. The test moves the clock through a window, and the providers' own bills show
which of them served."""

from time import time
from typing import Any

import pytest

from integration.gateway import chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, usd
from pointsman.engine import billing, facts, serve
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

MODEL, TOKENS = "gpt-4o-mini", 50
RATES = {"good": 10_000_000, "cheap": 1_000_000}  # pico-dollars for a token of an answer; prompts are free
GOOD_NANO, CHEAP_NANO = (RATES[name] * TOKENS // 1000 for name in RATES)
REQUESTS, MINUTE_S = 240, 60
LIMIT_NANO = REQUESTS * (GOOD_NANO + CHEAP_NANO) // 2  # half of them fit at the better provider
BODY = chat(max_tokens=TOKENS)


def paced(*, value_of_gold: float = 1.0, users: bool = False, **budget: Any) -> Any:
    """Serve with a budget of the key, or with one of each of its users."""
    budgets = usd(f"{LIMIT_NANO / NANO:.9f}", "minute", **budget)
    governed = governance({"me": {"budgets": budgets}})
    if users:
        each = {"each": "end_user", "end_user_from": "header:x-user", "budgets": budgets}
        governed = governance({"me": {"end_users": "trusted", "budgets": usd("100", "minute")}}, defaults=[each])
    rules = [{"name": "gold", "when": 'request_tags["tier"] == "gold"', "value": value_of_gold}]
    return serving(
        providers={
            name: Settings(price=Price(input_pico=0, output_pico=rate, cached_pico=0), output_tokens="max_tokens")
            for name, rate in RATES.items()
        },
        models={"chat": [f"{name}/{MODEL}" for name in RATES]},
        pricing={
            "overrides": [
                {"model": f"{name}/{MODEL}", "input_usd_per_million": "0", "output_usd_per_million": str(rate / 1e6)}
                for name, rate in RATES.items()
            ]
        },
        routing={"rules": rules},
        governance=governed,
    )


class Clock:
    """The wall clock of the gateway. It begins with a window."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = (int(time()) // MINUTE_S + 1.0) * MINUTE_S
        for module in (billing, facts, serve):
            patch.setattr(module, "time", lambda: self.now)


def test_budget_lasts_its_window_and_is_spent_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with paced(paced=True) as gateway:
            clock = Clock(monkeypatch)
            served = []
            for _ in range(REQUESTS):
                answer = await gateway.ask(BODY, headers=bearer("me"))
                assert answer.status == 200, answer.body
                served.append(answer.headers["x-pointsman-provider"])
                clock.now += MINUTE_S / REQUESTS
            quarters = [served[start : start + 60].count("good") for start in range(0, REQUESTS, 60)]
            assert all(15 <= count <= 48 for count in quarters), quarters
            assert 0.97 * LIMIT_NANO <= billed_nano(gateway) <= LIMIT_NANO
            records = await gateway.wait_for_records(REQUESTS)
            notes = [record["paced"] for record in records]
            assert notes[0].startswith("paced budget of $0.066 per minute of virtual key me: 0.0% used")
            assert sum(f"good/{MODEL} comes after cheap/{MODEL}" in note for note in notes) == served.count("cheap")

    run(main())


def test_better_provider_returns_when_the_window_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with paced(paced=True) as gateway:
            clock = Clock(monkeypatch)
            names: list[str] = []
            for _ in range(2 * REQUESTS):  # more at once than the budget can pay
                answer = await gateway.ask(BODY, headers=bearer("me"))
                if answer.status != 200:
                    break
                names.append(answer.headers["x-pointsman-provider"])
                clock.now += 0.02
            assert names[0] == "good"
            assert set(names[-20:]) == {"cheap"}
            clock.now += 2 * MINUTE_S
            later = []
            for _ in range(20):
                later.append((await gateway.ask(BODY, headers=bearer("me"))).headers["x-pointsman-provider"])
                clock.now += MINUTE_S / REQUESTS
            assert later.count("good") >= 10

    run(main())


def test_budget_that_is_not_paced_is_spent_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with paced() as gateway:
            clock = Clock(monkeypatch)
            served = []
            for _ in range(REQUESTS):
                answer = await gateway.ask(BODY, headers=bearer("me"))
                served.append(answer.headers.get("x-pointsman-provider") if answer.status == 200 else None)
                clock.now += MINUTE_S / REQUESTS
            assert set(served[:120]) == {"good"}
            assert set(served[140:]) == {None}
            assert "paced" not in (await gateway.wait_for_records(1))[0]

    run(main())


def test_requests_of_more_value_keep_the_better_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with paced(paced=True, value_of_gold=5.0) as gateway:
            clock = Clock(monkeypatch)
            good = {"gold": 0, "plain": 0}
            for number in range(REQUESTS):
                tier = "gold" if number % 3 == 0 else "plain"
                headers = {**bearer("me"), "x-pointsman-tag-tier": tier}
                answer = await gateway.ask(BODY, headers=headers)
                assert answer.status == 200, answer.body
                good[tier] += answer.headers["x-pointsman-provider"] == "good"
                clock.now += MINUTE_S / REQUESTS
            assert good["gold"] >= 0.9 * REQUESTS / 3
            assert good["plain"] <= 0.4 * REQUESTS * 2 / 3

    run(main())


def test_budget_of_each_user_is_paced_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with paced(users=True, paced=True) as gateway:
            clock = Clock(monkeypatch)

            async def served_by(user: str) -> str:
                answer = await gateway.ask(BODY, headers={**bearer("me"), "x-user": user})
                assert answer.status == 200, answer.body
                return str(answer.headers["x-pointsman-provider"])

            busy, idle = [], []
            for number in range(REQUESTS):
                busy.append(await served_by("ann"))
                if number % 60 == 59:
                    idle.append(await served_by("ben"))
                clock.now += MINUTE_S / REQUESTS
            assert 15 <= busy[:60].count("good") <= 48
            assert 15 <= busy[-60:].count("good") <= 48
            assert idle == ["good"] * 4
            assert billed_nano(gateway) <= LIMIT_NANO + 4 * GOOD_NANO

    run(main())
