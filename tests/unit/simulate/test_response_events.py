"""The events of responses with reasoning and calls. `test_responses` tests those of a text."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for
from pointsman.simulate.responses import ResponseStore

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
DELTAS = {"reasoning": "reasoning_summary_text", "function_call": "function_call_arguments", "message": "output_text"}


def texts_of(item: dict[str, Any]) -> str:
    if item["type"] == "function_call":
        return str(item["arguments"])
    parts = item["summary"] if item["type"] == "reasoning" else item["content"]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("tools", [[], [TOOL]])
@pytest.mark.parametrize("reasoning", [None, {"effort": "low"}, {"effort": "low", "summary": "auto"}])
def test_deltas_of_an_item_form_it(tools: list[Any], reasoning: Any) -> None:
    body = {"model": "gpt-4o", "input": "Hello", "stream": True, "tools": tools, "reasoning": reasoning}
    answer = ResponseStore().create(context_for(body, parallel_calls=2))
    assert answer.events is not None
    assert [event.is_end for event in answer.events[-2:]] == [False, True]
    events = [json.loads(event.data.partition(b"data: ")[2]) for event in answer.events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response = events[-1]["response"]
    kinds = [item["type"] for item in response["output"]]
    assert kinds == [*(["reasoning"] if reasoning else []), *(["function_call"] * 2 if tools else ["message"])]
    for index, item in enumerate(response["output"]):
        own = [event for event in events if event.get("output_index") == index]
        assert (own[0]["type"], own[-1]["type"]) == ("response.output_item.added", "response.output_item.done")
        assert own[0]["item"]["id"] == own[-1]["item"]["id"] == item["id"]
        assert own[-1]["item"] == item
        deltas = [event["delta"] for event in own if event["type"] == f"response.{DELTAS[item['type']]}.delta"]
        assert "".join(deltas) == texts_of(item)
    assert sum(event.tokens for event in answer.events) == answer.tokens_out == response["usage"]["output_tokens"]
