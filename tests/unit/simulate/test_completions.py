"""Completions: forms of a prompt, and the number of choices."""

import json
from typing import Any

import pytest

from fakes.simulated import chunks, context_for
from pointsman.simulate.completions import Prompt, completions, input_token_counts

BODY: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time"}


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("", [0]),
        ("12345", [2]),
        (["1234", "12345678"], [1, 2]),
        ([5, 6, 7], [3]),
        ([[5, 6], [7]], [2, 1]),
        (["1234", [5, 6]], [1, 2]),
    ],
)
def test_prompts_are_text_or_token_ids_or_lists_of_them(prompt: Prompt, counts: list[int]) -> None:
    assert input_token_counts(prompt) == counts


@pytest.mark.parametrize(("prompt", "n", "count"), [("a", None, 1), ("a", 3, 3), (["a", "b"], 2, 4), ([1, 2], 2, 2)])
def test_every_prompt_has_its_choices(prompt: Prompt, n: int | None, count: int) -> None:
    body = json.loads(completions(context_for({**BODY, "prompt": prompt, "n": n})).body)
    assert [choice["index"] for choice in body["choices"]] == list(range(count))


@pytest.mark.parametrize(
    ("limit", "length", "count", "end"), [(None, 40, 16, "length"), (5, 40, 5, "length"), (50, 40, 40, "stop")]
)
def test_limit_cuts_an_answer(limit: int | None, length: int, count: int, end: str) -> None:
    answer = completions(context_for({**BODY, "max_tokens": limit}, output_tokens=length, text="numbered"))
    body = json.loads(answer.body)
    assert body["choices"][0]["text"] == "".join(f" {number}" for number in range(count))
    assert (body["choices"][0]["finish_reason"], answer.tokens_out) == (end, count)


def test_stream_equals_the_whole_answer() -> None:
    fields = {**BODY, "n": 2}
    whole = completions(context_for(fields, cached_share=0.5))
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = completions(context_for({**fields, **options}, cached_share=0.5))
    events, body = chunks(stream), json.loads(whole.body)
    for choice in body["choices"]:
        own = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
        assert "".join(one["text"] for one in own) == choice["text"]
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + [choice["finish_reason"]]
    assert events[-1]["usage"] == body["usage"]
    assert (stream.tokens_in, stream.tokens_cached, stream.tokens_out) == (
        whole.tokens_in,
        whole.tokens_cached,
        whole.tokens_out,
    )


def test_usage_is_streamed_only_on_request() -> None:
    assert not any("usage" in event for event in chunks(completions(context_for({**BODY, "stream": True}))))
