"""Text completions: parsed like chat, with a prompt."""

import msgspec
import pytest

from fakes.wire import parse, rejected, target
from pointsman.providers import PROVIDERS

PATH = "/completions"


@pytest.mark.parametrize("prompt", ["hello", ["a", "b"], [1, 2, 3], [[1], [2]]])
def test_prompt_of_any_shape_passes_through(prompt: object) -> None:
    body = {"model": "m", "prompt": prompt, "echo": True, "best_of": 3, "logprobs": 2, "suffix": "x", "max_tokens": 9}
    call = parse(body, PATH)
    assert (call.operation, call.head.path, call.max_tokens) == ("completion", PATH, 9)
    candidate = target()
    sent = PROVIDERS["openai"].codecs[call.operation].encode(call, candidate, candidate.keys[0])
    assert msgspec.json.decode(sent.body) == {**body, "model": "upstream-model"}


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"prompt": "a"}, 2),
        ({"prompt": ["a", "b", "c"]}, 6),
        ({"prompt": []}, 2),
        ({"prompt": [1, 2, 3]}, 2),
        ({"prompt": [[1, 2], [3]]}, 4),
        ({"prompt": "a", "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "best_of": 5}, 10),
        ({"prompt": "a", "best_of": 1}, 2),
        ({"prompt": "a", "best_of": None}, 2),
    ],
)
def test_every_charged_answer_is_counted(fields: dict[str, object], answers: int) -> None:
    call = parse({"model": "m", "n": 2, **fields}, PATH)
    assert (call.choices, call.answers) == (2, answers)


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", 1), ("prompt", None), ("suffix", 1), ("best_of", "x"), ("echo", 1), ("logprobs", True)],
)
def test_wrong_type_names_the_field(field: str, value: object) -> None:
    failure = rejected(lambda: parse({"model": "m", "prompt": "p", field: value}, PATH))
    assert (failure.kind.status, failure.param) == (400, field)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 10**18}, "best_of"),
        ({"prompt": ["x"] * 10_001}, "prompt"),
        ({"prompt": [[1]] * 101, "n": 100}, "prompt"),
        ({"prompt": ["x"] * 101, "best_of": 100}, "prompt"),
    ],
)
def test_too_many_answers_are_rejected(fields: dict[str, object], param: str) -> None:
    failure = rejected(lambda: parse({"model": "m", "prompt": "p", **fields}, PATH))
    assert (failure.kind.status, failure.param) == (400, param)


def test_long_prompt_of_tokens_counts_as_one() -> None:
    assert parse({"model": "m", "prompt": [1] * 20_000, "n": 2}, PATH).choices == 2


def test_missing_prompt_is_named() -> None:
    assert rejected(lambda: parse({"model": "m"}, PATH)).param == "prompt"
