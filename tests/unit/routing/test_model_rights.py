"""The names that a virtual key may request."""

import pytest
from msgspec.structs import replace

from fakes.batches import WORK
from fakes.routing import call, snapshot
from pointsman.domain.batches import BatchWork
from pointsman.domain.calls import Call
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.requirements import Requirement
from pointsman.domain.state import Pin, Touched
from pointsman.routing.model_rights import forbidden_name, is_allowed, line_rights, not_allowed

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


@pytest.mark.parametrize(
    ("method", "path", "operation", "allowed"),
    [
        ("GET", "/batches/b", "batch", True),
        ("POST", "/batches/b/cancel", "batch", True),
        ("GET", "/files/f/content", "file", True),
        ("POST", "/files", "file", True),
        ("DELETE", "/files/f", "file", True),
        ("GET", "/responses/r", "responses", True),
        ("POST", "/responses", "responses", False),
        ("POST", "/fine_tuning/jobs", "other", False),
    ],
)
def test_request_that_uses_no_model_needs_no_right_to_one(
    method: str, path: str, operation: Operation, allowed: bool
) -> None:
    asked = call("", operation)
    asked = replace(asked, head=replace(asked.head, method=method, path=path))
    assert (forbidden_name(KEY, asked) is None) is allowed


def batch(work: BatchWork | None) -> Call:
    pin = Pin("openai", "only", "the file 'f'")
    return replace(call("", "batch"), state=Touched(creates="batch"), pin=pin, batch=work)


EU = (Requirement("region", ("eu",), origin="virtual key me"),)
ENTRY = ProviderEntry("openai", allow_models=("gpt-4o*",))
FREE = VirtualKey(name="free", digest=b"")


@pytest.mark.parametrize(
    ("key", "work", "problem"),
    [
        (FREE, None, ""),
        (FREE, replace(WORK, names=("secret",), rights="other"), ""),
        (KEY, None, "not known here"),
        (KEY, WORK, "not known here"),
        (KEY, replace(WORK, names=("chat", "openai/x")), ""),
        (KEY, replace(WORK, names=("chat", "large")), "may not use the model 'large', which a line of the file names"),
        (replace(KEY, allow_models=("*",)), None, ""),
        (replace(FREE, entries={"openai": ENTRY}), replace(WORK, names=("chat",)), ""),
        (replace(FREE, entries={"openai": ENTRY}), None, "not known here"),
        (
            replace(FREE, entries={"openai": replace(ENTRY, allow_models=("o1",))}),
            replace(WORK, names=("chat",)),
            "may not use model gpt-4o of provider openai",
        ),
        (replace(FREE, require=EU), replace(WORK, names=("chat",)), "checked under other requirements"),
        (replace(FREE, require=EU), replace(WORK, names=("chat",), rights="['region=eu'] None"), ""),
        (replace(FREE, provider_tools=frozenset()), replace(WORK, names=("chat",)), "checked under other requirements"),
    ],
)
def test_key_that_requests_a_batch_needs_the_rights_for_its_lines(
    key: VirtualKey, work: BatchWork | None, problem: str
) -> None:
    found = forbidden_name(key, batch(work))
    if not problem:
        assert found is None
    else:
        assert found is not None
        assert found.param == "input_file_id"
        assert problem in found.message


def test_rights_of_lines_are_those_of_the_key_and_of_everybody() -> None:
    everybody = replace(snapshot([]), require=(Requirement("zdr", ("true",)),))
    assert line_rights(None, snapshot([])) == ""
    assert line_rights(None, everybody) == "['zdr=true'] None"
    tools = replace(FREE, require=EU, provider_tools=frozenset({"web", "batches"}))
    assert line_rights(tools, everybody) == "['region=eu', 'zdr=true'] ['batches', 'web']"
