"""Provider keys: the models they serve, and rejected keys."""

from collections import Counter
from time import monotonic
from typing import Any

from msgspec.structs import replace

from integration.gateway import Gateway, chat, run, serving, until
from pointsman.routing.health import CREDENTIAL_BLOCK_S
from pointsman.simulate import Settings

ENVIRON = {"FIRST_KEY": "sk-first-0123456789", "SECOND_KEY": "sk-second-0123456789"}
FIRST, SECOND = ENVIRON.values()
MODELS = {"chat": ["alpha/gpt-4o-mini"]}


def serving_keys(
    first: dict[str, Any], second: dict[str, Any], faults: tuple[str, str] = ("", ""), **sections: Any
) -> Any:
    """Run one provider with two keys; `faults` apply to all requests with the first and the second."""
    keys = {"first": {"value": "env.FIRST_KEY", **first}, "second": {"value": "env.SECOND_KEY", **second}}
    return serving(
        providers={"alpha": Settings(keys=dict(zip((FIRST, SECOND), faults, strict=True)))},
        provider_settings={"alpha": {"keys": keys}},
        environ=ENVIRON,
        **{"models": MODELS, **sections},
    )


def used(gateway: Gateway) -> Counter[str]:
    return Counter(entry.key for entry in gateway.providers["alpha"].bill.entries)


PREFERRED, SPARE = {"weight": 1_000_000_000}, {"weight": 1}


def test_key_is_used_only_for_models_that_it_serves() -> None:
    async def main() -> None:
        async with serving_keys(
            {"serves": ["gpt-4o*"]}, {"serves": ["text-*"]}, models={"chat": ["alpha/gpt-4o-mini", "alpha/tts-1"]}
        ) as gateway:
            await gateway.ask_many(20, 2, chat("alpha/gpt-4o"))
            assert used(gateway) == {FIRST: 20}
            body = {"model": "alpha/text-embedding-3-small", "input": "x"}
            await gateway.ask_many(20, 2, body, path="/v1/embeddings")
            assert used(gateway) == {FIRST: 20, SECOND: 20}
            unserved = await gateway.ask(chat("alpha/omni-moderation-latest"))
            assert unserved.status == 503
            assert unserved.json["error"]["code"] == "no_target_available"
            assert "no key of alpha serves" in unserved.json["error"]["message"]
            assert sum(used(gateway).values()) == 40

    run(main())


def test_rejected_key_is_blocked_and_later_retried() -> None:
    async def main() -> None:
        async with serving_keys(PREFERRED, SPARE) as gateway:
            alpha = gateway.providers["alpha"]
            alpha._key_faults[FIRST]["status"] = 401
            began_at = monotonic()
            for answer in await gateway.ask_many(50, 1, chat()):
                assert answer.status == 200
            assert used(gateway) == {FIRST: 1, SECOND: 50}
            assert not gateway.live.conditions  # this is no failure of the provider
            records = await gateway.wait_for_records(50)
            assert [attempt["key"] for attempt in records[0]["attempts"]] == ["first", "second"]
            assert records[0]["attempts"][0]["outcome"] == "upstream_credential_rejected"
            blocks = [name for name in await gateway.metrics() if name.startswith("pointsman_key_blocked_seconds")]
            assert len(blocks) == 1
            assert 'key="first"' in blocks[0]
            # The key is valid again, and its block ends. The test moves the end of the block instead of waiting.
            alpha._key_faults[FIRST].clear()
            block = gateway.live.key_blocks["alpha", "first", None]
            assert block.until - monotonic() <= CREDENTIAL_BLOCK_S <= block.until - began_at
            gateway.live.key_blocks["alpha", "first", None] = replace(block, until=monotonic())
            for answer in await gateway.ask_many(10, 1, chat()):
                assert answer.status == 200
            assert used(gateway) == {FIRST: 11, SECOND: 50}
            assert not gateway.live.key_blocks

    run(main())


def test_rate_limited_key_is_blocked_until_the_stated_time() -> None:
    async def main() -> None:
        async with serving_keys(PREFERRED, SPARE) as gateway:
            alpha = gateway.providers["alpha"]
            alpha._key_faults[FIRST]["rate_limit"] = 2.0
            first = await gateway.ask(chat())
            assert first.status == 200
            limited_at = alpha.bill.entries[0].received_at
            alpha._key_faults[FIRST].clear()
            while FIRST not in {entry.key for entry in alpha.bill.entries[1:]}:
                assert (await gateway.ask(chat())).status == 200
            again_at = next(entry.received_at for entry in alpha.bill.entries[1:] if entry.key == FIRST)
            assert 2.0 <= again_at - limited_at < 10.0
            assert not gateway.live.conditions

    run(main())


def test_request_waits_for_short_limits_of_all_keys() -> None:
    async def main() -> None:
        async with serving_keys({}, {}) as gateway:
            alpha = gateway.providers["alpha"]
            for faults in alpha._key_faults.values():
                faults["rate_limit"] = 1.0
            began_at = monotonic()
            client = await gateway.connect()
            client.send(chat())
            await until(lambda: len(alpha.bill.entries) == 2, "both keys were used")
            for faults in alpha._key_faults.values():
                faults.clear()
            answer = await client.receive()
            await client.close()
            assert answer.status == 200
            assert answer.headers["x-pointsman-attempts"] == "3"
            assert 1.0 <= monotonic() - began_at < 10.0
            # A request that arrives while all keys are blocked waits too, without an attempt.
            (record,) = await gateway.wait_for_records(1)
            outcomes = [attempt["outcome"] for attempt in record["attempts"]]
            assert outcomes == ["upstream_rate_limited", "upstream_rate_limited", "ok"]

    run(main())


def test_long_limit_of_every_key_is_returned_to_the_client() -> None:
    async def main() -> None:
        async with serving_keys({}, {}, ("rate_limit=20", "rate_limit=30")) as gateway:
            first = await gateway.ask(chat())
            second = await gateway.ask(chat())
            for answer in (first, second):
                assert answer.status == 429
                assert answer.json["error"]["code"] == "upstream_rate_limited"
                assert 10 <= int(answer.headers["retry-after"]) <= 20
            assert first.headers["x-should-retry"] == "true"
            assert used(gateway) == {FIRST: 1, SECOND: 1}  # the second request made no attempt
            assert not gateway.live.conditions

    run(main())


def test_exhausted_quota_blocks_the_key() -> None:
    """Waiting does not resolve a 429 with `insufficient_quota`."""

    async def main() -> None:
        async with serving_keys(PREFERRED, SPARE, ("insufficient_quota", "")) as gateway:
            for answer in await gateway.ask_many(20, 1, chat()):
                assert answer.status == 200
            assert used(gateway) == {FIRST: 1, SECOND: 20}

    run(main())


def test_rejection_of_every_key_is_a_clear_error() -> None:
    async def main() -> None:
        async with serving_keys({}, {}, ("status=401", "status=401")) as gateway:
            answer = await gateway.ask(chat())
            assert answer.status == 502
            assert answer.json["error"]["code"] == "upstream_credential_rejected"
            assert answer.headers["x-should-retry"] == "false"
            for name in ("key first", "key second"):
                assert name in answer.json["error"]["message"]
            assert "sk-" not in answer.json["error"]["message"].replace("sk-******", "")
            later = await gateway.ask(chat())
            assert later.status == 503
            assert sum(used(gateway).values()) == 2

    run(main())


def test_virtual_key_uses_only_its_own_provider_keys() -> None:
    """This holds for every state of the allowed key, and for every request."""
    environ = {**ENVIRON, "DEVELOPER": "pm-a-developer-of-24-characters"}
    governance = {
        "require_key": True,
        "virtual_keys": {"dev": {"value": "env.DEVELOPER", "providers": {"alpha": {"keys": ["second"]}}}},
    }
    headers = {"authorization": f"Bearer {environ['DEVELOPER']}"}

    async def main() -> None:
        keys = {"first": {"value": "env.FIRST_KEY", "weight": 9}, "second": {"value": "env.SECOND_KEY"}}
        async with serving(
            providers={"alpha": Settings(keys={FIRST: "", SECOND: ""})},
            provider_settings={"alpha": {"keys": keys}},
            environ=environ,
            models=MODELS,
            governance=governance,
            routing={"max_attempts": 2},
        ) as gateway:
            alpha = gateway.providers["alpha"]
            assert (await gateway.ask(chat(), headers=headers)).status == 200
            for fault, status in (("rate_limit=30", 429), ("status=500", 502), ("status=401", 503)):
                alpha.set_fault(fault)
                for model in ("chat", "alpha/gpt-4o-mini"):
                    for stream in (False, True):
                        answer = await gateway.ask(chat(model, stream=stream), headers=headers)
                        assert answer.status in (status, 429, 502)
                gateway.live.key_blocks.clear()
                gateway.live.change()
            alpha.set_fault(None)
            file = {"path": "/v1/files", "headers": {**headers, "x-pointsman-provider": "alpha"}, "method": "GET"}
            await gateway.ask(None, **file)
            assert set(used(gateway)) <= {SECOND}
            assert {request.headers.get("authorization") for request in alpha.requests} == {f"Bearer {SECOND}"}

    run(main())
