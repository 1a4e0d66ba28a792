"""Logins: sessions in cookies, protection against other pages, and locks after failures."""

import sqlite3
from pathlib import Path

import pytest

from fakes.access import ADMIN, PASSWORD, create_user, log_in, try_login, user
from fakes.control import CONFIG, control_plane
from integration.gateway import run

HTTPS = "console: {public_url: 'https://console.example.com'}\n" + CONFIG


def test_session_is_a_cookie_that_pages_cannot_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert (await plane.get("/api/v1/login", token=None)).json() == {"password": False, "providers": []}
            await create_user(plane, "vera", "viewer")
            assert (await plane.get("/api/v1/login", token=None)).json() == {"password": True, "providers": []}
            cookie = (await try_login(plane, "vera")).headers["set-cookie"]
            assert cookie.startswith("pointsman-session=pm-session-")
            assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
            assert "Secure" not in cookie
            stored = b"".join(path.read_bytes() for path in tmp_path.glob("pointsman.db*"))
            assert cookie.partition("=")[2].partition(";")[0].encode() not in stored

    run(main())


def test_cookie_is_bound_to_the_host_where_browsers_use_https(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=HTTPS) as plane:
            await create_user(plane, "vera", "viewer")
            cookie = (await try_login(plane, "vera")).headers["set-cookie"]
            assert cookie.startswith("__Host-pointsman-session=pm-session-")
            assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(cookie.split("; "))
            assert "domain" not in cookie.lower()
            session = await log_in(plane, "vera")
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200
            plain = {"cookie": session.headers["cookie"].removeprefix("__Host-")}
            assert (await plane.client.get("/api/v1/me", headers=plain)).status_code == 401
            own = session.using(origin="https://console.example.com")
            assert (await plane.client.post("/api/v1/logout", headers=own)).status_code == 200

    run(main())


def test_changes_by_a_session_need_its_token_and_its_own_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session, other = await user(plane, "adam", "admin"), await user(plane, "eve", "owner")
            cookie = {"cookie": session.headers["cookie"]}
            body = {"name": "new", "password": PASSWORD}
            for headers in (
                cookie,
                {**cookie, "x-pointsman-csrf": ""},
                {**cookie, "x-pointsman-csrf": other.headers["x-pointsman-csrf"]},
                session.using(origin="https://evil.example"),
                session.using(origin="null"),
                session.using(**{"sec-fetch-site": "cross-site"}),
                session.using(**{"sec-fetch-site": "same-site"}),
            ):
                answer = await plane.client.post("/api/v1/users", json=body, headers=headers)
                assert answer.status_code == 403, headers
            assert len(await plane.data("/api/v1/users")) == 2
            for site in ("same-origin", "none"):
                headers = session.using(origin="http://127.0.0.1", **{"sec-fetch-site": site})
                answer = await plane.client.post("/api/v1/users", json={**body, "name": site}, headers=headers)
                assert answer.status_code == 201
            assert (await plane.client.get("/api/v1/users", headers=cookie)).status_code == 200

    run(main())


def test_login_from_another_page_is_rejected(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "vera", "viewer")
            body = {"name": "vera", "password": PASSWORD}
            for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
                answer = await plane.client.post("/api/v1/login", json=body, headers=headers)
                assert answer.status_code == 403
                assert "set-cookie" not in answer.headers

    run(main())


def test_bearer_token_is_never_mixed_with_a_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "olga", "owner")
            wrong = session.using(authorization="Bearer wrong")
            assert (await plane.client.get("/api/v1/usage", headers=wrong)).status_code == 401
            both = session.using(**ADMIN)
            assert (await plane.client.get("/api/v1/me", headers=both)).json()["name"] == "admin-token"

    run(main())


def test_logout_ends_the_session_for_everybody_who_has_the_cookie(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            answer = await plane.client.post("/api/v1/logout", headers=session.headers)
            assert answer.json() == {"ended": True, "next": None}
            assert "Max-Age=0" in answer.headers["set-cookie"]
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401
            assert (await plane.client.post("/api/v1/logout", headers=ADMIN)).json() == {"ended": False, "next": None}

    run(main())


@pytest.mark.parametrize("change", ["ends_at = 1", "seen_at = seen_at - 3601"])
def test_old_and_idle_sessions_are_over(change: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            with sqlite3.connect(tmp_path / "pointsman.db") as database:
                database.execute(f"UPDATE console_sessions SET {change}")
            answer = await plane.client.get("/api/v1/me", headers=session.headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "session_over")

    run(main())


def test_use_of_a_session_keeps_it_from_being_idle(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            for _ in range(3):
                with sqlite3.connect(tmp_path / "pointsman.db") as database:
                    database.execute("UPDATE console_sessions SET seen_at = seen_at - 3000")
                assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200

    run(main())


def test_account_is_locked_after_failures_whether_it_exists_or_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "olga", "owner")
            await create_user(plane, "vera", "viewer")
            for name in ("vera", "nobody"):
                answers = [await try_login(plane, name, "a wrong password") for _ in range(6)]
                assert [one.status_code for one in answers] == [401] * 5 + [429]
                assert answers[0].json()["detail"] == "the name or the password is wrong"
                assert 0 < int(answers[5].headers["retry-after"]) <= 31
                assert (await try_login(plane, name)).status_code == 429, "the right password does not help"
            with sqlite3.connect(tmp_path / "pointsman.db") as database:
                database.execute("UPDATE login_attempts SET until = 0")
            assert (await try_login(plane, "vera")).status_code == 200
            assert (await try_login(plane, "vera", "a wrong password")).status_code == 401, "the count began again"

    run(main())


def test_last_owner_is_never_locked_but_its_address_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "olga", "owner")
            answers = [(await try_login(plane, "olga", "a wrong password")).status_code for _ in range(21)]
            assert answers == [401] * 20 + [429]
            with sqlite3.connect(tmp_path / "pointsman.db") as database:
                database.execute("DELETE FROM login_attempts WHERE subject LIKE 'address:%'")
            assert (await try_login(plane, "olga")).status_code == 200

    run(main())
