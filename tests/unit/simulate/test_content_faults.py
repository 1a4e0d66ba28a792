"""Faults in the content of answers. `test_script` tests them on a socket."""

import json

import pytest
from msgspec.structs import replace

from pointsman.simulate.answers import DONE, SSE, Answer, Dialect, Event, error, json_answer, sse
from pointsman.simulate.content_faults import Ending, apply_content_faults, replacement_error
from pointsman.simulate.faults import parse

ROLE, END = sse({"role": "assistant"}), sse({"finish_reason": "stop", "fingerprint": "fp_" * 20})
CONTENT = [sse({"content": str(number) * 80}, tokens=1) for number in range(3)]
STREAM = Answer(content_type=SSE, events=[ROLE, *CONTENT, END, DONE], tokens_in=5, tokens_out=3)
WHOLE = json_answer({"choices": ["abc"]}, tokens_in=5, tokens_out=3)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("rate_limit=2", 429, "rate_limit_exceeded"),
        ("insufficient_quota", 429, "insufficient_quota"),
        ("context_length", 400, "context_length_exceeded"),
        ("content_filter", 400, "content_filter"),
        ("model_denied", 403, "model_not_found"),
        ("no_balance", 402, "invalid_request_error"),
        ("too_large", 429, "rate_limit_exceeded"),
        ("key_limit=2", 429, "rate_limit_exceeded"),
        ("forbidden", 403, None),
        ("no_endpoint", 501, None),
        ("status=401", 401, "invalid_api_key"),
        ("status=403", 403, "unsupported_country_region_territory"),
        ("status=429", 429, "rate_limit_exceeded"),
        ("status=503", 503, None),
        ("status=418", 418, None),
    ],
)
def test_errors_replace_the_answer(fault: str, status: int, code: str | None) -> None:
    answer = replacement_error(parse(fault))
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("wrong_key", 400, b"Incorrect API key provided"),
        ("usage_guidelines", 403, b"violates usage guidelines"),
        ("no_endpoint=404", 404, b"404 page not found"),
        ("no_endpoint=405", 405, b"Method Not Allowed"),
    ],
)
def test_errors_in_other_formats(fault: str, status: int, body: bytes) -> None:
    answer = replacement_error(parse(fault))
    assert answer is not None
    assert answer.status == status
    assert body in answer.body


@pytest.mark.parametrize("fault", ["", "hang", "error_in_200", "malformed_sse=1"])
def test_other_faults_leave_the_answer_to_the_endpoint(fault: str) -> None:
    assert replacement_error(parse(fault)) is None


def test_rate_limit_has_a_retry_delay() -> None:
    answer = replacement_error(parse("rate_limit=1.5"))
    assert answer is not None
    headers = dict(answer.headers)
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")
    assert b"1.5s" in answer.body


@pytest.mark.parametrize("answer", [STREAM, WHOLE])
def test_answer_without_faults_is_unchanged(answer: Answer) -> None:
    delivery = apply_content_faults(answer, parse(""))
    assert delivery.answer == answer
    assert (delivery.ending, delivery.is_whole, delivery.is_good) == (Ending.KEEP, True, True)


def test_error_answer_is_unchanged_and_not_charged() -> None:
    answer = error(500, "broken")
    delivery = apply_content_faults(answer, parse("error_mid_stream=1,malformed_json"))
    assert (delivery.answer, delivery.ending, delivery.is_good) == (answer, Ending.KEEP, False)


BROKEN = b'data: {"error"'


@pytest.mark.parametrize(
    ("fault", "expected", "ending", "is_whole", "is_good"),
    [
        ("role_only_then_die", [ROLE], Ending.CLOSE, False, False),
        ("die_mid_stream=2", [ROLE, *CONTENT[:2]], Ending.CLOSE, False, False),
        ("hang_mid_stream=2", [ROLE, *CONTENT[:2]], Ending.SILENCE, False, False),
        ("hang_mid_stream=9", [ROLE, *CONTENT], Ending.SILENCE, False, False),
        ("error_mid_stream=0", [ROLE, BROKEN], Ending.KEEP, True, False),
        ("error_mid_stream=2", [ROLE, *CONTENT[:2], BROKEN], Ending.KEEP, True, False),
        ("error_in_200", [BROKEN, DONE], Ending.KEEP, True, False),
        ("missing_done", [ROLE, *CONTENT, END], Ending.KEEP, True, True),
    ],
)
def test_faults_in_a_stream(
    fault: str, expected: list[Event | bytes], ending: Ending, is_whole: bool, is_good: bool
) -> None:
    before = list(STREAM.events or ())
    delivery = apply_content_faults(STREAM, parse(fault))
    events = delivery.answer.events
    assert events is not None
    for event, one in zip(events, expected, strict=True):
        assert event == one if isinstance(one, Event) else event.data.startswith(one)
    assert (delivery.ending, delivery.is_whole, delivery.is_good) == (ending, is_whole, is_good)
    assert STREAM.events == before, "the original answer was changed"


@pytest.mark.parametrize(("fault", "at"), [("malformed_sse=0", 1), ("malformed_json=2", 3), ("malformed_sse=9", 4)])
def test_malformed_event_is_between_the_others(fault: str, at: int) -> None:
    events = apply_content_faults(STREAM, parse(fault)).answer.events
    assert events is not None
    broken = events.pop(at)
    assert events == STREAM.events
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.data.removeprefix(b"data: "))


@pytest.mark.parametrize(
    ("fault", "ending", "is_whole", "is_good"),
    [
        ("role_only_then_die", Ending.CLOSE, False, False),
        ("die_mid_stream=1", Ending.CLOSE, False, False),
        ("hang_mid_stream=1", Ending.SILENCE, False, False),
        ("malformed_json=0", Ending.KEEP, True, True),
        ("error_mid_stream=1", Ending.KEEP, True, False),
        ("error_in_200", Ending.KEEP, True, False),
    ],
)
def test_faults_in_a_whole_answer(fault: str, ending: Ending, is_whole: bool, is_good: bool) -> None:
    delivery = apply_content_faults(WHOLE, parse(fault))
    assert (delivery.ending, delivery.is_whole, delivery.is_good) == (ending, is_whole, is_good)
    if not is_good and is_whole:
        assert "error" in json.loads(delivery.answer.body)
        assert delivery.answer.tokens_out == 0
    elif is_good:
        with pytest.raises(json.JSONDecodeError):
            json.loads(delivery.answer.body)
    else:
        assert delivery.answer == WHOLE


@pytest.mark.parametrize("count", range(8))
def test_stream_ends_properly_at_any_event(count: int) -> None:
    delivery = apply_content_faults(STREAM, parse(f"end_at_event={count}"))
    assert delivery.answer.events == (STREAM.events or [])[:count]
    assert delivery.is_whole
    assert delivery.is_good == (count >= 6)


@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic"])
@pytest.mark.parametrize("fault", ["error_mid_stream=1", "overloaded_mid_stream=1"])
def test_error_of_a_stream_has_the_form_of_its_dialect(dialect: Dialect, fault: str) -> None:
    begin = sse({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}, "response.created")
    stream = replace(STREAM, events=[begin, *CONTENT, DONE], dialect=dialect)
    delivery = apply_content_faults(stream, parse(fault))
    assert not delivery.is_good
    *kept, failure = delivery.answer.events or [DONE]
    assert kept == [begin, CONTENT[0]]
    found = json.loads(failure.data.partition(b"data: ")[2])
    if dialect == "openai":
        assert found["error"]["type"] == "server_error"
    elif dialect == "anthropic":
        kind = "api_error" if fault.startswith("error") else "overloaded_error"
        assert (found["type"], found["error"]["type"]) == ("error", kind)
    else:
        assert (found["type"], found["sequence_number"]) == ("response.failed", 2)
        assert found["response"]["error"]["code"] == "server_error"
        assert found["response"]["id"] == "resp_1"
