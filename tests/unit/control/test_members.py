"""Keys of members end with the right to them."""

import logging
from pathlib import Path

import pytest

from fakes.access import ADMIN, token
from fakes.control import control_plane
from integration.gateway import run, until
from pointsman.control.members import end_lost_keys, holder_of

CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {}}
  access_templates: {members: {team: research}}
  virtual_keys: {me: {value: env.ME}}
"""


def test_key_of_an_expired_token_is_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            parts = plane.inquiry_handler.parts
            await until(lambda: not parts.keys._is_behind, "the keys are read from the store")
            robot = await token(plane, "robot", "member@team:research")
            made = await plane.client.post("/api/v1/me/keys", json={"name": "own"}, headers=robot.headers)
            assert made.status_code == 201, made.text
            store = parts.ingest.store
            assert store is not None
            (row,) = await store.api_keys.of_members()
            assert (row["name"], row["created_by"]) == ("own", holder_of("token:robot"))
            await end_lost_keys(store, parts.keys)
            assert len(await store.api_keys.of_members()) == 1
            monkeypatch.setattr("pointsman.control.members.time", lambda: made.json()["created_at"] + 2 * 86_400)
            await end_lost_keys(store, parts.keys)
            assert await store.api_keys.of_members() == []

    run(main())


def test_key_is_disabled_when_its_role_loses_the_permission(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            parts = plane.inquiry_handler.parts
            await until(lambda: not parts.keys._is_behind, "the keys are read from the store")
            path, permissions = "/api/v1/roles/makers", ["keys:own", "usage:read"]
            await plane.client.put(path, json={"permissions": permissions}, headers=ADMIN)
            robot = await token(plane, "robot", "makers@team:research")
            made = await plane.client.post("/api/v1/me/keys", json={"name": "own"}, headers=robot.headers)
            assert made.status_code == 201, made.text
            await plane.client.put(path, json={"permissions": permissions[1:]}, headers=ADMIN)
            assert parts.ingest.store is not None
            assert await parts.ingest.store.api_keys.of_members() == []

    run(main())


def test_without_a_store_nothing_happens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            with caplog.at_level(logging.WARNING):
                await end_lost_keys(None, plane.inquiry_handler.parts.keys)
        assert not caplog.records

    run(main())
