"""Users of the console: made, changed and deleted, by callers who hold at least their rights."""

from pathlib import Path

import pytest

from fakes.access import ADMIN, PASSWORD, create_user, log_in, roles, token, try_login, user
from fakes.control import ControlPlane, control_plane
from integration.gateway import run


async def patch(plane: ControlPlane, id_: str, headers: dict[str, str], **fields: object) -> int:
    return (await plane.client.patch(f"/api/v1/users/{id_}", json=fields, headers=headers)).status_code


def test_user_is_made_listed_changed_and_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            ids = sorted([await create_user(plane, name, "viewer", "member@team:research") for name in "abc"])
            first = await plane.data("/api/v1/users", limit=2)
            assert [one["id"] for one in first] == ids[:2]
            assert [one["id"] for one in await plane.data("/api/v1/users", after=ids[1])] == ids[2:]
            shown = first[0]
            assert shown["roles"] == [
                {"role": "member", "scope": "team:research", "source": "given"},
                {"role": "viewer", "scope": "*", "source": "given"},
            ]
            assert (shown["issuer"], shown["disabled"], shown["logged_in_at"]) == ("local", False, None)
            assert PASSWORD not in str(first)
            assert "argon2" not in str(first)
            answer = await plane.client.patch(
                f"/api/v1/users/{ids[0]}", json={"name": "anna", "roles": roles("analyst")}, headers=ADMIN
            )
            assert (answer.json()["name"], answer.json()["subject"]) == ("anna", "anna")
            assert [one["role"] for one in answer.json()["roles"]] == ["analyst"]
            assert (await try_login(plane, "anna")).status_code == 200
            deleted = await plane.client.delete(f"/api/v1/users/{ids[0]}", headers=ADMIN)
            assert deleted.json() == {"deleted": ids[0]}
            assert (await plane.get(f"/api/v1/users/{ids[0]}")).status_code == 404
            assert (await try_login(plane, "anna")).status_code == 401

    run(main())


def test_generated_password_is_shown_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "other", "viewer")
            made = (await plane.client.post("/api/v1/users", json={"name": "a"}, headers=ADMIN)).json()
            assert len(made["password"]) >= 20
            assert "password" not in await plane.data(f"/api/v1/users/{made['id']}")
            assert (await try_login(plane, "a", made["password"])).status_code == 200

    run(main())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"), ({"name": " a"}, "name"), ({"name": "a\n"}, "name"),
        ({"name": "a", "password": "short"}, "password"),
        ({"name": "a", "roles": roles("nothing")}, "grants"), ({"name": "a", "roles": roles("viewer@x")}, "grants"),
        ({"name": "a", "roles": roles("owner@team:research")}, "grants"),
    ],
)  # fmt: skip
def test_invalid_user_is_rejected_with_its_field(body: dict[str, object], field: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "other")
            answer = await plane.client.post("/api/v1/users", json=body, headers=ADMIN)
            assert answer.status_code == 422, answer.text
            assert answer.json()["errors"][0]["field"] == field
            assert len(await plane.data("/api/v1/users")) == 1

    run(main())


def test_admin_neither_makes_nor_takes_over_an_owner(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            owner = await create_user(plane, "olga", "owner")
            admin = await user(plane, "adam", "admin")
            viewer = await create_user(plane, "vera", "viewer")
            for headers in (admin.headers, (await token(plane, "robot", "admin")).headers):
                body = {"name": "new", "password": PASSWORD, "roles": roles("owner")}
                made = await plane.client.post("/api/v1/users", json=body, headers=headers)
                assert made.status_code == 403
                assert "for everything, which you do not hold" in made.json()["detail"]
                assert await patch(plane, owner, headers, password=PASSWORD + "!") == 403
                assert await patch(plane, owner, headers, disabled=True) == 403
                assert await patch(plane, viewer, headers, roles=roles("owner")) == 403
                assert await patch(plane, admin.name, headers, roles=roles("owner")) == 403
                assert (await plane.client.delete(f"/api/v1/users/{owner}", headers=headers)).status_code == 403
                sessions = await plane.client.delete(f"/api/v1/users/{owner}/sessions", headers=headers)
                assert sessions.status_code == 403
                assert await patch(plane, viewer, headers, roles=roles("operator")) == 200
            assert (await try_login(plane, "olga")).status_code == 200

    run(main())


def test_last_owner_stays_unless_the_admin_token_changes_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            one, two = await user(plane, "one", "owner"), await user(plane, "two", "owner")
            assert await patch(plane, two.name, one.headers, disabled=True) == 200
            changes: list[dict[str, object]] = [{"disabled": True}, {"roles": roles("admin")}, {"roles": []}]
            for fields in changes:
                assert await patch(plane, one.name, one.headers, **fields) == 409
            assert (await plane.client.delete(f"/api/v1/users/{one.name}", headers=one.headers)).status_code == 409
            assert await patch(plane, one.name, one.headers, roles=roles("owner", "viewer")) == 200
            assert await patch(plane, one.name, ADMIN, disabled=True) == 200

    run(main())


def test_disabled_user_and_new_password_end_sessions_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            vera = await user(plane, "vera", "viewer")
            assert (await plane.client.get("/api/v1/usage", headers=vera.headers)).status_code == 200
            assert await patch(plane, vera.name, ADMIN, disabled=True) == 200
            assert (await plane.client.get("/api/v1/usage", headers=vera.headers)).status_code == 401
            assert (await try_login(plane, "vera")).status_code == 401
            assert await patch(plane, vera.name, ADMIN, disabled=False) == 200
            assert (await plane.client.get("/api/v1/usage", headers=vera.headers)).status_code == 401
            again = await log_in(plane, "vera")
            assert await patch(plane, vera.name, ADMIN, password=PASSWORD + "!") == 200
            assert (await plane.client.get("/api/v1/usage", headers=again.headers)).status_code == 401

    run(main())


def test_lost_update_is_rejected(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            id_ = await create_user(plane, "vera", "viewer")
            etag = (await plane.get(f"/api/v1/users/{id_}")).headers["etag"]
            assert await patch(plane, id_, {**ADMIN, "if-match": etag}, roles=roles("analyst")) == 200
            assert await patch(plane, id_, {**ADMIN, "if-match": etag}, roles=roles("operator")) == 412
            assert await patch(plane, id_, {**ADMIN, "if-match": "nonsense"}, roles=roles("operator")) == 412
            assert await patch(plane, id_, {**ADMIN, "if-match": "*"}, roles=roles("operator")) == 200
            assert await patch(plane, id_, ADMIN, totp=True) == 422
            assert await patch(plane, "u-unknown", ADMIN, disabled=True) == 404

    run(main())


def test_two_users_have_no_common_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "vera")
            other = await create_user(plane, "vera'); DROP TABLE users;--")
            body = {"name": "vera", "password": PASSWORD}
            assert (await plane.client.post("/api/v1/users", json=body, headers=ADMIN)).status_code == 409
            assert await patch(plane, other, ADMIN, name="vera") == 409
            assert len(await plane.data("/api/v1/users")) == 2

    run(main())
