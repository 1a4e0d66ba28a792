"""Versions of the configuration: listed, compared, restored, exported."""

from pathlib import Path

from fakes.control import control_plane
from fakes.resources import CONFIG, UP, call, made
from integration.gateway import run


def test_versions_are_listed_compared_and_restored(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "a", {"labels": {"x": "1"}})
            body = {"spec": {"labels": {"x": "2"}}, "note": "a better x"}
            assert (await call(plane, "PATCH", "teams/a", body)).status_code == 200
            found = (await call(plane, "GET", "config/versions?limit=1")).json()
            assert [(one["number"], one["note"], one["author"]) for one in found] == [(2, "a better x", "admin-token")]
            older = (await call(plane, "GET", "config/versions?before=2")).json()
            assert [one["number"] for one in older] == [1]
            found = (await call(plane, "GET", "config/diff?since=1")).json()
            assert (found["until"], [one["name"] for one in found["changes"]]) == (2, ["a"])
            assert '+    "x": "2"' in found["text"]
            assert (await call(plane, "GET", "config/diff?since=9")).status_code == 404
            dry = await call(plane, "POST", "config/rollback?dry_run=true", {"version": 1})
            assert len(dry.json()["changes"]) == 1
            back = await call(plane, "POST", "config/rollback", {"version": 1})
            assert (back.status_code, back.json()["version"]) == (200, 3)
            assert (await call(plane, "GET", "teams/a")).json()["spec"] == {"labels": {"x": "1"}}
            assert (await call(plane, "POST", "config/rollback", {"version": 4})).status_code == 404
            assert (await call(plane, "POST", "config/rollback", {"version": 0})).status_code == 200
            assert (await call(plane, "GET", "teams?owner=api")).json()["items"] == []
            found = (await call(plane, "GET", "config/versions?limit=1")).json()
            assert found[0]["note"] == "rolled back to version 0"

    run(main())


def test_export_has_both_owners_and_no_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            answer = await call(plane, "GET", "config/export")
            document = answer.json()["document"]
            assert list(document["providers"]) == ["openai", "up"]
            assert document["providers"]["openai"] == "env.OPENAI_API_KEY"
            assert "sk-of-the-provider" not in answer.text
            only = (await call(plane, "GET", "config/export?only_made=true")).json()["document"]
            assert list(only) == ["providers"]
            assert list(only["providers"]) == ["up"]

    run(main())


def test_master_key_is_rotated_by_api(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            answer = await call(plane, "POST", "master-key/rotate")
            assert (answer.status_code, answer.json()) == (200, {"sealed": 1})
            (tmp_path / "master-key").write_text("short")
            answer = await call(plane, "POST", "master-key/rotate")
            assert (answer.status_code, answer.json()["code"]) == (409, "not_rotated")

    run(main())
