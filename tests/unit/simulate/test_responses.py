"""Responses: whole, streamed, and retrieved by the key they belong to."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.answers import Answer
from pointsman.simulate.responses import ResponseStore

BODY: dict[str, Any] = {"model": "gpt-4o", "input": "Hello there"}


@pytest.fixture
def store() -> ResponseStore:
    return ResponseStore()


def text_of(response: dict[str, Any]) -> str:
    return str(response["output"][0]["content"][0]["text"])


def events_of(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    assert answer.events is not None
    pairs = (event.data.decode().removesuffix("\n\n").split("\ndata: ") for event in answer.events)
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in pairs]


@pytest.mark.parametrize(
    ("limit", "count", "status"), [(None, 6, "completed"), (6, 6, "completed"), (5, 5, "incomplete")]
)
def test_whole_response_is_returned(store: ResponseStore, limit: int | None, count: int, status: str) -> None:
    answer = store.create(context_for({**BODY, "max_output_tokens": limit}, output_tokens=6, text="numbered"))
    response = json.loads(answer.body)
    assert text_of(response) == "".join(f" {number}" for number in range(count))
    assert response["status"] == response["output"][0]["status"] == status
    assert response["incomplete_details"] == (None if status == "completed" else {"reason": "max_output_tokens"})
    assert (response["usage"]["output_tokens"], answer.tokens_out) == (count, count)
    assert response["usage"]["input_tokens"] == answer.tokens_in


@pytest.mark.parametrize("limit", [None, 3])
def test_stream_equals_the_whole_answer(store: ResponseStore, limit: int | None) -> None:
    fields = {**BODY, "max_output_tokens": limit}
    whole = json.loads(store.create(context_for(fields, output_tokens=4)).body)
    answer = store.create(context_for({**fields, "stream": True}, output_tokens=4))
    events = events_of(answer)
    assert [data["type"] for _, data in events] == [name for name, _ in events]
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    deltas = [data["delta"] for name, data in events if name == "response.output_text.delta"]
    assert "".join(deltas) == text_of(whole)
    assert events[0][1]["response"]["status"] == "in_progress"
    name, last = events[-1]
    assert (name, last["response"]) == (f"response.{whole['status']}", whole)
    assert sum(event.tokens for event in answer.events or ()) == answer.tokens_out == len(deltas)


def test_all_parts_of_an_input_are_charged(store: ResponseStore) -> None:
    def tokens_in(**fields: Any) -> int:
        return store.create(context_for({**BODY, **fields})).tokens_in

    assert tokens_in(instructions="Be brief") > tokens_in()
    assert tokens_in(input=[{"role": "user", "content": "Hello there"}]) == tokens_in()
    assert tokens_in(input=[{"content": "Hello"}, {"content": [{"text": "there"}]}, {}]) > tokens_in()


def test_response_is_found_by_its_own_key(store: ResponseStore) -> None:
    response = json.loads(store.create(context_for(BODY)).body)
    assert json.loads(store.found(context_for(), response["id"]).body) == response
    assert rejected(lambda: store.found(context_for(key="sk-b"), response["id"]))["status"] == 404
    assert rejected(lambda: store.found(context_for(), "resp_unknown"))["status"] == 404
    store.clear()
    assert rejected(lambda: store.found(context_for(), response["id"]))["status"] == 404


def test_response_that_is_not_stored_is_not_found(store: ResponseStore) -> None:
    response = json.loads(store.create(context_for({**BODY, "store": False})).body)
    assert response["store"] is False
    assert rejected(lambda: store.found(context_for(), response["id"]))["status"] == 404
