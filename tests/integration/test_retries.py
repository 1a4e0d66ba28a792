"""Retries never multiply, and the fault of a failure decides the next attempt."""

import asyncio
from collections import Counter
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

ONE = {"alpha": Settings()}
TWO = {"alpha": Settings(), "beta": Settings()}
THREE = {**TWO, "gamma": Settings()}
IN_ORDER = {"chat": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]}


def arrivals(gateway: Gateway) -> dict[str, int]:
    return {name: provider.counters.requests_received for name, provider in gateway.providers.items()}


@pytest.mark.parametrize("calls", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", ["status=500", "status=503", "reset", "error_in_200"])
def test_retries_of_sdk_and_gateway_do_not_multiply(fault: str, calls: int) -> None:
    """The official client runs with its default retries and every provider is dead: one request per call."""

    async def main() -> None:
        async with serving(
            providers=THREE,
            models={"chat": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini", "gamma/gpt-4o-mini"]},
            routing={"max_attempts": 3},
        ) as gateway:
            for provider in gateway.providers.values():
                provider.set_fault(fault)
            # Not all at once: on a busy machine, connecting would exceed the timeouts of client and gateway.
            turn = asyncio.Semaphore(50)
            async with AsyncOpenAI(base_url=gateway.base_url, api_key="unused", timeout=60) as client:
                assert client.max_retries == 2

                async def call() -> str:
                    async with turn:
                        with pytest.raises(openai.InternalServerError) as caught:
                            await client.chat.completions.create(**chat())
                    assert caught.value.response.headers["x-should-retry"] == "false"
                    assert caught.value.status_code in (502, 503)
                    return caught.value.message

                messages = await asyncio.gather(*(call() for _ in range(calls)))
            records = await gateway.wait_for_records(calls)
            assert len(records) == calls
            outcomes = Counter(attempt["outcome"] for record in records for attempt in record["attempts"])
            assert outcomes.total() <= 3 * calls
            # If the machine is busy for seconds, some connections cannot be made in time.
            assert sum(arrivals(gateway).values()) == outcomes.total() - outcomes["connect_timeout"], outcomes
            print(f"{fault}: {calls} calls, {len(records)} requests, attempts: {dict(outcomes)}")
            for message in messages:
                assert sum(f"{name}/gpt-4o-mini" in message for name in gateway.providers) >= 2

    run(main())


def test_single_provider_is_retried_after_a_pause() -> None:
    async def main() -> None:
        async with serving(providers=ONE, models={"chat": ["alpha/gpt-4o-mini"]}) as gateway:
            alpha = gateway.providers["alpha"]
            alpha.set_fault("status=500")
            asking = asyncio.create_task(gateway.ask(chat()))
            await until(
                lambda: alpha.bill.entries and alpha.bill.entries[0].outcome != "open", "the first attempt has failed"
            )
            alpha.set_fault(None)
            answer = await asking
            assert answer.status == 200
            assert answer.headers["x-pointsman-attempts"] == "2"
            (record,) = await gateway.wait_for_records(1)
            first, second = record["attempts"]
            pause_us = second["start_us"] - first["start_us"] - first["duration_us"]
            assert pause_us >= 180_000
            assert record["gateway_us"] < pause_us  # the pause is not the gateway's own time

    run(main())


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("status=400", 400, openai.BadRequestError),
        ("status=422", 422, openai.UnprocessableEntityError),
        ("status=413", 413, openai.APIStatusError),
    ],
)
def test_bad_request_is_returned_in_the_providers_words(
    fault: str, status: int, kind: type[openai.APIStatusError]
) -> None:
    async def main() -> None:
        async with (
            serving(providers=TWO, models=IN_ORDER) as gateway,
            AsyncOpenAI(base_url=gateway.base_url, api_key="unused") as client,
        ):
            gateway.providers["alpha"].set_fault(fault)
            for stream in (False, True):
                with pytest.raises(kind) as caught:
                    await client.chat.completions.create(**chat(stream=stream))
                assert caught.value.status_code == status
                assert f"The request failed with status {status}." in caught.value.message
            assert arrivals(gateway) == {"alpha": 2, "beta": 0}
            assert not gateway.live.conditions

    run(main())


def test_long_prompt_goes_to_a_declared_fallback_only() -> None:
    models: dict[str, Any] = {
        **IN_ORDER,
        "long": {"strategy": "priority", "targets": ["alpha/gpt-4o-mini"], "fallbacks": ["beta/gpt-4o"]},
    }

    async def main() -> None:
        async with serving(providers=TWO, models=models) as gateway:
            gateway.providers["alpha"].set_fault("context_length")
            for stream in (False, True):
                refused = await gateway.ask(chat("chat", stream=stream))
                assert refused.status == 400
                assert refused.json["error"]["code"] == "context_length_exceeded"
                assert "maximum context length is 128000" in refused.json["error"]["message"]
                assert arrivals(gateway)["beta"] == 0 if not stream else True
                served = await gateway.ask(chat("long", stream=stream))
                assert served.status == 200
                assert served.headers["x-pointsman-provider"] == "beta"
                assert served.headers["x-pointsman-model"] == "gpt-4o"
                assert served.headers["x-pointsman-attempts"] == "2"
            assert arrivals(gateway) == {"alpha": 4, "beta": 2}
            assert not gateway.live.conditions

    run(main())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_fallbacks_of_the_body_are_used_and_not_sent(stream: bool) -> None:
    async def main() -> None:
        async with serving(providers=TWO) as gateway:
            gateway.providers["alpha"].set_fault("status=500")
            body = chat("alpha/gpt-4o-mini", stream=stream, fallbacks=["beta/gpt-4o"])
            answer = await gateway.ask(body)
            assert answer.status == 200
            assert answer.headers["x-pointsman-provider"] == "beta"
            assert answer.headers["x-pointsman-model"] == "gpt-4o"
            for provider in gateway.providers.values():
                assert b"fallbacks" not in provider.requests[-1].body

    run(main())


def test_name_without_a_provider_fails_over_between_two_providers() -> None:
    both = {"serves": ["gpt-4o*"]}

    async def main() -> None:
        async with serving(providers=TWO, provider_settings={"alpha": both, "beta": both}) as gateway:
            gateway.providers["alpha"].set_fault("status=500")
            answer = await gateway.ask(chat("gpt-4o-mini"))
            assert answer.status == 200
            assert answer.headers["x-pointsman-provider"] == "beta"
            unknown = await gateway.ask(chat("tts-9"))
            assert unknown.status == 404
            assert unknown.json["error"]["code"] == "model_not_found"

    run(main())


def test_public_name_falls_back_in_the_order_it_declares() -> None:
    models = {
        "chat": {
            "strategy": "priority",
            "targets": ["alpha/gpt-4o-mini"],
            "fallbacks": ["beta/gpt-4o-mini", "gamma/gpt-4o-mini"],
        }
    }

    async def main() -> None:
        async with serving(providers=THREE, models=models) as gateway:
            gateway.providers["alpha"].set_fault("status=503")
            gateway.providers["beta"].set_fault("reset")
            answer = await gateway.ask(chat())
            assert answer.headers["x-pointsman-provider"] == "gamma"
            assert answer.headers["x-pointsman-attempts"] == "3"

    run(main())


def test_final_error_names_every_tried_target() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=IN_ORDER, routing={"max_attempts": 2}) as gateway:
            gateway.providers["alpha"].set_fault("status=500")
            gateway.providers["beta"].set_fault("refuse")
            answer = await gateway.ask(chat())
            assert answer.status == 502
            error = answer.json["error"]
            assert error["code"] == "all_attempts_failed"
            for part in ("alpha/gpt-4o-mini", "beta/gpt-4o-mini", "returned 500", "no connection"):
                assert part in error["message"]
            assert answer.headers["x-pointsman-request-id"] in error["message"]
            assert answer.headers["x-should-retry"] == "false"
            gateway.providers["beta"].set_fault(None)

    run(main())
