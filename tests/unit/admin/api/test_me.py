"""The caller's own account: its rights, its password and its sessions."""

from pathlib import Path

from fakes.access import ADMIN, PASSWORD, log_in, try_login, user
from fakes.control import control_plane
from integration.gateway import run

NEW = "another long password"


def test_caller_sees_its_permissions_with_their_scopes(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "tina", "team-admin@team:research", "member@virtual_key:me")
            shown = (await plane.client.get("/api/v1/me", headers=session.headers)).json()
            assert (shown["name"], shown["label"], shown["id"]) == ("user:tina", "tina", session.name)
            assert shown["permissions"]["keys:write"] == ["team:research"]
            assert shown["permissions"]["usage:read"] == ["team:research", "virtual_key:me"]
            assert "users:read" not in shown["permissions"]
            assert shown["csrf"] == session.headers["x-pointsman-csrf"]
            assert "argon2" not in str(shown)
            everything = (await plane.client.get("/api/v1/me", headers=ADMIN)).json()
            assert everything["permissions"]["owners:write"] == ["*"]

    run(main())


def test_password_is_changed_with_the_present_one_and_other_sessions_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            other = await log_in(plane, "vera")
            for old, new, status in (("a wrong password", NEW, 403), (PASSWORD, "short", 422), (PASSWORD, NEW, 200)):
                body = {"old": old, "new": new}
                answer = await plane.client.post("/api/v1/me/password", json=body, headers=session.headers)
                assert answer.status_code == status
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200
            assert (await plane.client.get("/api/v1/me", headers=other.headers)).status_code == 401
            assert (await try_login(plane, "vera")).status_code == 401
            assert (await try_login(plane, "vera", NEW)).status_code == 200

    run(main())


def test_other_sessions_are_listed_and_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            other = await log_in(plane, "vera")
            listed = (await plane.client.get("/api/v1/me/sessions", headers=session.headers)).json()
            assert sorted(one["is_this"] for one in listed) == [False, True]
            assert listed[0]["address"] == "127.0.0.1"
            assert (await plane.client.delete("/api/v1/me/sessions", headers=session.headers)).status_code == 200
            assert (await plane.client.get("/api/v1/me", headers=other.headers)).status_code == 401
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200

    run(main())


def test_tokens_have_no_account(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            body = {"old": PASSWORD, "new": NEW}
            assert (await plane.client.post("/api/v1/me/password", json=body, headers=ADMIN)).status_code == 409
            assert (await plane.client.get("/api/v1/me/sessions", headers=ADMIN)).status_code == 409
            assert (await plane.client.delete("/api/v1/me/sessions", headers=ADMIN)).status_code == 409

    run(main())
