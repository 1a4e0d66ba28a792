"""A fault affects only its subject: one model, one key, one operation, or one request."""

import asyncio
from collections import Counter
from time import monotonic
from typing import Any

import pytest
from msgspec.structs import replace

from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

BIG, SMALL, OTHER = "alpha/gpt-4o", "alpha/gpt-4o-mini", "beta/gpt-4o-mini"
EMBEDDING = f"{SMALL}\tembedding"  # the health of the same model at another operation
MODELS = {
    "big": [BIG],
    "small": [SMALL],
    "both": {"targets": [BIG], "fallbacks": [SMALL]},
    "any": [SMALL, OTHER],
}


def one(**settings: Any) -> Any:
    """Return one provider with one key."""
    return serving(
        providers={"alpha": Settings(**settings)}, models={"big": [BIG], "small": [SMALL], "both": MODELS["both"]}
    )


def two(routing: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Return a provider with the given settings, and a healthy one behind it."""
    providers = {"alpha": Settings(**settings), "beta": Settings()}
    return serving(providers=providers, models=MODELS, routing=routing or {})


def arrivals(gateway: Gateway, name: str = "alpha") -> Counter[str]:
    return Counter(entry.model for entry in gateway.providers[name].bill.entries)


def nothing_is_blocked(gateway: Gateway) -> bool:
    return not gateway.live.key_blocks and not gateway.live.conditions


def test_limit_of_one_model_leaves_the_key_to_the_others() -> None:
    async def main() -> None:
        async with one(model_faults={"gpt-4o": "rate_limit=3600"}) as gateway:
            first = await gateway.ask(chat("both"))
            assert first.status == 200, "the declared fallback at the same provider did not serve"
            assert first.headers["x-pointsman-model"] == "gpt-4o-mini"
            for name in ("small", "both"):
                for answer in await gateway.ask_many(5, 1, chat(name)):
                    assert answer.status == 200
            assert arrivals(gateway) == {"gpt-4o": 1, "gpt-4o-mini": 11}
            refused = await gateway.ask(chat("big"))
            assert refused.status == 429
            assert 3500 < int(refused.headers["retry-after"]) <= 3600

    run(main())


def test_limit_of_the_account_holds_for_every_model() -> None:
    async def main() -> None:
        async with one(model_faults={"gpt-4o": "key_limit=20"}) as gateway:
            for name in ("big", "small"):
                assert (await gateway.ask(chat(name))).status == 429
            assert arrivals(gateway) == {"gpt-4o": 1}
            assert list(gateway.live.key_blocks) == [("alpha", "only", None)]

    run(main())


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("usage_guidelines", 403, "violates usage guidelines"),
        ("forbidden", 502, "This cannot be done"),
        ("content_filter", 400, "filtered"),
        ("context_length", 400, "maximum context length"),
        ("too_large", 413, "Request too large"),
    ],
)
def test_rejected_request_affects_no_other(fault: str, status: int, message: str) -> None:
    async def main() -> None:
        async with one() as gateway:
            for answer in await gateway.ask_many(10, 2, chat("small", user=f"fault:{fault}")):
                assert (answer.status, answer.headers["x-should-retry"]) == (status, "false")
                assert message in answer.json["error"]["message"]
            assert nothing_is_blocked(gateway)
            assert (await gateway.ask(chat("small"))).status == 200
            assert arrivals(gateway) == {"gpt-4o-mini": 11}

    run(main())


@pytest.mark.parametrize(
    ("fault", "outcome", "model"),
    [
        ("wrong_key", "upstream_credential_rejected", None),
        ("status=401", "upstream_credential_rejected", None),
        ("status=403", "upstream_credential_rejected", None),
        ("no_balance", "upstream_balance_empty", None),
        ("insufficient_quota", "upstream_balance_empty", None),
        ("model_denied", "upstream_model_denied", "gpt-4o-mini"),
    ],
)
def test_rejected_key_is_blocked_in_any_wording_and_recovers_soon(fault: str, outcome: str, model: str | None) -> None:
    async def main() -> None:
        async with two() as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault(fault)
            for answer in await gateway.ask_many(10, 1, chat("any")):
                assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "beta")
            assert arrivals(gateway) == {"gpt-4o-mini": 1}
            records = await gateway.wait_for_records(10)
            assert records[0]["attempts"][0]["outcome"] == outcome
            assert list(gateway.live.key_blocks) == [("alpha", "only", model)]
            # The key works again. Without an alternative, it is tried before its block ends.
            alpha.set_fault(None)
            name, block = next(iter(gateway.live.key_blocks.items()))
            assert (await gateway.ask(chat("small"))).status == 503
            gateway.live.key_blocks[name] = replace(block, probe_at=monotonic())
            assert (await gateway.ask(chat("small"))).status == 200
            assert nothing_is_blocked(gateway)
            assert (await gateway.ask(chat("any"))).headers["x-pointsman-provider"] == "alpha"

    run(main())


@pytest.mark.parametrize("status", [501, 404, 405])
def test_server_without_embeddings_still_serves_chats(status: int) -> None:
    async def main() -> None:
        async with two(path_faults={"/v1/embeddings": f"no_endpoint={status}"}) as gateway:
            body = {"model": "small", "input": "x"}
            for answer in await gateway.ask_many(5, 1, body, path="/v1/embeddings"):
                assert answer.status == status
            assert set(gateway.live.conditions) == {EMBEDDING}
            for answer in await gateway.ask_many(5, 1, chat("any")):
                assert answer.headers["x-pointsman-provider"] == "alpha"
            before = arrivals(gateway)["gpt-4o-mini"]
            for answer in await gateway.ask_many(5, 1, {"model": "any", "input": "x"}, path="/v1/embeddings"):
                assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "beta")
            assert arrivals(gateway)["gpt-4o-mini"] == before, "alpha received an embedding request"

    run(main())


def test_unsupported_embedding_fails_over() -> None:
    async def main() -> None:
        async with two(path_faults={"/v1/embeddings": "no_endpoint"}) as gateway:
            answer = await gateway.ask({"model": "any", "input": "x"}, path="/v1/embeddings")
            assert (answer.status, answer.headers["x-pointsman-attempts"]) == (200, "2")

    run(main())


def test_embeddings_that_fail_do_not_open_the_breaker_of_the_chat() -> None:
    async def main() -> None:
        async with two(path_faults={"/v1/embeddings": "status=500"}) as gateway:
            body = {"model": "any", "input": "x"}
            await gateway.ask_many(8, 1, body, path="/v1/embeddings")
            assert (await gateway.ask(chat("any"))).headers["x-pointsman-provider"] == "alpha"
            assert set(gateway.live.conditions) == {EMBEDDING}

    run(main())


def test_recovered_provider_is_back_within_the_maximum_block() -> None:
    cap_s = 0.3

    async def main() -> None:
        async with two(routing={"health": {"failures": 1, "max_block_s": cap_s}}) as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("refuse")
            began_at = monotonic()
            while monotonic() - began_at < 4 * cap_s:
                assert (await gateway.ask(chat("any"))).headers["x-pointsman-provider"] == "beta"
            condition = gateway.live.conditions[SMALL]
            assert condition.blocked_until - monotonic() <= cap_s
            assert condition.blocks > 2, "the provider was not blocked repeatedly"
            alpha.set_fault(None)
            await asyncio.sleep(max(condition.blocked_until - monotonic(), 0))
            assert (await gateway.ask(chat("any"))).headers["x-pointsman-provider"] == "alpha"
            assert nothing_is_blocked(gateway)

    run(main())


def test_waiting_requests_are_sent_when_their_limit_ends() -> None:
    """Many requests wait for one limit. Just before it ends, another request is limited again."""

    async def main() -> None:
        async with one() as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("rate_limit=1")
            waiting = [asyncio.create_task(gateway.ask(chat("small")))]
            await until(lambda: gateway.live.key_blocks, "the key is blocked")
            waiting += [asyncio.create_task(gateway.ask(chat("small"))) for _ in range(20)]
            await until(lambda: gateway.worker.plane.server.requests == 21, "all requests wait")
            assert alpha.counters.requests_received == 1
            (name, block), *_ = gateway.live.key_blocks.items()
            gateway.live.key_blocks[name] = replace(block, until=block.until + 3600, probe_at=block.until + 3600)
            alpha.set_fault(None)
            for answer in await asyncio.gather(*waiting):
                assert answer.status == 200, "a request waited and was rejected"

    run(main())
