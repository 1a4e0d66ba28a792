"""Single sign-on, at a real server of OpenID Connect."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fakes.access import ADMIN
from fakes.control import CONFIG, control_plane
from fakes.identity_provider import IdentityServer, identity_server, sign_on_config, signed_on, walk
from integration.gateway import run


@pytest.fixture(scope="module")
def server() -> Iterator[IdentityServer]:
    with identity_server() as running:
        yield running


def config(server: IdentityServer, **fields: object) -> str:
    return "{" + sign_on_config(server.issuer, **fields) + ", " + as_flow() + "}"


def as_flow() -> str:
    import json

    import yaml

    return json.dumps(yaml.safe_load(CONFIG))[1:-1]


def test_groups_give_roles_and_the_account_is_made_at_the_first_login(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("sam", name="Sam", groups=["research", "unknown", "platform"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            assert (await plane.client.get("/api/v1/login")).json()["providers"] == ["company"]
            session = await signed_on(plane, "sam")
            me = (await plane.client.get("/api/v1/me", headers=session.headers)).json()
            assert (me["label"], me["password"]) == ("Sam", False)
            assert me["name"] == f"user:Sam ({session.name})"
            assert me["permissions"]["users:write"] == ["*"]
            assert "owners:write" not in me["permissions"]
            (user,) = await plane.data("/api/v1/users")
            assert (user["issuer"], user["subject"]) == (server.issuer, "sam")
            assert {(one["role"], one["source"]) for one in user["roles"]} == {
                ("admin", "groups"),
                ("team-admin", "groups"),
            }
            server.set_user("sam", name="Samantha", groups=["research"])
            again = await signed_on(plane, "sam")
            assert again.name == session.name
            me = (await plane.client.get("/api/v1/me", headers=session.headers)).json()
            assert me["permissions"]["keys:write"] == ["team:research"]
            assert "users:write" not in me["permissions"], "the earlier session has the new groups too"

    run(main())


def test_request_to_the_provider_has_pkce_state_and_nonce(server: IdentityServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            seen = set()
            for _ in range(2):
                begun = await plane.client.get("/api/v1/login/company", headers={"host": "127.0.0.1"})
                query = parse_qs(urlsplit(begun.headers["location"]).query)
                assert query["code_challenge_method"] == ["S256"]
                assert query["redirect_uri"] == ["http://127.0.0.1/api/v1/login/company/callback"]
                assert query["scope"] == ["openid profile"]
                assert query["response_type"] == ["code"]
                seen |= {query["state"][0], query["nonce"][0], query["code_challenge"][0]}
                cookie = begun.headers["set-cookie"]
                assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= set(cookie.split("; "))
                assert not any(one in cookie for one in seen), "the browser cannot read the state"
            assert len(seen) == 6

    run(main())


def test_answer_counts_only_in_the_browser_that_began_and_only_once(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("sam", groups=["research"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            import httpx

            begun = await plane.client.get("/api/v1/login/company")
            own = dict(plane.client.cookies)
            async with httpx.AsyncClient() as browser:
                answer = await browser.post(begun.headers["location"], data={"sub": "sam"})
            back = answer.headers["location"].removeprefix("http://127.0.0.1")
            plane.client.cookies.clear()
            assert (await plane.client.get(back)).status_code == 401
            await plane.client.get("/api/v1/login/company")  # of another browser
            assert (await plane.client.get(back)).status_code == 401
            plane.client.cookies.clear()
            plane.client.cookies.update(own)
            state = parse_qs(urlsplit(back).query)["state"][0]
            for changed in (back.replace(state, "x" * len(state)), back + "&iss=https://evil.example"):
                assert (await plane.client.get(changed)).status_code == 401
            assert (await plane.client.get("/api/v1/login/company/callback")).status_code == 401
            assert (await plane.client.get(back)).status_code == 303
            plane.client.cookies.clear()
            plane.client.cookies.update(own)
            assert (await plane.client.get(back)).status_code == 401, "the code was used"
            assert (await plane.client.get("/api/v1/login/other")).status_code == 404

    run(main())


def test_denied_user_and_user_without_a_role_get_no_session(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("eve", groups=["unknown"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            denied = await walk(plane, "eve", denies=True)
            assert denied.status_code == 401
            stranger = await walk(plane, "eve")
            assert stranger.status_code == 403
            assert "none of the user's groups has a role" in stranger.json()["detail"]
            assert "pointsman-session" not in str(stranger.headers)
            assert await plane.data("/api/v1/users") == []

    run(main())


def age(folder: Path, seconds: float) -> None:
    """Move the last check of all sessions into the past."""
    with sqlite3.connect(folder / "pointsman.db") as database:
        database.execute("UPDATE console_sessions SET checked_at = checked_at - ?", (seconds,))


def test_session_is_checked_again_and_ends_with_the_account(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("rita", groups=["platform"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server, scopes=["openid", "profile"])) as plane:
            session = await signed_on(plane, "rita")
            server.set_user("rita", groups=["research"])
            assert (await plane.client.get("/api/v1/users", headers=session.headers)).status_code == 200
            age(tmp_path, 901)
            assert (await plane.client.get("/api/v1/users", headers=session.headers)).status_code == 403
            me = await plane.client.get("/api/v1/me", headers=session.headers)
            assert me.json()["permissions"]["keys:write"] == ["team:research"]
            server.revoke("rita")
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200
            age(tmp_path, 901)
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401
            assert await plane.services.access.sessions(session.name) == []

    run(main())


def test_refresh_token_is_sealed_in_the_store(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("rita", groups=["platform"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "rita")
            (found,) = await plane.services.access.sessions(session.name)
            assert found.refresh.startswith("sealed:v1:")

    run(main())


def test_logout_names_the_address_that_ends_the_session_at_the_provider(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("rita", groups=["platform"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "rita")
            answer = (await plane.client.post("/api/v1/logout", headers=session.headers)).json()
            url = urlsplit(answer["next"])
            assert f"{url.scheme}://{url.netloc}" == server.issuer
            assert parse_qs(url.query) == {"client_id": ["console"], "post_logout_redirect_uri": ["http://127.0.0.1/"]}
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401

    run(main())


def test_disabled_user_cannot_sign_on_and_own_roles_stay(server: IdentityServer, tmp_path: Path) -> None:
    server.set_user("dora", groups=["research"])

    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "dora")
            path = f"/api/v1/users/{session.name}"
            body: dict[str, object] = {"roles": [{"role": "viewer"}]}
            await plane.client.patch(path, json=body, headers=ADMIN)
            server.set_user("dora", groups=[])
            again = await signed_on(plane, "dora")
            me = (await plane.client.get("/api/v1/me", headers=again.headers)).json()
            assert [one["role"] for one in me["roles"]] == ["viewer"]
            await plane.client.patch(path, json={"disabled": True}, headers=ADMIN)
            assert (await plane.client.get("/api/v1/me", headers=again.headers)).status_code == 401
            assert (await walk(plane, "dora")).status_code == 403
            changed = await plane.client.patch(path, json={"password": "a long enough password"}, headers=ADMIN)
            assert changed.status_code == 422

    run(main())
