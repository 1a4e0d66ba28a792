"""Costs of a request that its bytes do not bound are found, and no others."""

from typing import Any

import pytest

from fakes.money import make_call
from pointsman.domain.calls import Media
from pointsman.domain.operations import Operation
from pointsman.wire.unbounded import MAX_USES, USES, Unbounded, Use, unbounded_in

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "web_search"}}}


def of_response(**fields: Any) -> Unbounded | None:
    return unbounded_in(make_call("responses", fields=fields))


def of_chat(**fields: Any) -> Unbounded | None:
    return unbounded_in(make_call("chat", fields=fields))


def uses(*found: tuple[str, int], field: str = "tools") -> Unbounded:
    return Unbounded(field, tuple(Use(tool, count, field) for tool, count in found))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": [], "temperature": 1},
        {"tools": [FUNCTION, {"type": "custom", "name": "c"}]},
        {"tools": [{"name": "f", "parameters": {}}, {"function": {"name": "f"}}]},
        {"tools": None, "plugins": [], "web_search_options": None, "enable_search": False},
        {"search_parameters": {"mode": "off"}},
        {"plugins": [{"id": "web", "enabled": False}]},
        {"extra_body": {"google": {"thinking_config": {}}}},
        {"input": [{"type": "item_reference"}], "previous_response_id": "r"},  # of another path, which ignores it
    ],
)
def test_ordinary_chat_is_bounded_by_its_bytes(fields: dict[str, Any]) -> None:
    assert of_chat(**fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Hello", "instructions": "x"},
        {"input": [{"role": "user", "content": "x"}, {"type": "message", "role": "assistant", "content": []}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"type": "reasoning", "id": "rs", "encrypted_content": "abc"}]},
        {"previous_response_id": None, "conversation": None, "prompt": None},
        {"tools": [{"type": "function", "name": "f"}, {"type": "shell", "environment": {"type": "local"}}]},
        {"max_tool_calls": 3},
    ],
)
def test_ordinary_response_is_bounded_by_its_bytes(fields: dict[str, Any]) -> None:
    assert of_response(**fields) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "m"}]}, "input"),
        ({"input": [{"id": "m"}]}, "input"),
        ({"input": [{"type": None, "id": "m"}]}, "input"),
        ({"input": [{"type": "reasoning", "id": "rs", "summary": []}]}, "input"),
        ({"input": [{"type": "compaction", "encrypted_content": "abc"}]}, "input"),
        ({"input": [1]}, "input"),
    ],
)
def test_stored_input_of_response_is_named(fields: dict[str, Any], field: str) -> None:
    assert of_response(**fields) == Unbounded(field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cached_content": "cachedContents/1"}, "cached_content"),
        ({"extra_body": {"google": {"cached_content": "cachedContents/1"}}}, "extra_body"),
    ],
)
def test_cached_content_of_chat_is_named(fields: dict[str, Any], field: str) -> None:
    assert of_chat(**fields) == Unbounded(field)


@pytest.mark.parametrize("operation", ["chat", "responses"])
def test_files_and_videos_by_reference_are_named(operation: Operation) -> None:
    found = unbounded_in(make_call(operation, media=Media(1, 50_000, elsewhere="file_id")))
    assert found == Unbounded("file_id")


@pytest.mark.parametrize(
    ("tools", "most", "found"),
    [
        ([{"type": "web_search"}], None, uses(("web_search", USES))),
        ([{"type": "web_search_20250305", "max_uses": 2}], None, uses(("web_search", 2))),
        ([{"type": "web_search_preview_2025_03_11"}, FUNCTION], 9, uses(("web_search_preview", 9))),
        ([{"type": "web_search", "max_uses": 9}], 3, uses(("web_search", 3))),
        ([{"type": "web_search", "max_uses": MAX_USES + 1}], None, uses(("unknown", USES))),
        ([{"type": "code_interpreter", "container": "cntr_1"}], None, uses(("code_interpreter", USES))),
        (
            [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "16g"}}],
            1,
            uses(("code_interpreter:16g", 1)),
        ),
        ([{"type": "shell", "environment": {"type": "container_auto"}}], None, uses(("shell", USES))),
        ([{"type": "openrouter:web_search", "parameters": {"max_uses": 2}}], None, uses(("openrouter:web_search", 2))),
        ([{"type": "never_heard_of"}], None, uses(("never_heard_of", USES))),
        ([1], None, uses(("unknown", USES))),
        ([{"google_search": {}}, FUNCTION], None, uses(("unknown", USES))),
    ],
)
def test_tools_run_by_provider_are_counted(tools: list[Any], most: int | None, found: Unbounded) -> None:
    assert of_response(tools=tools, max_tool_calls=most) == found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"web_search_options": {}}, uses(("web_search_options", 1), field="web_search_options")),
        ({"search_parameters": {}}, uses(("live_search", 20), field="search_parameters")),
        ({"search_parameters": {"max_search_results": 3}}, uses(("live_search", 3), field="search_parameters")),
        ({"plugins": [{"id": "web"}]}, uses(("plugin:web", 5), field="plugins")),
        ({"plugins": [{"id": "web", "max_results": 2}]}, uses(("plugin:web", 2), field="plugins")),
        ({"plugins": "all"}, uses(("unknown", USES), field="plugins")),
        ({"models": ["a/b"]}, uses(("models", 1), field="models")),
        ({"preset": "pro-search"}, uses(("preset", 1), field="preset")),
        ({"enable_search": True}, uses(("enable_search", 1), field="enable_search")),
    ],
)
def test_searches_and_services_of_chats_are_counted(fields: dict[str, Any], found: Unbounded) -> None:
    assert of_chat(**fields) == of_response(**fields) == found


def test_prediction_may_be_charged_in_addition_to_answer() -> None:
    found = of_chat(prediction={"type": "content", "content": "x" * 100})
    assert found is not None
    assert found.field == ""
    assert found.predicted > 100
