"""Parameters have the same names in every dialect, for reading and for changes."""

import json

import pytest
from msgspec import Raw

from fakes.wire import CHAT, PATH_OF, parse
from pointsman.domain.calls import Call
from pointsman.wire import end_users
from pointsman.wire.params import FIXED, MAX_BYTES, end_user, param, with_params

MESSAGES = {**CHAT, "max_tokens": 50}


def chat(**fields: object) -> Call:
    return parse({**CHAT, **fields})


def messages(**fields: object) -> Call:
    return parse({**MESSAGES, **fields}, "/messages", dialect="anthropic")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("flex", "flex"),
        (0.5, 0.5),
        (3, 3),
        (True, True),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        ("x" * MAX_BYTES, None),
        ("", ""),
    ],
)
def test_scalars_are_read(value: object, expected: object) -> None:
    assert param(chat(own=value), "own") == expected
    assert param(chat(), "own") is None


def test_bound_and_user_have_one_name() -> None:
    for call in (chat(max_completion_tokens=50), chat(max_tokens=50), messages()):
        assert param(call, "max_tokens") == 50
    assert param(chat(), "max_tokens") is None
    assert [end_user(call) for call in (chat(user="u"), messages(metadata={"user_id": "u"}), chat())] == [
        "u",
        "u",
        None,
    ]
    assert param(messages(metadata={"user_id": "u"}), "user") == "u"


def test_parameters_are_set_and_removed() -> None:
    call = chat(temperature=1, max_completion_tokens=50, seed=3)
    changed = with_params(call, {"temperature": Raw(b"0"), "max_tokens": Raw(b"9")}, ("seed", "absent"))
    assert changed.fields.keys() == {"model", "messages", "temperature"}
    assert (bytes(changed.fields["temperature"]), changed.max_tokens, changed.stated_tokens) == (b"0", 9, None)
    assert changed.size > call.size, "the size still bounds the tokens of the prompt"
    assert call.fields.keys() >= {"seed", "max_completion_tokens"}, "the client's call is unchanged"


def test_user_of_anthropics_api_is_in_its_metadata() -> None:
    changed = with_params(messages(metadata={"user_id": "u"}), {"user": Raw(b'"v"')}, ())
    assert json.loads(bytes(changed.fields["metadata"])) == {"user_id": "v"}
    assert "metadata" not in with_params(changed, {}, ("user",)).fields


def test_user_replaces_both_fields_of_openais_api() -> None:
    call = chat(user="u", safety_identifier="s")
    assert end_user(call) == "s" == end_users.end_user(call), "rules and limits count the same user"
    assert end_user(with_params(call, {"user": Raw(b'"v"')}, ())) == "v"
    assert end_user(with_params(call, {}, ("user",))) is None
    assert end_user(chat(user="x" * (MAX_BYTES + 1))) is None


def test_bound_is_not_set_where_answers_have_none() -> None:
    for operation, path in PATH_OF.items():
        call = parse({"model": "m", "input": "a", "prompt": "a", "messages": CHAT["messages"]}, path)
        changed = with_params(call, {"max_tokens": Raw(b"9")}, ())
        assert changed.max_tokens == (9 if operation in ("chat", "completion", "responses") else None)


def test_unread_body_stays() -> None:
    call = chat()
    unread = type(call)(operation="audio", head=call.head, snapshot=call.snapshot, model="m")
    assert with_params(unread, {"temperature": Raw(b"0")}, ()) is unread


def test_fields_that_the_gateway_acts_on_are_fixed() -> None:
    assert {"model", "messages", "stream", "n"} <= FIXED
