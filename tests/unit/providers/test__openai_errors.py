"""Errors of providers: their fault, their message and the wait that they request."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from fakes.corpora import recorded
from pointsman.domain import failures
from pointsman.domain.failures import Fault, Kind
from pointsman.providers._openai_errors import MAX_MESSAGE, MAX_WAIT_S, classify, classify_inside, retry_after_s

NOW = 1_800_000_000.0


def kind_of(status: int, **error: object) -> Kind:
    return classify(status, {}, json.dumps({"error": {"message": "said", **error}}).encode(), NOW).kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, failures.UPSTREAM_ERROR),
        (400, failures.UPSTREAM_REFUSED),
        (401, failures.CREDENTIAL_REJECTED),
        (402, failures.BALANCE_EMPTY),
        (403, failures.UPSTREAM_FORBIDDEN),
        (404, failures.UPSTREAM_UNSUPPORTED),
        (405, failures.UPSTREAM_UNSUPPORTED),
        (408, failures.UPSTREAM_ERROR),
        (409, failures.UPSTREAM_ERROR),
        (413, failures.UPSTREAM_TOO_LARGE),
        (422, failures.UPSTREAM_REFUSED),
        (425, failures.UPSTREAM_ERROR),
        (429, failures.UPSTREAM_RATE_LIMITED),
        (451, failures.UPSTREAM_FORBIDDEN),
        (500, failures.UPSTREAM_ERROR),
        (501, failures.UPSTREAM_UNSUPPORTED),
        (502, failures.UPSTREAM_ERROR),
        (503, failures.UPSTREAM_OVERLOADED),
        (504, failures.UPSTREAM_ERROR),
        (524, failures.UPSTREAM_ERROR),
        (529, failures.UPSTREAM_OVERLOADED),
    ],
)
def test_status_decides_without_a_code(status: int, kind: Kind) -> None:
    for body in (b"", b"<html>Bad Gateway</html>", b"{}", b"[]", b"null", b'{"error":', b"\xff\xfe", b'{"error":null}'):
        failure = classify(status, {}, body, NOW)
        assert failure.kind is kind
        assert (failure.status, failure.body) == (status, None)
        key_messages = {
            failures.CREDENTIAL_REJECTED: ": it rejects the provider key (replace it)",
            failures.BALANCE_EMPTY: ": the account of the provider key has no balance or quota left (add credit)",
        }
        assert failure.message == f"the provider returned {status}{key_messages.get(kind, '')}"
    expected = failures.UPSTREAM_MODEL_MISSING if status == 404 else kind  # the path is missing, or the model
    assert kind_of(status, code="some_new_code", type="some_new_type") is expected


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, failures.CONTEXT_TOO_LONG),
        (400, {"code": "content_filter"}, failures.CONTENT_FILTERED),
        (400, {"code": "content_policy_violation"}, failures.CONTENT_FILTERED),
        (400, {"code": "invalid_api_key"}, failures.CREDENTIAL_REJECTED),
        (400, {"code": "model_not_found"}, failures.UPSTREAM_MODEL_MISSING),
        (403, {"code": "model_not_found"}, failures.UPSTREAM_MODEL_DENIED),
        (403, {"message": "Your input was flagged by moderation"}, failures.CONTENT_FILTERED),
        (403, {"message": "Country not supported"}, failures.CREDENTIAL_REJECTED),
        (401, {"code": "rate_limit_exceeded"}, failures.CREDENTIAL_REJECTED),
        (413, {"code": "rate_limit_exceeded", "type": "tokens"}, failures.UPSTREAM_TOO_LARGE),
        (429, {"code": "insufficient_quota"}, failures.BALANCE_EMPTY),
        (429, {"type": "insufficient_quota", "code": None}, failures.BALANCE_EMPTY),
        (429, {"code": "billing_hard_limit_reached"}, failures.BALANCE_EMPTY),
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, failures.UPSTREAM_RATE_LIMITED),
        (429, {"code": 429}, failures.UPSTREAM_RATE_LIMITED),
        (500, {"code": "context_length_exceeded"}, failures.UPSTREAM_ERROR),
        (500, {"type": "overloaded_error"}, failures.UPSTREAM_OVERLOADED),
        (503, {"type": "rate_limit_error"}, failures.UPSTREAM_RATE_LIMITED),
        (503, {"type": "server_error"}, failures.UPSTREAM_OVERLOADED),
        (400, {"message": "This model's maximum context length is 8 tokens"}, failures.CONTEXT_TOO_LONG),
        (413, {"message": "prompt is too long: 9 tokens > 8 maximum"}, failures.CONTEXT_TOO_LONG),
        (422, {"message": "exceeds the Context Window"}, failures.CONTEXT_TOO_LONG),
        (500, {"message": "maximum context length"}, failures.UPSTREAM_ERROR),
        (429, {"message": "too many tokens"}, failures.UPSTREAM_RATE_LIMITED),
    ],
)
def test_code_decides_if_status_is_ambiguous(status: int, error: dict[str, object], kind: Kind) -> None:
    assert kind_of(status, **error) is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"object": "error", "message": "no", "type": "invalid_request_error", "code": "3001"}, "no"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "x"], "msg": "bad"}]}, '[{"loc":["body","x"],"msg":"bad"}]'),
        (
            {"object": "error", "message": {"detail": [{"type": "extra_forbidden"}]}},
            '{"detail":[{"type":"extra_forbidden"}]}',
        ),
        ([{"error": {"code": 400, "message": "Bad part", "status": "INVALID_ARGUMENT"}}], "Bad part"),
        ({"error": {"message": {"deep": 1}, "param": ["x"], "code": 1.5, "type": {}}}, '{"deep":1}'),
    ],
)
def test_errors_in_other_shapes_are_read_but_not_passed_on(body: object, message: str) -> None:
    failure = classify(400, {}, json.dumps(body).encode(), NOW)
    assert failure.quote == message
    assert failure.message.startswith("the provider returned 400")
    assert message not in failure.message
    is_openai = isinstance(body, dict) and isinstance(body.get("error"), dict)
    assert (failure.body is not None) is is_openai


def test_code_in_another_shape_counts() -> None:
    body = {"object": "error", "message": "m", "type": "rate_limit_error", "param": "messages", "code": None}
    failure = classify(400, {}, json.dumps(body).encode(), NOW)
    assert (failure.kind, failure.param) == (failures.UPSTREAM_RATE_LIMITED, "messages")


def test_openai_error_body_is_unchanged() -> None:
    body = b'{ "error": {"message": "bad temperature", "param": "temperature", "type": "x", "code": null} }'
    failure = classify(400, {}, body, NOW)
    assert (failure.body, failure.param, failure.kind.fault) == (body, "temperature", Fault.REQUEST)
    assert (failure.message, failure.quote) == (
        "the provider returned 400 (type x, param temperature)",
        "bad temperature",
    )


def test_provider_message_about_request_is_kept_separate() -> None:
    prompt = "my secret prompt"
    flagged = f"flagged by moderation: {prompt}"
    for message in (f"cannot read {prompt}", f"prompt is too long: {prompt}", flagged):
        error = {"message": message, "code": prompt, "type": prompt, "param": f"messages.{prompt}"}
        failure = classify(400, {}, json.dumps({"error": error}).encode(), NOW)
        assert failure.kind.fault is Fault.REQUEST
        assert (failure.message, failure.quote) == ("the provider returned 400 (param messages)", message)
    failure = classify_inside(json.dumps({"error": {"message": flagged, "code": 400}}).encode())
    assert (failure.kind, failure.quote) == (failures.CONTENT_FILTERED, flagged)
    assert failure.message == "the provider returned an error with status 200 (code 400)"


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 529])
def test_provider_message_about_other_faults_is_dropped(status: int) -> None:
    error = {"message": "my secret prompt", "code": "sk-4711", "type": "overloaded_error", "param": "my prompt"}
    failure = classify(status, {}, json.dumps({"error": error}).encode(), NOW)
    assert failure.kind.fault is not Fault.REQUEST
    assert failure.message.startswith(f"the provider returned {status} (type overloaded_error)")
    assert "secret" not in failure.for_client
    assert "4711" not in failure.for_client
    failure = classify_inside(json.dumps({"error": error}).encode())
    assert (
        failure.message
        == failure.for_client
        == "the provider returned an error with status 200 (type overloaded_error)"
    )


def test_long_message_is_cut() -> None:
    failure = classify(400, {}, json.dumps({"error": {"message": "x" * 10_000}}).encode(), NOW)
    assert failure.quote == "x" * MAX_MESSAGE
    failure = classify(400, {}, json.dumps({"error": {"code": "x" * 10_000}}).encode(), NOW)
    assert failure.message == "the provider returned 400"


def test_depth_bomb_does_not_crash() -> None:
    assert classify(500, {}, b'{"error":' * 100_000, NOW).kind is failures.UPSTREAM_ERROR
    assert classify(500, {}, b"[" * 100_000, NOW).kind is failures.UPSTREAM_ERROR


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m"}, failures.UPSTREAM_ERROR),
        ({"message": "m", "code": 429}, failures.UPSTREAM_RATE_LIMITED),
        ({"message": "m", "code": 502}, failures.UPSTREAM_ERROR),
        ({"message": "m", "code": 400}, failures.UPSTREAM_ERROR),
        ({"message": "m", "code": 7}, failures.UPSTREAM_ERROR),
        ({"message": "m", "code": "insufficient_quota"}, failures.BALANCE_EMPTY),
        ({"message": "m", "type": "overloaded_error"}, failures.UPSTREAM_OVERLOADED),
        ("plain", failures.UPSTREAM_ERROR),
        ({}, failures.UPSTREAM_ERROR),
    ],
)
def test_error_inside_a_200_is_classified(error: object, kind: Kind) -> None:
    failure = classify_inside(json.dumps({"error": error}).encode())
    assert failure.kind is kind
    assert failure.message.startswith("the provider returned an error with status 200")


def test_recorded_errors_have_the_expected_fault() -> None:
    seen = 0
    for exchange in recorded("/chat/completions"):
        if exchange.status >= 400:
            failure = classify(exchange.status, {}, exchange.body, NOW)
            assert failure.kind.fault is Fault.REQUEST
            assert failure.body == exchange.body
            seen += 1
    assert seen >= 2


DATE = datetime.fromtimestamp(NOW + 90, UTC)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": format_datetime(DATE, usegmt=True)}, 90.0),
        ({"retry-after": DATE.strftime("%a, %d %b %Y %H:%M:%S -0000")}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "\u00b2"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "99999999"}, MAX_WAIT_S),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7"}, 7.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2027-01-01T00:00:00Z"}, None),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "7s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW + 40:.0f}"}, 40.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{(NOW + 40) * 1000:.0f}"}, 40.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW - 40:.0f}"}, 0.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "3s",
            },
            3.0,
        ),
        ({"retry-after": "nonsense", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3s"}, 3.0),
    ],
)
def test_wait_is_read_from_headers(headers: dict[str, str], wait_s: float | None) -> None:
    lines = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    found = retry_after_s(lines, NOW)
    assert found == (None if wait_s is None else pytest.approx(wait_s))
    assert classify(429, lines, b"", NOW).retry_after_s == found


@pytest.mark.parametrize(
    ("status", "message", "wait_s"),
    [
        (
            429,
            "Rate limit reached on tokens per day (TPD): Limit 1, Used 1. Please try again in 9m38.4s.",
            578.4,
        ),
        (429, "Rate limit reached for m. Please try again in 20ms. Visit https://example.com", 0.02),
        (429, "Rate limit reached for m. Please try again in 1h2m3s.", 3723.0),
        (429, "Requests have exceeded the call rate limit. Please retry after 22 seconds.", 22.0),
        (429, "You exceeded your current rate limit. Please retry in 34.07s.", 34.07),
        (429, "Try again in 1 minute", 60.0),
        (429, "Try again in 99999999 hours", MAX_WAIT_S),
        (429, "Please try again later", None),
        (429, "Please try again in 5 apples", None),
        (429, "Please try again in " + "9" * 400 + "s", None),
        (429, "Please try again in 1" + "m1" * 20_000, None),
        (500, "Please try again in 5s", None),
        (400, "the prompt says: please try again in 5s", None),
    ],
)
def test_wait_is_read_from_rate_limit_message(status: int, message: str, wait_s: float | None) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    assert classify(status, {}, body, NOW).retry_after_s == (None if wait_s is None else pytest.approx(wait_s))
    assert classify(status, {b"retry-after": b"7"}, body, NOW).retry_after_s == 7.0, "a header comes first"


def test_wait_is_read_from_rate_limit_inside_a_200() -> None:
    body = b'{"message":"Please try again in 6s.","code":"rate_limit_exceeded"}'
    assert classify_inside(body, ()).retry_after_s == 6.0


def test_provider_message_about_key_is_replaced() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-secre****6789","code":"invalid_api_key"}}'
    failure = classify(401, {}, body, NOW)
    assert failure.body is None
    assert "sk-" not in failure.message


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"errors": [{"code": 5007, "message": "No such model"}], "success": False}, "code 5007"),
        ({"errors": [{"code": 5007, "message": "No such model"}, {"code": 1}]}, "code 5007"),
        ({"code": 404, "reason": "MODEL_NOT_FOUND", "message": "model not found"}, "code 404, type MODEL_NOT_FOUND"),
        ({"errors": [{"code": 5007}], "message": "unknown", "code": "mine"}, "code mine"),
        ({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}, "code REQUEST_LIMIT_EXCEEDED"),
        ({"errors": [], "message": "unknown"}, None),
        ({"errors": ["unknown"]}, None),
        ({"errors": {"message": "unknown"}}, None),
    ],
)
def test_other_shapes_of_errors_are_read(body: dict[str, object], shown: str | None) -> None:
    failure = classify(400, {}, json.dumps(body).encode(), NOW)
    assert failure.message == "the provider returned 400" + (f" ({shown})" if shown else "")
    assert failure.body is None, "a client's SDK does not know the shape"
