"""Near a limit, answers are shortened to fit if configured. The limit is used up and never exceeded. Tests compare
it with the provider's bill."""

import asyncio
import json
import re
from typing import Any

import pytest

from integration.client import Answer, Client
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd
from pointsman.money.fit import MIN_OUTPUT
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

PER_TOKEN = 1000  # nano-dollars for a token of an answer; a prompt costs nothing
OUTPUT_ONLY = Price(input_pico=0, output_pico=PER_TOKEN * 1000, cached_pico=0)
FREE_INPUT = {"input_usd_per_million": "0", "cached_input_usd_per_million": "0", "output_usd_per_million": "1"}
WORKERS = [pytest.param(1, marks=pytest.mark.slow), 3]
REJECTIONS = 3  # consecutive rejections before the limit counts as used up, because releases by others may be late
COMPLETION = {"model": "chat", "prompt": "Say something"}


def governed(tokens: int, workers: int, near_limit: str = "shorten", **provider: Any) -> Any:
    """Run a gateway whose only key may spend this number of tokens. Answers are as long as allowed."""
    fields = {"price": OUTPUT_ONLY, "output_tokens": "max_tokens", "kept_requests": 1000, **provider}
    return serving(
        providers={"alpha": Settings(**fields)},
        models={"chat": ["alpha/gpt-4o-mini"]},
        governance=governance({"me": {"budgets": usd(f"{tokens * PER_TOKEN / NANO:.9f}")}}, near_limit=near_limit),
        pricing=prices("alpha/gpt-4o-mini", output_tokens=500, **FREE_INPUT),
        server={"workers": workers},
        as_process=True,
    )


async def ask(gateway: Gateway, body: Any, path: str) -> Answer:
    """Send a request on its own connection, so that every worker serves some."""
    client = await Client.connect(gateway.port)
    try:
        return await client.ask(body, path=path, headers=bearer("me"))
    finally:
        await client.close()


async def ask_until_rejected(gateway: Gateway, body: Any, path: str) -> list[Answer]:
    answers: list[Answer] = []
    while [answer.status for answer in answers[-REJECTIONS:]] != [402] * REJECTIONS:
        answers.append(await ask(gateway, body, path))
    return answers


@pytest.mark.parametrize(
    ("path", "body", "field", "workers"),
    [
        ("/v1/chat/completions", chat(max_tokens=100), "max_tokens", 1),
        ("/v1/chat/completions", chat(max_tokens=100, stream=True), "max_tokens", 3),
        ("/v1/chat/completions", chat(max_completion_tokens=100, stream=True), "max_completion_tokens", 1),
        ("/v1/chat/completions", chat(n=2), "max_tokens", 3),
        ("/v1/completions", {**COMPLETION, "max_tokens": 100}, "max_tokens", 3),
        ("/v1/responses", {"model": "chat", "input": "Say", "max_output_tokens": 100}, "max_output_tokens", 1),
    ],
)
def test_limit_is_used_up_to_the_shortest_useful_answer(
    path: str, body: dict[str, Any], field: str, workers: int
) -> None:
    limit = 630
    wanted = body.get(field, 500)

    async def main() -> None:
        async with governed(limit, workers) as gateway:
            answers = await ask_until_rejected(gateway, body, path)
            assert {answer.status for answer in answers} == {200, 402}
            reported = [answer.headers.get("x-pointsman-max-tokens") for answer in answers if answer.status == 200]
            shortened = [int(tokens) for tokens in reported if tokens is not None]
            sent = [json.loads(request.body)[field] for request in gateway.providers["alpha"].requests]
            assert [int(tokens or wanted) for tokens in reported] == sent, (
                "the reported bound differs from the sent one"
            )
            assert shortened
            assert all(MIN_OUTPUT <= tokens < wanted for tokens in shortened)
            spent = billed_nano(gateway) // PER_TOKEN
            assert limit - MIN_OUTPUT * body.get("n", 1) < spent <= limit
            message = answers[-1].json["error"]["message"]
            assert "the budget of $0.00063 per year of virtual key me " in message
            records = await gateway.wait_for_records(len(answers))
            served = [record for record in records if record["status"] == 200 and "verdicts" in record]
            verdicts = [(record["attempts"][0]["max_tokens"], record["verdicts"][0]) for record in served]
            assert sorted(tokens for tokens, _ in verdicts) == sorted(shortened)
            assert all(
                f"the answer is limited to {tokens} tokens: the budget" in verdict for tokens, verdict in verdicts
            )
            while (found := await gateway.admin(f"/api/v1/requests/{served[0]['request_id']}")).status == 404:
                await asyncio.sleep(0.05)
            assert found.json["attempts"][0]["max_tokens"] == verdicts[0][0]

    run(main())


@pytest.mark.parametrize("workers", WORKERS)
def test_simultaneous_requests_do_not_exceed_the_limit(workers: int) -> None:
    limit = 3 * 100 + 70

    async def main() -> None:
        async with governed(limit, workers, first_token_ms=20.0) as gateway:
            body = chat(max_tokens=100)
            answers = await asyncio.gather(*(ask(gateway, body, "/v1/chat/completions") for _ in range(60)))
            assert {answer.status for answer in answers} <= {200, 402}
            answers += await ask_until_rejected(gateway, body, "/v1/chat/completions")
            spent = billed_nano(gateway) // PER_TOKEN
            assert limit - MIN_OUTPUT < spent <= limit
            metrics = await gateway.metrics()
            assert metrics["pointsman_reservations"] == metrics["pointsman_overruns_total"] == 0

    run(main())


def test_limit_of_tokens_includes_the_prompt() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings(output_tokens="max_tokens")},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance(
                {"me": {"rate_limits": [{"tokens": 3000, "per": "year"}], "near_limit": "shorten"}, "you": {}}
            ),
        ) as gateway:
            shortened, answer = [], await ask(gateway, chat(max_tokens=1000), "/v1/chat/completions")
            while answer.status == 200:
                shortened += [value] if (value := answer.headers.get("x-pointsman-max-tokens")) else []
                answer = await ask(gateway, chat(max_tokens=1000), "/v1/chat/completions")
            assert answer.status == 429
            assert "the limit of 3000 tokens per year of virtual key me has" in answer.json["error"]["message"]
            assert shortened
            totals = gateway.providers["alpha"].bill.totals()
            assert 2000 < totals.tokens_in + totals.tokens_out <= 3000

    run(main())


def test_nothing_is_shortened_by_default() -> None:
    async def main() -> None:
        async with governed(130, 1, near_limit="refuse") as gateway:
            answers = [await ask(gateway, chat(max_tokens=100), "/v1/chat/completions") for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 402]
            assert not any("x-pointsman-max-tokens" in answer.headers for answer in answers)

    run(main())


@pytest.mark.parametrize("workers", WORKERS)
def test_too_large_request_leaves_the_limit_to_smaller_ones(workers: int) -> None:
    async def main() -> None:
        async with governed(1000, workers, near_limit="refuse") as gateway:
            for _ in range(5):
                refused = await ask(gateway, chat(max_tokens=5000), "/v1/chat/completions")
                assert refused.status == 402
                assert "is less than the $0.005" in refused.json["error"]["message"]
                assert (await ask(gateway, chat(max_tokens=20), "/v1/chat/completions")).status == 200
            refused = await ask(gateway, chat(max_tokens=950), "/v1/chat/completions")
            message = refused.json["error"]["message"]
            left = re.search(r"has \$([\d.]+) left(?: and \$([\d.]+) leased to other workers)? until ", message)
            assert left is not None, message
            found = sum(round(float(part) * 1e6) for part in left.groups() if part)
            # The amount held by others includes spending that control has not ingested yet.
            assert found == 900 if workers == 1 else 900 <= found <= 1000, message
            assert (await ask(gateway, chat(max_tokens=900), "/v1/chat/completions")).status == 200
            assert billed_nano(gateway) == 1000 * PER_TOKEN

    run(main())


def test_retry_after_is_absent_if_waiting_does_not_help() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"rate_limits": [{"tokens": 2000, "per": "day"}]}}),
        ) as gateway:
            refused = await ask(gateway, chat(max_tokens=9000), "/v1/chat/completions")
            assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
            assert "retry-after" not in refused.headers
            assert refused.headers["x-should-retry"] == "false"
            assert (await ask(gateway, chat(max_tokens=1000), "/v1/chat/completions")).status == 200

    run(main())


def test_requests_without_a_text_answer_are_rejected() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"embed": ["alpha/text-embedding-3-small"]},
            governance=governance({"me": {"budgets": usd("0.000001")}}, near_limit="shorten"),
            pricing=prices("alpha/*"),
        ) as gateway:
            answer = await ask(gateway, {"model": "embed", "input": "x" * 1000}, "/v1/embeddings")
            assert (answer.status, answer.json["error"]["code"]) == (402, "budget_exceeded")
            assert not gateway.providers["alpha"].requests

    run(main())


PATHS = {
    "/v1/chat/completions": chat(),
    "/v1/completions": {"model": "text", "prompt": "Say"},
    "/v1/responses": {"model": "chat", "input": "Say"},
}


@pytest.mark.parametrize(
    ("provider", "requested", "chat_field"),
    [
        ({}, {}, "max_tokens"),
        ({"output_bound": "max_completion_tokens"}, {}, "max_completion_tokens"),
        ({"catalog": "azure"}, {}, "max_completion_tokens"),
        ({"type": "ollama"}, {}, "max_tokens"),
        ({"type": "vllm"}, {}, "max_completion_tokens"),
        ({}, {"max_completion_tokens": 7}, "max_completion_tokens"),
        ({"output_bound": "max_tokens"}, {"max_completion_tokens": 7}, "max_tokens"),
    ],
)
def test_bound_is_set_in_the_field_of_provider_and_path(
    provider: dict[str, Any], requested: dict[str, Any], chat_field: str
) -> None:
    fields = {"/v1/chat/completions": chat_field, "/v1/completions": "max_tokens", "/v1/responses": "max_output_tokens"}

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            provider_settings={"alpha": provider},
            models={"chat": ["alpha/gpt-4o-mini"], "text": ["alpha/gpt-3.5-turbo-instruct"]},
            governance=governance({"me": {"budgets": usd(1)}}),
            pricing=prices("alpha/*", output_tokens=9),
        ) as gateway:
            for path, field in fields.items():
                is_chat = path == "/v1/chat/completions"
                answer = await ask(gateway, {**PATHS[path], **(requested if is_chat else {})}, path)
                assert answer.status == 200
                sent = json.loads(gateway.providers["alpha"].requests[-1].body)
                bounds = {name: value for name, value in sent.items() if name.startswith("max_")}
                assert bounds == {field: 7 if requested and is_chat else 9}

    run(main())


@pytest.mark.parametrize(("provider", "sent"), [({}, 16), ({"type": "vllm"}, 16), ({"type": "llama-cpp"}, 500)])
def test_limit_does_not_change_the_default_length_of_a_completion(provider: dict[str, Any], sent: int) -> None:
    """The default of OpenAI's API is 16 tokens. The default of some servers is the whole answer."""

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            provider_settings={"alpha": provider},
            models={"text": ["alpha/gpt-3.5-turbo-instruct"]},
            governance=governance({"me": {"rate_limits": [{"tokens": 2000, "per": "year"}]}}),
            pricing=prices("alpha/*", output_tokens=500),
        ) as gateway:
            cases: list[tuple[dict[str, Any], int]] = [
                ({}, sent),
                ({"max_tokens": 100}, 100),
                ({"max_tokens": None}, sent),
            ]
            for requested, expected in cases:
                body = {"model": "text", "prompt": "Say", **requested}
                assert (await ask(gateway, body, "/v1/completions")).status == 200
                assert json.loads(gateway.providers["alpha"].requests[-1].body)["max_tokens"] == expected

    run(main())
