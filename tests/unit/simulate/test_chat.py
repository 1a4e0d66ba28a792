"""Chat answers: charges, the end of an answer, and equal content with and without streaming."""

import json
from typing import Any

import pytest

from fakes.simulated import chunks, context_for, rejected
from pointsman.simulate.answers import Answer
from pointsman.simulate.chat import chat

BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello there"}]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"required": ["city"]}}}
TIME = {"type": "function", "function": {"name": "time"}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
RESULT = [*BODY["messages"], CALL, ANSWERED]


def whole(fields: dict[str, Any], **settings: Any) -> tuple[Answer, dict[str, Any]]:
    answer = chat(context_for({**BODY, **fields}, **settings))
    return answer, json.loads(answer.body)


def streamed(fields: dict[str, Any], **settings: Any) -> tuple[Answer, list[dict[str, Any]]]:
    answer = chat(context_for({**BODY, **fields, "stream": True}, **settings))
    return answer, chunks(answer)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Hello there, and some more"}],
        [*BODY["messages"], CALL, ANSWERED],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test"}}]}],
        [{"role": "system", "content": "Be brief"}, *BODY["messages"]],
    ],
)
def test_all_parts_of_a_prompt_are_charged(messages: list[Any]) -> None:
    assert whole({"messages": messages})[0].tokens_in > whole({})[0].tokens_in


def test_tools_of_a_request_are_charged() -> None:
    assert whole({"tools": [WEATHER], "tool_choice": "none"})[0].tokens_in > whole({})[0].tokens_in


def test_share_of_the_prompt_is_cached() -> None:
    answer, body = whole({"messages": [{"role": "user", "content": "x" * 4000}]}, cached_share=0.5)
    assert answer.tokens_cached == answer.tokens_in // 2
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == answer.tokens_cached


@pytest.mark.parametrize(
    ("fields", "settings", "count", "end"),
    [
        ({}, {"output_tokens": 10}, 10, "stop"),
        ({"max_tokens": 10}, {"output_tokens": 10}, 10, "stop"),
        ({"max_tokens": 9}, {"output_tokens": 10}, 9, "length"),
        ({"max_completion_tokens": 4, "max_tokens": 9}, {"output_tokens": 10}, 4, "length"),
        ({"max_tokens": 7}, {"output_tokens": "max_tokens"}, 7, "length"),
        ({}, {"output_tokens": 0.0}, 1, "stop"),
    ],
)
def test_length_of_an_answer(fields: dict[str, Any], settings: dict[str, Any], count: int, end: str) -> None:
    answer, body = whole(fields, text="numbered", **settings)
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "".join(f" {number}" for number in range(count))
    assert choice["finish_reason"] == end
    assert answer.tokens_out == body["usage"]["completion_tokens"] == count


@pytest.mark.parametrize("fields", [{}, {"n": 3}, {"tools": [WEATHER]}, {"tools": [WEATHER], "n": 2}])
def test_stream_equals_the_whole_answer(fields: dict[str, Any]) -> None:
    settings = {"output_tokens": 6, "text": "numbered"}
    answer, body = whole(fields, **settings)
    stream, events = streamed({**fields, "stream_options": {"include_usage": True}}, **settings)
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    for event in events:
        for choice in event["choices"]:
            delta, index = choice["delta"], choice["index"]
            texts[index] = texts.get(index, "") + (delta.get("content") or "")
            for call in delta.get("tool_calls", ()):
                texts[index] += call["function"]["arguments"]
            ends[index] = choice["finish_reason"] or ends.get(index, "")
    for choice in body["choices"]:
        message, index = choice["message"], choice["index"]
        expected = message["content"] or message["tool_calls"][0]["function"]["arguments"]
        assert (texts[index], ends[index]) == (expected, choice["finish_reason"])
    assert events[-1]["usage"] == body["usage"]
    assert (stream.tokens_in, stream.tokens_out) == (answer.tokens_in, answer.tokens_out)
    assert sum(event.tokens for event in stream.events or ()) == answer.tokens_out


def test_stream_has_its_events_in_order() -> None:
    _, events = streamed({}, output_tokens=2, text="numbered")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {"content": " 0"}, {"content": " 1"}, {}]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None, None, "stop"]
    assert not any("usage" in event for event in events), "usage was not requested"
    _, events = streamed({"stream_options": {"include_usage": True}}, output_tokens=1)
    assert [event["usage"] is None for event in events] == [True] * (len(events) - 1) + [False]


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({"tools": [WEATHER, TIME]}, "weather"),
        ({"tools": [WEATHER, TIME], "tool_choice": "auto"}, "weather"),
        ({"tools": [WEATHER, TIME], "tool_choice": {"type": "function", "function": {"name": "time"}}}, "time"),
        ({"tools": [WEATHER], "tool_choice": "none"}, None),
        ({"tools": [WEATHER], "messages": RESULT}, None),
        ({"tools": [WEATHER], "messages": RESULT, "tool_choice": "required"}, "weather"),
        ({"tools": []}, None),
    ],
)
def test_tool_choice_selects_the_tool(fields: dict[str, Any], called: str | None) -> None:
    _, body = whole(fields)
    (choice,) = body["choices"]
    calls = choice["message"].get("tool_calls")
    assert (calls and calls[0]["function"]["name"]) == called
    assert choice["finish_reason"] == ("stop" if called is None else "tool_calls")


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ({"type": "json_object"}, {"answer": "x"}),
        ({"type": "json_schema", "json_schema": {"schema": {"properties": {"n": {"type": "integer"}}}}}, {"n": 0}),
        ({"type": "text"}, None),
    ],
)
def test_requested_json_is_returned(response_format: dict[str, Any], expected: Any) -> None:
    _, body = whole({"response_format": response_format})
    content = body["choices"][0]["message"]["content"]
    if expected is None:
        with pytest.raises(json.JSONDecodeError):
            json.loads(content)
    else:
        assert json.loads(content) == expected


def test_every_token_has_log_probabilities() -> None:
    _, body = whole({"logprobs": True, "top_logprobs": 2}, output_tokens=3)
    content = body["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == body["choices"][0]["message"]["content"]
    assert all(entry["top_logprobs"] for entry in content)
    _, events = streamed({"logprobs": True}, output_tokens=3)
    assert sum(event["choices"][0]["logprobs"] is not None for event in events) == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stream_options": {"include_usage": True}}, "'stream_options'"),
        ({"tools": [WEATHER], "tool_choice": {"function": {"name": "unheard-of"}}}, "unheard-of"),
        ({"messages": []}, "messages"),
        ({"n": 0}, "'n'"),
    ],
)
def test_invalid_requests_are_rejected(fields: dict[str, Any], words: str) -> None:
    found = rejected(lambda: chat(context_for({**BODY, **fields})))
    assert found["status"] == 400
    assert words in found["message"]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([ANSWERED], "messages with role 'tool' must be a response"),
        ([CALL, {**ANSWERED, "tool_call_id": "call_2"}], "messages with role 'tool' must be a response"),
        ([CALL, ANSWERED, *BODY["messages"], ANSWERED], "messages with role 'tool' must be a response"),
        ([CALL], "did not have response messages: call_1"),
        ([CALL, *BODY["messages"], ANSWERED], "did not have response messages: call_1"),
    ],
)
def test_calls_and_results_belong_together(messages: list[Any], message: str) -> None:
    found = rejected(lambda: whole({"messages": [*BODY["messages"], *messages]}))
    assert found["status"] == 400
    assert message in found["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shows", [False, True])
def test_reasoning_is_charged_and_shown_only_if_the_settings_say_so(stream: bool, shows: bool) -> None:
    fields = {"reasoning_effort": "low", "stream": stream}
    answer = chat(context_for({**BODY, **fields}, output_tokens=4, reasoning_tokens=6, shows_reasoning=shows))
    assert answer.tokens_out == 10
    if stream:
        assert sum(event.tokens for event in answer.events or ()) == 10
        texts = [chunk["choices"][0]["delta"].get("reasoning_content", "") for chunk in chunks(answer)]
    else:
        body = json.loads(answer.body)
        assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6
        texts = body["choices"][0]["message"].get("reasoning_content", "").split()
    assert len([text for text in texts if text]) == (6 if shows else 0)


def test_calls_are_parallel_unless_the_request_forbids_it() -> None:
    for parallel, count in ((None, 2), (True, 2), (False, 1)):
        _, body = whole({"tools": [WEATHER], "parallel_tool_calls": parallel}, parallel_calls=2)
        calls = body["choices"][0]["message"]["tool_calls"]
        assert len({call["id"] for call in calls}) == len(calls) == count
