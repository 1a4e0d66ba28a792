"""Documents and versions as plans of changes."""

from pathlib import Path
from typing import Any

import pytest

from fakes.control import control_plane
from fakes.resources import CONFIG, UP, call, made
from integration.gateway import run
from pointsman.control.resource_events import ChangeIntent
from pointsman.control.resource_plans import at_version, documented, exported, merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        (["a"], ["c"], ["c"]),
        ({"a": 1}, None, None),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_is_that_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def test_exported_document_changes_nothing_when_it_is_applied(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            await made(plane, "rules", "first", {"model": "openai/gpt-4o"})
            await made(
                plane, "prices", "up/x", {"model": "up/x", "input_usd_per_million": 1.5, "output_usd_per_million": 2}
            )
            book = plane.inquiry_handler.parts.book
            for only_made in (False, True):
                document = await exported(book, only_made=only_made)
                notes: list[str] = []

                async def plan(document: Any = document, notes: list[str] = notes) -> Any:
                    return await documented(book, document, notes)

                outcome = await book.change(plan, ChangeIntent(author="somebody"))
                assert (outcome.code, outcome.changes, notes, book.number) == ("", [], [], 3)

    run(main())


def test_document_makes_changes_and_deletes(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "old", {})
            book = plane.inquiry_handler.parts.book
            document = await exported(book, only_made=False)
            document["governance"] = {**document["governance"], "teams": {"research": {}, "new": {}}}
            answer = await call(plane, "POST", "config/apply", {"document": document})
            assert (answer.status_code, answer.json()["code"]) == (409, "managed_by_file")
            assert answer.json()["errors"][0]["field"] == "team research"
            document["governance"]["teams"]["research"] = {"budgets": [{"limit_usd": 100, "per": "month"}]}
            document["server"] = {"workers": 7}
            answer = await call(plane, "POST", "config/apply?dry_run=true", {"document": document})
            assert book.number == 1
            answer = await call(plane, "POST", "config/apply", {"document": document})
            changes = {(one["name"], one["after"] is None) for one in answer.json()["changes"]}
            assert changes == {("old", True), ("new", False)}
            assert answer.json()["notes"] == ["server: only the server's own configuration file sets this; not applied"]
            answer = await call(plane, "POST", "config/apply", {"document": {"teams": {}}})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "teams")

    run(main())


def test_earlier_version_is_restored(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "a", {"labels": {"x": "1"}})
            await made(plane, "teams", "b", {})
            await call(plane, "PATCH", "teams/a", {"spec": {"labels": {"x": "2"}}})
            await call(plane, "DELETE", "teams/b")
            book = plane.inquiry_handler.parts.book
            assert await at_version(book, 2) == {("team", "a"): {"labels": {"x": "1"}}, ("team", "b"): {}}
            assert await at_version(book, 0) == {}
            assert await at_version(book, 4) == {("team", "a"): {"labels": {"x": "2"}}}

    run(main())
