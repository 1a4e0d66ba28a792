"""A simulated model continues a text of the assistant, echoes it, begins anew, or rejects it."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.chat import chat
from pointsman.simulate.messages import messages
from pointsman.simulate.prefill import message_prefill, rest_of

WHOLE = " 0 1 2 3 4 5 6 7"


def answered(text: str = " 0 1 2", *, mark: dict[str, Any] | None = None, **settings: Any) -> str:
    turns = [{"role": "user", "content": "Say"}, {"role": "assistant", "content": text, **(mark or {})}]
    context = context_for(
        {"model": "gpt-4o", "messages": turns}, text="numbered", output_tokens=8.0, models=("gpt-4o",), **settings
    )
    content: str = json.loads(chat(context).body)["choices"][0]["message"]["content"]
    return content


@pytest.mark.parametrize(
    ("treatment", "text"), [("ignored", WHOLE), ("continued", WHOLE[6:]), ("echoed", WHOLE), ("rejected", WHOLE)]
)
def test_chat_goes_on_or_begins_anew(treatment: str, text: str) -> None:
    assert answered(prefill=treatment) == text


def test_chat_goes_on_only_with_its_mark() -> None:
    assert answered(prefill="continued", prefill_mark="prefix") == WHOLE
    assert answered(prefill="continued", prefill_mark="prefix", mark={"prefix": True}) == WHOLE[6:]


def test_message_goes_on() -> None:
    turns = [{"role": "user", "content": "Say"}, {"role": "assistant", "content": " 0 1"}]
    context = context_for(
        {"model": "m", "max_tokens": 100, "messages": turns},
        text="numbered",
        output_tokens=8.0,
        models=("m",),
        prefill="continued",
    )
    context.request.headers["anthropic-version"] = "2023-06-01"
    assert json.loads(messages(context).body)["content"][0]["text"] == WHOLE[4:]


def test_message_rejects_a_text_that_ends_with_white_space() -> None:
    assert rejected_message(context_for(prefill="continued"), "so ") == "final assistant content cannot end"
    assert rejected_message(context_for(prefill="rejected"), "so") == "This model does not support"


def rejected_message(context: Any, text: str) -> str:
    message: str = rejected(lambda: message_prefill(context, text))["message"]
    return next(one for one in ("final assistant content cannot end", "This model does not support") if one in message)


def test_text_may_end_within_a_token() -> None:
    assert rest_of([" ab", " cd", " ef"], " ab c", is_echoed=False) == ["d", " ef"]
    assert rest_of([" ab"], " ab", is_echoed=False) == []
    assert rest_of([" ab", " cd"], " ab", is_echoed=True) == [" ab", " cd"]
