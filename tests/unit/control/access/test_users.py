"""Users in SQLite and PostgreSQL: one at a time, and never without an owner."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest

from fakes.access import create_user, log_in, roles, token, try_login, user
from fakes.control import control_plane
from integration.databases import database
from integration.gateway import run

STORES = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def store_of(kind: str) -> AbstractAsyncContextManager[str | None]:
    return database() if kind == "postgresql" else nullcontext()


@STORES
def test_users_log_in_and_out_on_both_databases(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with store_of(kind) as url, control_plane(tmp_path, url) as plane:
            await create_user(plane, "vera", "viewer", "member@team:research")
            assert (await try_login(plane, "vera", "a wrong password")).status_code == 401
            session = await log_in(plane, "vera")
            robot = await token(plane, "robot", "viewer")
            for one in (session, robot):
                assert (await plane.client.get("/api/v1/usage", headers=one.headers)).status_code == 200
            assert (await plane.client.post("/api/v1/logout", headers=session.headers)).status_code == 200
            assert (await plane.client.get("/api/v1/usage", headers=session.headers)).status_code == 401
            assert len(await plane.data("/api/v1/users")) == 1

    run(main())


@STORES
def test_two_owners_cannot_remove_each_other_at_once(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with store_of(kind) as url, control_plane(tmp_path, url) as plane:
            one, two = await user(plane, "one", "owner"), await user(plane, "two", "owner")

            async def disable(by: dict[str, str], id_: str) -> int:
                body = {"disabled": True, "roles": roles("viewer")}
                return (await plane.client.patch(f"/api/v1/users/{id_}", json=body, headers=by)).status_code

            answers = await asyncio.gather(disable(one.headers, two.name), disable(two.headers, one.name))
            assert min(answers) == 200
            assert max(answers) in (401, 409)
            assert len(await plane.services.access.owners()) == 1

    run(main())
