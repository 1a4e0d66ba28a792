"""A silent provider is abandoned early enough for another one. A slow one is waited for."""

from typing import Any

import pytest

from integration.gateway import chat, run, serving
from pointsman.simulate import Settings

TWO = {"alpha": Settings(), "beta": Settings()}
TARGETS = ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]


async def ask(fault: str, settings: dict[str, Any], *, stream: bool, is_global: bool = False) -> None:
    """Send a request while alpha has the fault and beta is healthy. The answer comes from beta before half of the
    request's time is over, after one attempt at each."""
    own: dict[str, Any] = {} if is_global else settings
    models = {"chat": {"strategy": "priority", "targets": TARGETS, **own}}
    routing = settings if is_global else {}
    async with serving(providers=TWO, models=models, routing=routing) as gateway:
        gateway.providers["alpha"].set_fault(fault)
        answer = await gateway.ask(chat(stream=stream))
        assert answer.status == 200
        assert answer.headers["x-pointsman-provider"] == "beta"
        (record,) = await gateway.wait_for_records(1)
        assert [attempt["outcome"] for attempt in record["attempts"]] == ["upstream_timeout", "ok"]
        assert record["attempts"][0]["duration_us"] < 60e6
        gateway.providers["alpha"].set_fault(None)


@pytest.mark.parametrize("is_global", [False, True], ids=["by name", "for all"])
@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("hang", {"timeouts": {"stream_head_s": 0.3}}),
        ("hang", {"failover": {"first_token_s": 0.3}}),
        ("hang_after_head", {"failover": {"first_token_s": 0.3}}),
    ],
)
def test_silent_stream_fails_over(fault: str, settings: dict[str, Any], is_global: bool) -> None:
    run(ask(fault, settings, stream=True, is_global=is_global))


@pytest.mark.parametrize("fault", ["hang", "hang_after_head"])
@pytest.mark.parametrize("is_global", [False, True], ids=["by name", "for all"])
def test_response_timeout_applies_to_whole_answers(fault: str, is_global: bool) -> None:
    run(ask(fault, {"timeouts": {"response_s": 0.3}}, stream=False, is_global=is_global))


def test_target_has_its_own_timeout() -> None:
    first = {"model": TARGETS[0], "timeouts": {"response_s": 0.3}}
    run(ask("hang", {"targets": [first, TARGETS[1]]}, stream=False))


def test_slow_stream_of_the_last_candidate_is_served() -> None:
    """The only target, and the last one of several, get more time than the limit for a head."""

    async def main() -> None:
        limits: dict[str, Any] = {"timeouts": {"stream_head_s": 0.2}, "failover": {"first_token_s": 0.2}}
        models = {"only": [TARGETS[0]], "chat": TARGETS}
        slow = {name: Settings(first_token_ms=1000.0) for name in TWO}
        async with serving(providers=slow, models=models, routing=limits) as gateway:
            answer = await gateway.ask(chat("only", stream=True))
            assert (answer.status, answer.headers["x-pointsman-attempts"]) == (200, "1")
            answer = await gateway.ask(chat("chat", stream=True))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "beta")

    run(main())


def test_slow_answer_that_is_not_streamed_keeps_its_long_limit() -> None:
    async def main() -> None:
        slow = {"alpha": Settings(first_token_ms=1000.0), "beta": Settings()}
        limits: dict[str, Any] = {"timeouts": {"stream_head_s": 0.2}, "failover": {"first_token_s": 0.2}}
        async with serving(providers=slow, models={"chat": TARGETS}, routing=limits) as gateway:
            answer = await gateway.ask(chat())
            assert (answer.headers["x-pointsman-provider"], answer.headers["x-pointsman-attempts"]) == ("alpha", "1")

    run(main())


def test_useless_answer_is_retried_only_once() -> None:
    async def main() -> None:
        async with serving(providers={"alpha": Settings()}, models={"chat": [TARGETS[0]]}) as gateway:
            alpha = gateway.providers["alpha"]
            for fault, stream in (
                ("malformed_json", False),
                ("malformed_sse,malformed_json", True),
                ("close_at=400", False),
                ("role_only_then_die", True),
            ):
                before = alpha.counters.requests_received
                alpha.set_fault(fault)
                assert (await gateway.ask(chat(stream=stream))).status == 502
                assert alpha.counters.requests_received - before == 2
            alpha.set_fault(None)

    run(main())


@pytest.mark.parametrize(
    ("fault", "causes", "status"),
    [
        ("context_length", None, 200),
        ("context_length", ["provider"], 400),
        ("status=500", ["quota"], 502),
        ("status=500", ["provider"], 200),
        ("rate_limit=60", ["provider"], 429),
        ("rate_limit=60", ["quota"], 200),
        ("status=422", None, 422),
        ("status=422", ["refusal"], 422),
        ("status=422", ["rejection"], 200),
    ],
)
@pytest.mark.parametrize("is_global", [False, True], ids=["by name", "for all"])
def test_fallback_is_used_for_configured_failures_only(
    fault: str, causes: list[str] | None, status: int, is_global: bool
) -> None:
    async def main() -> None:
        routing: dict[str, Any] = {"failover": {"fallback_on": causes}} if causes else {}
        own = {} if is_global else routing
        models = {"chat": {"strategy": "priority", "targets": TARGETS[:1], "fallbacks": TARGETS[1:], **own}}
        async with serving(providers=TWO, models=models, routing=routing if is_global else {}) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            answer = await gateway.ask(chat())
            assert answer.status == status
            assert gateway.providers["beta"].counters.requests_received == (status == 200)
            gateway.providers["alpha"].set_fault(None)

    run(main())
