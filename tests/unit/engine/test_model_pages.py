"""The list of models in Anthropic's dialect has its shape, its pages, and second names for Claude Code."""

from typing import Any

import msgspec
import pytest
from anthropic.types import ModelInfo

from fakes.wire import rejected
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.model_list import ModelList, ModelsAsked
from pointsman.engine.model_pages import PagedModel, entries_of, page_of
from unit.engine.test_model_list import snapshot

__all__ = ["snapshot"]  # a fixture

LETTERS = [one for name in "abcde" for one in entries_of(name, 1000, None, is_public=False)]


def page(entries: list[PagedModel], query: str = "") -> tuple[str, bool, str | None, str | None]:
    found = msgspec.json.decode(page_of(entries, query))
    assert found.keys() == {"data", "has_more", "first_id", "last_id"}
    return "".join(one["id"] for one in found["data"]), found["has_more"], found["first_id"], found["last_id"]


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ("", "abcde", False),
        ("limit=1000", "abcde", False),
        ("limit=2", "ab", True),
        ("limit=2&after_id=b", "cd", True),
        ("limit=2&after_id=d", "e", False),
        ("limit=5&after_id=e", "", False),
        ("limit=2&before_id=e", "cd", True),
        ("limit=2&before_id=c", "ab", False),
        ("before_id=a", "", False),
    ],
)
def test_pages_are_those_of_the_query(query: str, ids: str, has_more: bool) -> None:
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert page(LETTERS, query) == (ids, has_more, *ends)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=", "limit"),
        ("after_id=nobody", "after_id"),
        ("before_id=nobody", "before_id"),
        ("after_id=a&before_id=c", "before_id"),
    ],
)
def test_invalid_page_is_rejected(query: str, param: str) -> None:
    failure = rejected(lambda: page_of(LETTERS, query))
    assert (failure.kind.status, failure.param) == (400, param)


def test_default_page_has_twenty_models() -> None:
    many = [one for number in range(50) for one in entries_of(f"m{number}", None, None, is_public=False)]
    assert len(msgspec.json.decode(page_of(many, ""))["data"]) == 20


def listed(snapshot: Snapshot, key: VirtualKey | None, path: str = "/models?limit=1000") -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(ModelList(snapshot).answer(ModelsAsked(key, path, "anthropic")))
    return found


def test_official_clients_read_the_list(snapshot: Snapshot) -> None:
    found = [ModelInfo.model_validate(one, strict=False) for one in listed(snapshot, None)["data"]]
    assert [(one.id, one.display_name, one.type) for one in found[:2]] == [
        ("chat", "chat", "model"),
        ("claude-via-chat", "chat", "model"),
    ]
    assert found[0].created_at.year == 1970
    ids = [one.id for one in found]
    assert "gpt-4o" in ids
    assert [one for one in ids if one.startswith("claude")] == ["claude-via-chat"], "only public names have two"
    assert listed(snapshot, None)["data"][1]["max_input_tokens"] == 128_000


def test_one_model_is_found_under_both_names(snapshot: Snapshot) -> None:
    for name in ("chat", "claude-via-chat"):
        assert listed(snapshot, None, f"/models/{name}")["id"] == name
    assert msgspec.json.decode(ModelList(snapshot).answer(ModelsAsked(None, "/models/claude-via-chat")))["id"] == "chat"


def test_key_sees_only_the_models_it_may_use(snapshot: Snapshot) -> None:
    by_name = {one.name: one for one in snapshot.virtual_keys.values()}
    models = ModelList(snapshot)
    for path in ("/models/claude-via-chat", "/models/claude-via-nobody", "/models/claude-via-gpt-4o"):
        failure = rejected(lambda path=path: models.answer(ModelsAsked(by_name["one"], path, "anthropic")))  # type: ignore[misc]
        assert failure.kind.code == "model_not_found"
    for name, key in by_name.items():
        ours = {one["id"] for one in msgspec.json.decode(models.answer(ModelsAsked(key, "/models")))["data"]}
        theirs = {one["id"] for one in listed(snapshot, key)["data"]}
        assert theirs == ours | ({"claude-via-chat"} & {f"claude-via-{one}" for one in ours}), name
