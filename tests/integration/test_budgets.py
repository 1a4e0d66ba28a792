"""Budgets and limits cannot be overspent, and do not reject requests that fit. Tests compare with the
providers' bill."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from fakes.clock import PATIENCE_S
from fakes.lag import lag
from integration.client import Answer, Client
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import NANO, bearer, governance, prices, settings, usd
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.bill import Totals
from pointsman.simulate.settings import Price
from pointsman.wire.tokens import TEMPLATE_TOKENS

OUTPUT_ONLY = Price(input_pico=0, output_pico=1_000_000, cached_pico=0)
FREE_INPUT: dict[str, Any] = {
    "input_usd_per_million": "0",
    "cached_input_usd_per_million": "0",
    "output_usd_per_million": "1",
}
WORKERS = [pytest.param(1, marks=pytest.mark.slow), 3]
LEASE_WAITS_S = ["0.05", "0.1", "0.25", "0.5", "+Inf"]  # bounds of the histogram
USUAL_LAG_S = 0.02  # delays of processes beside a busy one


async def ask_at_once(gateway: Gateway, count: int, body: Any, headers: dict[str, str]) -> list[Answer]:
    """Send `count` requests at the same moment, each on its own connection."""

    async def ask() -> Answer:
        client = await Client.connect(gateway.port)
        try:
            return await client.ask(body, headers=headers)
        finally:
            await client.close()

    return list(await asyncio.gather(*(ask() for _ in range(count))))


async def watch(gateway: Gateway, commits: set[int], over: asyncio.Event) -> None:
    """Check continuously that the spent and leased amounts of every limit do not exceed the limit."""
    while not over.is_set():
        answer = await gateway.admin("/api/v1/budgets?limit=10000")
        assert answer.status == 200, answer
        for row in answer.json:
            assert row["posted"] + row["lent"] <= row["limit"], row
        commits.add((await gateway.admin("/api/v1/status")).json["commits"])
        await asyncio.sleep(0.05)


async def posted(gateway: Gateway, key: str) -> int:
    """Return the spent amount of the only limit of a key, as control knows it."""
    rows = (await gateway.admin(f"/api/v1/budgets?owner=virtual_key:{key}")).json
    return int(sum(row["posted"] for row in rows))


async def posted_of_all(gateway: Gateway) -> dict[str, int]:
    """Return the spent amounts of all keys by name, with one request."""
    rows = (await gateway.admin("/api/v1/budgets?limit=10000")).json
    return {row["owner"].partition(":")[2]: row["posted"] for row in rows}


async def nothing_is_reserved(gateway: Gateway) -> None:
    """Check that all reservations are released soon after the last client has disconnected."""
    async with asyncio.timeout(PATIENCE_S):
        while (metrics := await gateway.metrics())["pointsman_reservations"]:
            await asyncio.sleep(0.02)
    assert metrics["pointsman_overruns_total"] == 0


class Kind(Struct):
    """A limit that fits a hundred requests with `body`. `used` computes the used part from a bill."""

    limit: dict[str, Any]
    amount: int
    body: dict[str, Any]
    refusal: tuple[int, str]
    used: Callable[[Totals], int]


BODY, LONG = chat(max_tokens=50), chat(max_tokens=600)
TOKENS = len(json.dumps(LONG)) + TEMPLATE_TOKENS + 600  # the reservation of such a request
LIMITS = {
    # Every answer uses its whole reservation, so exactly a hundred fit.
    "usd": Kind(
        {"budgets": usd(f"{100 * 50 * 1000 / NANO:.9f}")},
        100 * 50 * 1000,  # max_tokens at $1 per million; input costs nothing
        BODY,
        (402, "budget_exceeded"),
        lambda totals: totals.charged_nano,
    ),
    "requests": Kind(
        {"rate_limits": [{"requests": 100, "per": "year"}]},
        100,
        BODY,
        (429, "rate_limited"),
        lambda totals: totals.requests,
    ),
    # Answers use half of their reservation, so settled requests make room for more.
    "tokens": Kind(
        {"rate_limits": [{"tokens": 100 * TOKENS, "per": "year"}]},
        100 * TOKENS,
        LONG,
        (429, "rate_limited"),
        lambda totals: totals.tokens_in + totals.tokens_out,
    ),
}
MANY = pytest.param(dict.fromkeys(LIMITS, 200), marks=[pytest.mark.slow, pytest.mark.long])
SEVERAL = pytest.param({"usd": 15, "requests": 5, "tokens": 5}, marks=pytest.mark.slow)
ROUNDS = [{"usd": 4, "requests": 2, "tokens": 2}, SEVERAL, MANY]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("rounds", ROUNDS, ids=lambda rounds: str(rounds["usd"]))
def test_only_a_hundred_of_five_hundred_simultaneous_requests_fit(rounds: dict[str, int], workers: int) -> None:
    kinds = {f"{kind}-{number}": given for kind, given in LIMITS.items() for number in range(rounds[kind])}

    async def main() -> None:
        async with serving(
            providers={"alpha": Settings(price=OUTPUT_ONLY, output_tokens="max_tokens", first_token_ms=5.0)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({name: given.limit for name, given in kinds.items()}),
            pricing=prices("alpha/gpt-4o-mini", **FREE_INPUT),
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            bill = gateway.providers["alpha"].bill
            commits: set[int] = set()
            over = asyncio.Event()
            watching = asyncio.create_task(watch(gateway, commits, over))
            spent: dict[str, int] = {}
            fewest = 500
            for name, given in kinds.items():
                bill.clear()
                answers = await ask_at_once(gateway, 500, given.body, bearer(name))
                admitted = check_answers(name, given, answers)
                fewest = min(fewest, admitted)
                spent[name] = given.used(bill.totals())
                assert spent[name] <= given.amount, name
            await nothing_is_reserved(gateway)
            async with asyncio.timeout(PATIENCE_S):  # control ingests the journal with a delay
                while any(
                    amount > known[name] for known in [await posted_of_all(gateway)] for name, amount in spent.items()
                ):
                    await asyncio.sleep(0.05)
            known = await posted_of_all(gateway)
            assert {name: known[name] for name in spent} == spent
            over.set()
            await watching
            print(f"{workers} workers, {rounds}: at least {fewest} admitted, {len(commits)} commits seen")

    run(main())


def check_answers(name: str, given: Kind, answers: list[Answer]) -> int:
    """Compare the answers of a round with its limit. Return the number of served requests."""
    status, code = given.refusal
    others = [answer for answer in answers if answer.status not in (200, status)]
    assert not others, (name, Counter(answer.status for answer in answers), others[0])
    served = [answer for answer in answers if answer.status == 200]
    assert len(served) >= 99, (name, len(served))
    for refused in [answer for answer in answers if answer.status == status][:1]:
        assert refused.json["error"]["code"] == code
        assert f"virtual key {name}" in refused.json["error"]["message"]
        assert (status == 402) == ("retry-after" not in refused.headers)
    return len(served)


@pytest.mark.parametrize("workers", WORKERS)
def test_cancelled_requests_leave_no_reservation(workers: int) -> None:
    """Of five hundred simultaneous requests many are cancelled, and all use less than they reserve. The rest of the
    limit can then be spent to the end, on any worker."""
    reservation = 50 * 1000
    limit = 100 * reservation

    async def main() -> None:
        async with serving(
            providers={"alpha": Settings(price=OUTPUT_ONLY, output_tokens=25.0, first_token_ms=20.0)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd(f"{limit / NANO:.9f}")}}),
            pricing=prices("alpha/gpt-4o-mini", **FREE_INPUT),
            server={"workers": workers},
            as_process=True,
        ) as gateway:

            async def disconnect(number: int) -> None:
                client = await Client.connect(gateway.port)
                client.send(chat(max_tokens=50, stream=number % 2 == 0), headers=bearer("me"))
                if number % 3 == 0:
                    await asyncio.sleep(0.001 * (number % 100))
                    client.reset()
                    await asyncio.sleep(0.05)
                else:
                    await client.receive()
                    await client.close()

            await asyncio.gather(*(disconnect(number) for number in range(200)))
            client = await Client.connect(gateway.port)
            while (answer := await client.ask(chat(max_tokens=50), headers=bearer("me"))).status == 200:
                if answer.ended != "complete":
                    break
            await client.close()
            await nothing_is_reserved(gateway)
            assert answer.status == 402, answer
            used = 0
            async with asyncio.timeout(PATIENCE_S):  # control ingests the journal with a delay
                while used <= limit - reservation:
                    used = await posted(gateway, "me")
            assert used <= limit
            print(f"{workers} workers: {used / limit:.4f} of the limit used")

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("per_s", [200, 500])
def test_waits_for_a_lease_are_short(per_s: int) -> None:
    """Use three workers and six limits that are large enough. Leases are used up now and then."""
    for_s = 5
    much = {"budgets": usd("0.01"), "rate_limits": [{"requests": 4 * per_s * for_s, "per": "year"}]}
    keys = {"me": {**much, "team": "research", "rate_limits": [{"requests": 2 * per_s * for_s, "per": "year"}]}}

    async def main() -> None:
        async with serving(
            providers={"alpha": Settings(price=OUTPUT_ONLY, output_tokens=1.0)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance(keys, teams={"research": {**much, "customer": "acme"}}, customers={"acme": much}),
            pricing=prices("alpha/gpt-4o-mini", **FREE_INPUT),
            server={"workers": 3},
            as_process=True,
        ) as gateway:
            loop = asyncio.get_running_loop()
            began_at = loop.time()
            numbers = iter(range(per_s * for_s))

            async def work() -> None:
                client = await Client.connect(gateway.port)
                for number in numbers:
                    await asyncio.sleep(began_at + number / per_s - loop.time())
                    assert (await client.ask(chat(max_tokens=1), headers=bearer("me"))).status == 200
                await client.close()

            async with lag() as late:
                await asyncio.gather(*(work() for _ in range(16)))
                lag_s = await late.worst_s()
            metrics = await gateway.metrics()
            waits = metrics["pointsman_lease_wait_seconds_count"]
            # A lease takes a turn of the worker, of control and of the worker. Each may be as late as any process here.
            bound_s = next(one for one in LEASE_WAITS_S if float(one) >= 0.05 + 2 * max(0.0, lag_s - USUAL_LAG_S))
            long = waits - metrics[f'pointsman_lease_wait_seconds_bucket{{le="{bound_s}"}}']
            waited = f"{waits:.0f} asked for a lease, {long:.0f} of them waited over {bound_s} s"
            print(f"{per_s * for_s} requests, {waited}, on a machine that is late by {lag_s * 1e3:.1f} ms")
            assert long == 0

    run(main())


@pytest.mark.parametrize("workers", WORKERS)
def test_fitting_requests_are_served(workers: int) -> None:
    """Answers use a sixteenth of their reservation; clients retry when they are rejected."""
    bodies = {"stated": chat("alpha/gpt-4o-mini", max_tokens=32_000), "unstated": chat("beta/gpt-4o-mini")}
    provider = Settings(price=OUTPUT_ONLY, output_tokens=2000.0, first_token_ms=5.0)

    async def main() -> None:
        async with serving(
            providers={"alpha": provider, "beta": provider},
            governance=governance({name: {"budgets": usd(1)} for name in bodies}),
            pricing=prices("alpha/gpt-4o-mini", "beta/gpt-4o-mini", output_tokens=32_000, **FREE_INPUT),
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            names = zip(gateway.providers.values(), bodies, strict=True)
            await asyncio.gather(*(use_up(gateway, one, name, bodies[name]) for one, name in names))
            for name, one in gateway.providers.items():
                charged = one.bill.totals().charged_nano
                print(f"{workers} workers: {charged / NANO:.4f} of the limit at {name}")
                assert 0.95 * NANO <= charged <= NANO, name

    run(main())


async def use_up(gateway: Gateway, provider: SimulatedProvider, key: str, body: dict[str, Any]) -> None:
    """Send requests until nearly all of the limit is used and no request was served for a second, or time is up."""
    loop = asyncio.get_running_loop()
    last_success = loop.time()
    ends_at = last_success + PATIENCE_S

    def is_over() -> bool:
        is_used = provider.bill.totals().charged_nano >= 0.95 * NANO
        return loop.time() > ends_at or (is_used and loop.time() > last_success + 1)

    async def work() -> None:
        nonlocal last_success
        client = await Client.connect(gateway.port)
        while not is_over():
            answer = await client.ask(body, headers=bearer(key))
            assert answer.status in (200, 402), answer
            if answer.status == 200:
                last_success = loop.time()
            else:
                await asyncio.sleep(0.1)
        await client.close()

    await asyncio.gather(*(work() for _ in range(20)))


def test_stream_costs_as_much_as_the_whole_answer() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings(output_tokens=37.0, cached_share=0.5)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd(1)}}),
            pricing=prices("alpha/gpt-4o-mini"),
        ) as gateway:
            whole = await gateway.ask(chat(), headers=bearer("me"))
            streamed = await gateway.ask(chat(stream=True), headers=bearer("me"))
            assert (whole.status, streamed.status) == (200, 200)
            first, second = await gateway.wait_for_records(2)
            costs = [entry.charged_nano for entry in gateway.providers["alpha"].bill.entries]
            assert first["cost_nano"] == second["cost_nano"] == costs[0] == costs[1] > 0
            assert whole.headers["x-pointsman-cost-usd"] == f"{costs[0] / NANO:.9f}".rstrip("0")
            assert "x-pointsman-cost-usd" not in streamed.headers

    run(main())


def test_unreported_tokens_count_by_their_reservation() -> None:
    """Speech reports no tokens, so the whole reservation counts, in the worker and in the store."""
    body = {"model": "alpha/tts-1", "input": "Say something", "voice": "alloy"}

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            governance=governance({"me": {"rate_limits": [{"tokens": 2100, "per": "year"}]}}),
            as_process=True,
        ) as gateway:
            served = 0
            while (await gateway.ask(body, path="/v1/audio/speech", headers=bearer("me"))).status == 200:
                served += 1
            assert served >= 1
            os.kill(gateway.children["worker 0"], signal.SIGKILL)
            await until(lambda: "restarting it" in "".join(gateway.stderr), "the worker is restarted")
            answer = await gateway.ask(body, path="/v1/audio/speech", headers=bearer("me"))
            assert answer.status == 429, answer
            assert await posted(gateway, "me") > 0

    run(main())


def image(name: str, address: object) -> dict[str, Any]:
    return {"type": name, "image_url": address}


PNG = "data:image/png;base64," + "A" * 4_000_000  # 3 MB


@pytest.mark.parametrize(
    ("path", "prompt"),
    [
        ("/v1/chat/completions", chat(messages=[{"role": "user", "content": [image("image_url", {"url": PNG})]}])),
        ("/v1/responses", {"model": "chat", "input": [{"role": "user", "content": [image("input_image", PNG)]}]}),
    ],
)
def test_image_fits_an_ordinary_limit_but_its_bytes_as_text_do_not(path: str, prompt: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance(
                {"me": {"rate_limits": [{"tokens": 200_000, "per": "minute"}], "budgets": usd(0.02)}}
            ),
            pricing=prices("alpha/gpt-4o-mini", output_tokens=16_384),
        ) as gateway:
            answer = await gateway.ask(prompt, path=path, headers=bearer("me"))
            assert answer.status == 200, answer
            as_text = json.loads(
                json.dumps(prompt).replace('"image_url": ', '"text": ').replace('"input_image"', '"x"')
            )
            answer = await gateway.ask(as_text, path=path, headers=bearer("me"))
            assert answer.status in (402, 429), answer

    run(main())


def test_rejection_names_the_limit_and_every_level_applies() -> None:
    tiny = usd("0.000000001", "day")
    keys: dict[str, dict[str, Any]] = {
        "own": {"budgets": tiny},
        "of-team": {"team": "research"},
        "of-customer": {"customer": "acme"},
        "of-entry": {"providers": {"alpha": {"budgets": tiny}}},
        "free": {},
    }

    async def main() -> None:
        async with serving(
            providers={"alpha": settings(), "beta": settings()},
            provider_settings={"beta": {"budgets": tiny}},
            models={"chat": ["alpha/gpt-4o-mini"], "other": ["beta/gpt-4o-mini"]},
            governance=governance(keys, teams={"research": {"budgets": tiny}}, customers={"acme": {"budgets": tiny}}),
            pricing=prices("alpha/gpt-4o-mini", "beta/gpt-4o-mini"),
        ) as gateway:
            named = {
                "own": "virtual key own",
                "of-team": "team research",
                "of-customer": "customer acme",
                "of-entry": "virtual key and provider of-entry/alpha",
            }
            for key, owner in named.items():
                answer = await gateway.ask(chat(), headers=bearer(key))
                assert answer.status == 402
                message = answer.json["error"]["message"]
                assert f"the budget of $0.000000001 per day of {owner}" in message
            answer = await gateway.ask(chat("other"), headers=bearer("free"))
            assert answer.status == 402
            assert "of provider beta" in answer.json["error"]["message"]
            assert (await gateway.ask(chat(), headers=bearer("free"))).status == 200
            assert sum(one.counters.requests_received for one in gateway.providers.values()) == 1

    run(main())


def test_cheaper_candidate_serves_if_the_expensive_one_does_not_fit() -> None:
    """The verdict gives the reason."""

    async def main() -> None:
        async with serving(
            providers={"dear": settings(), "cheap": settings()},
            models={"chat": ["dear/gpt-4o", "cheap/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd("0.001", "day")}}),
            pricing={
                "overrides": [
                    {"model": "dear/*", "input_usd_per_million": 10, "output_usd_per_million": 1000},
                    {"model": "cheap/*", "input_usd_per_million": "0.15", "output_usd_per_million": "0.6"},
                ]
            },
        ) as gateway:
            answer = await gateway.ask(chat(max_tokens=100), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "cheap")
            [record] = await gateway.wait_for_records(1)
            assert record["verdicts"][0].startswith("dear/gpt-4o: the budget of $0.001 per day of virtual key me")

    run(main())


def test_unknown_price_is_rejected_under_a_budget_and_flagged_without() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/unknown-model"]},
            provider_settings={"alpha": {"serves": ["*"]}},
            governance=governance({"me": {"budgets": usd(1)}, "free": {}}),
        ) as gateway:
            answer = await gateway.ask(chat(), headers=bearer("me"))
            assert (answer.status, answer.json["error"]["code"]) == (403, "price_unknown")
            assert "pricing.overrides" in answer.json["error"]["message"]

    run(main())


def test_batch_is_rejected_under_a_budget_with_the_reason() -> None:
    body = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            governance=governance({"me": {"budgets": usd(1)}, "free": {}}),
            routing={"unowned_state": "allow"},
        ) as gateway:
            answer = await gateway.ask(body, path="/v1/batches", headers=bearer("me"))
            assert (answer.status, answer.json["error"]["code"]) == (403, "price_unknown")
            assert answer.json["error"]["message"].startswith(
                "no target for a request that names no model has a known maximum cost: alpha: its cost is unknown until"
            )
            answer = await gateway.ask(body, path="/v1/batches", headers=bearer("free"))
            assert answer.headers["x-pointsman-provider"] == "alpha"

    run(main())
