"""The names that a virtual key may request."""

import pytest
from msgspec.structs import replace

from fakes.routing import call
from pointsman.domain.identity import VirtualKey
from pointsman.routing.model_rights import forbidden_name, is_allowed, not_allowed

KEY = VirtualKey(name="me", digest=b"", allow_models=("openai/*", "chat"))


@pytest.mark.parametrize(("model", "allowed"), [("chat", True), ("openai/gpt-4o", True), ("chats", False), ("", False)])
def test_patterns_of_a_key_allow_names(model: str, allowed: bool) -> None:
    assert is_allowed(KEY, model) is allowed
    assert is_allowed(replace(KEY, allow_models=()), model)


@pytest.mark.parametrize(
    ("model", "fallbacks", "param", "requested"),
    [
        ("chat", (), None, ""),
        ("other", (), "model", "the model 'other'"),
        ("", (), "model", "a path that names no model"),
        ("chat", ("openai/x", "groq/y"), "fallbacks[1]", "the model 'groq/y'"),
    ],
)
def test_first_name_that_is_not_allowed_is_rejected(
    model: str, fallbacks: tuple[str, ...], param: str | None, requested: str
) -> None:
    found = forbidden_name(KEY, call(model, fallbacks=fallbacks))
    assert (found.param if found is not None else None) == param
    if found is not None:
        assert found == not_allowed(KEY, requested, str(param))
        assert requested in found.message
        assert "its allow_models are" in found.message
