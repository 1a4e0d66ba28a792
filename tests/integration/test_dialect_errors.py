"""Errors come in the dialect of the client, and name the gateway's own request. Only a provider of the same dialect
speaks to the client itself, and only about the request."""

import json
from typing import Any

import anthropic
import openai
import pytest

from integration.dialects import (
    ANSWERS,
    DIALECTS,
    PATHS,
    QUESTION,
    Dialect,
    ScriptedProvider,
    Served,
    sdks,
    serving_dialects,
)
from integration.gateway import Gateway, run
from integration.governance import governance, key_value, prices, usd
from integration.wire import Received, ask

KEY = "sk-secret-of-providers"
ENVIRON = {"PROVIDER_KEY": KEY}
SETTINGS = {"keys": {"only": "env.PROVIDER_KEY"}}
THEIR_IDS = b"request-id: req_011CTheirs\r\nx-request-id: req_011CTheirs\r\n"
BODIES: dict[Dialect, dict[str, Any]] = {
    "chat": {"model": "chat", "messages": QUESTION},
    "messages": {"model": "chat", "messages": QUESTION, "max_tokens": 4000},
    "responses": {"model": "chat", "input": QUESTION, "store": False},
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def check_own(received: Received, dialect: Dialect, status: int) -> str:
    """Check an error of the gateway in a dialect, and return its message."""
    assert received.status == status, received
    own_id = received.headers["x-request-id"]
    assert received.headers["x-pointsman-request-id"] == own_id
    assert received.headers["content-type"] == "application/json"
    named = [value for name, value in received.lines if name in ("request-id", "x-request-id")]
    assert named == [own_id] * (2 if dialect == "messages" else 1), received
    assert KEY.encode() not in received.body
    assert b"req_011CTheirs" not in received.body
    if dialect != "messages":
        message = str(received.error()["message"])
        assert own_id in message
        return message
    body = received.json()
    error: Any = body["error"]
    assert body == {"type": "error", "error": error, "request_id": own_id}
    assert error == {"type": ANTHROPIC_TYPES[status], "message": error["message"]}
    assert error["message"]
    return str(error["message"])


async def post(gateway: Gateway, dialect: Dialect, base: str = "/v1", key: str = "known", **fields: Any) -> Received:
    headers = {"x-api-key" if dialect == "messages" else "authorization": key_value(key)}
    body = json.dumps({**BODIES[dialect], **fields}).encode()
    return await ask(gateway.base_url, "POST", base + PATHS[dialect], body, headers)


def test_errors_before_parsing_are_in_the_dialect_of_the_path() -> None:
    known = {"x-api-key": key_value("known")}
    cases: list[tuple[Dialect, str, str, bytes, dict[str, str], int]] = [
        ("messages", "POST", "/v1/messages", b"{}", {"x-api-key": "pm-wrong-key-of-some-length"}, 401),
        ("messages", "POST", "/v1/messages", b"{}", {}, 401),
        ("messages", "POST", "/anthropic/v1/messages", b"{}", {"authorization": "Bearer pm-wrong-key-of-tests"}, 401),
        ("messages", "POST", "/v1/messages/count_tokens", b"{}", {}, 401),
        ("messages", "POST", "/anthropic/v1/nothing", b"{}", known, 404),
        ("messages", "POST", "/anthropic/nothing", b"{}", known, 404),
        ("messages", "GET", "/v1/messages", b"", known, 405),
        ("messages", "POST", "/v1/messages?key=x", b"{}", known, 400),
        ("messages", "POST", "/v1/messages", b"{", known, 400),
        ("messages", "POST", "/v1/messages", b"{}", known, 400),
        ("messages", "POST", "/v1/messages", b"{}", {**known, "content-encoding": "unheard-of"}, 415),
        ("messages", "POST", "/v1/messages", b"{}", {**known, "x-pointsman-timeout-ms": "soon"}, 400),
        ("messages", "POST", "/v1/messages", b" " * 2_000_000, known, 413),
        ("chat", "POST", "/v1/chat/completions", b"{}", {"authorization": "Bearer pm-wrong-key-of-tests"}, 401),
        ("chat", "POST", "/v1/nothing", b"{}", known, 404),
        ("chat", "POST", "/openai/v1/nothing", b"{}", known, 404),
        ("responses", "POST", "/v1/responses", b"{}", {}, 401),
        ("responses", "POST", "/v1/responses", b"{", known, 400),
        ("responses", "POST", "/v1/responses", b" " * 2_000_000, known, 413),
    ]
    rules = governance({"known": {}}, key_headers=["authorization", "x-api-key"])
    server = {"limits": {"body_bytes": 1_000_000}}

    async def main() -> None:
        async with serving_dialects("messages", governance=rules, server=server) as (gateway, (provider,)):
            for dialect, method, path, body, headers, status in cases:
                received = await ask(gateway.base_url, method, path, body, headers)
                assert (path, received.status) == (path, status), received
                check_own(received, dialect, status)
            assert not provider.requests

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_limits_of_a_key_are_reported_in_the_dialect_of_the_client(ours: Dialect) -> None:
    keys: dict[str, dict[str, Any]] = {
        "known": {},
        "poor": {"budgets": usd("0.000001")},
        "slow": {"rate_limits": [{"requests": 1, "per": "minute"}]},
        "narrow": {"allow_models": ["other"]},
    }
    rules = governance(keys, key_headers=["authorization", "x-api-key"])

    async def main() -> None:
        async with serving_dialects("messages", governance=rules, pricing=prices("a/m-1", output_tokens=4000)) as (
            gateway,
            (provider,),
        ):
            provider.answer = Served(ANSWERS["messages"]("x"))
            assert (await post(gateway, ours, key="slow")).status == 200
            limited = await post(gateway, ours, key="slow")
            check_own(limited, ours, 429)
            assert 0 < int(limited.headers["retry-after"]) <= 60
            check_own(await post(gateway, ours, key="poor"), ours, 402)
            check_own(await post(gateway, ours, key="narrow"), ours, 403)
            check_own(await post(gateway, ours, key="known", model="nothing"), ours, 404)
            assert len(provider.requests) == 1

    run(main())


def refusal(dialect: Dialect, message: str, kind: str = "invalid_request_error") -> bytes:
    """Return an error body of a provider, in a layout that no program of ours writes."""
    error = {"message": message, "type": kind, "param": None, "code": None, "their_own": 1}
    body: dict[str, Any] = {"error": error}
    if dialect == "messages":
        body = {"request_id": "req_011CTheirs", "error": {"type": kind, "message": message}, "type": "error"}
    return json.dumps(body, indent=3).encode()


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("ours", DIALECTS)
def test_only_a_provider_of_the_same_dialect_reports_a_bad_request_itself(ours: Dialect, theirs: Dialect) -> None:
    words = f"tools.0: this schema is wrong; your key is {KEY}"

    async def main() -> None:
        async with serving_dialects(theirs, settings=SETTINGS, environ=ENVIRON) as (gateway, (provider,)):
            for stream in (False, True):
                for status in (400, 422):
                    provider.answer = Served(refusal(theirs, words), status=status, lines=THEIR_IDS)
                    received = await post(gateway, ours, stream=stream)
                    assert (received.status, KEY.encode() in received.body) == (status, False)
                    own_id = received.headers["x-request-id"]
                    named = [value for name, value in received.lines if name in ("request-id", "x-request-id")]
                    assert named == [own_id] * (2 if ours == "messages" else 1)
                    if ours == theirs:
                        assert received.body == refusal(theirs, words.replace(KEY, "[redacted]"))
                    elif ours == "messages":
                        error: Any = received.json()["error"]
                        assert error["type"] == "invalid_request_error"
                        assert words.replace(KEY, "[redacted]") in error["message"]
                        assert received.json()["request_id"] == own_id
                    else:
                        assert words.replace(KEY, "[redacted]") in str(received.error()["message"])

    run(main())


# A provider's status, its type of error, and the status that a client sees.
FAULTS = [
    (401, "authentication_error", 502),
    (403, "permission_error", 502),
    (429, "rate_limit_error", 429),
    (500, "api_error", 502),
    (503, "overloaded_error", 503),
    (529, "overloaded_error", 503),
]


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("ours", DIALECTS)
def test_faults_of_a_provider_are_reported_in_words_of_the_gateway(ours: Dialect, theirs: Dialect) -> None:
    async def one(gateway: Gateway, provider: ScriptedProvider, fault: tuple[int, str, int], stream: bool) -> None:
        status, kind, expected = fault
        secret = f"the account {KEY} of Jane has a fault"
        provider.answer = Served(refusal(theirs, secret, kind), status=status, lines=THEIR_IDS + b"retry-after: 7\r\n")
        received = await post(gateway, ours, stream=stream)
        message = check_own(received, ours, expected)
        assert "Jane" not in message
        if status == 429:
            assert 0 < int(received.headers["retry-after"]) <= 7

    async def main() -> None:
        for fault in FAULTS:
            async with serving_dialects(theirs, settings=SETTINGS, environ=ENVIRON, routing={"max_attempts": 1}) as (
                gateway,
                (provider,),
            ):
                await one(gateway, provider, fault, stream=False)
            async with serving_dialects(theirs, settings=SETTINGS, environ=ENVIRON, routing={"max_attempts": 1}) as (
                gateway,
                (provider,),
            ):
                await one(gateway, provider, fault, stream=True)

    run(main())


def test_official_sdks_raise_the_exception_of_each_status() -> None:
    rules = governance({"known": {}, "poor": {"budgets": usd("0.000001")}}, key_headers=["authorization", "x-api-key"])
    pricing = prices("a/m-1", output_tokens=4000)

    async def main() -> None:
        async with serving_dialects("messages", governance=rules, pricing=pricing) as (gateway, (provider,)):
            async with sdks(gateway, key_value("known")) as client:
                provider.answer = Served(refusal("messages", "prompt is too long: 3 tokens > 2 maximum"), status=400)
                with pytest.raises(anthropic.BadRequestError, match="prompt is too long") as bad:
                    await client.whole("messages")
                assert bad.value.type == "invalid_request_error"
                with pytest.raises(openai.BadRequestError, match="prompt is too long") as too_long:
                    await client.whole("chat")
                assert too_long.value.code == "context_length_exceeded"
                provider.answer = Served(refusal("messages", "slow down", "rate_limit_error"), status=429)
                with pytest.raises(anthropic.RateLimitError):
                    await client.whole("messages")
            async with sdks(gateway, "pm-wrong-key-of-some-length") as client:
                with pytest.raises(anthropic.AuthenticationError) as wrong:
                    await client.whole("messages")
                with pytest.raises(openai.AuthenticationError):
                    await client.whole("responses")
            async with sdks(gateway, key_value("poor")) as client:
                with pytest.raises(anthropic.APIStatusError) as poor:
                    await client.whole("messages")
                assert (poor.value.status_code, poor.value.type) == (402, "billing_error")
            records = {record["request_id"]: record["status"] for record in await gateway.wait_for_records(6)}
            assert records[bad.value.request_id or ""] == 400
            assert records[wrong.value.request_id or ""] == 401
            assert records[poor.value.request_id or ""] == 402

    run(main())
