"""Queries for users: unknown permissions of a newer version count as nothing."""

from pathlib import Path

from sqlalchemy import insert

from fakes.access import create_user, roles, token
from fakes.control import control_plane
from integration.gateway import run
from pointsman.control.store.access_queries import permissions_text
from pointsman.control.store.access_tables import ROLES
from pointsman.domain.permissions import Permission


def test_permissions_of_another_version_are_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            store = plane.inquiry_handler.parts.ingest.store
            assert store is not None
            async with store.transaction() as connection:
                text = f"{permissions_text([Permission.USAGE_READ])} dragons:feed"
                await connection.execute(insert(ROLES).values(name="old", permissions=text, note=""))
            (role,) = await plane.services.access.custom_roles()
            assert role.permissions == {Permission.USAGE_READ}

    run(main())


def test_pages_of_users_have_all_their_roles(tmp_path: Path, monkeypatch: object) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for number in range(7):
                await create_user(plane, f"user {number}", "viewer", f"member@team:{number}")
            await token(plane, "robot", "viewer")
            found = await plane.services.access.users("", 100)
            assert [len(one.grants) for one in found] == [2] * 7
            assert [one.id for one in found] == sorted(one.id for one in found)
            assert await plane.services.access.local_users() == 7
            assert await plane.services.access.owners() == set()
            assert roles("a@b") == [{"role": "a", "scope": "b"}]

    run(main())
