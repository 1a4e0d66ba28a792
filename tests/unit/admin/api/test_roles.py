"""Roles: built-in ones stay, and others have no more permissions than the caller who makes them."""

from pathlib import Path

from fakes.access import ADMIN, create_user, token, user
from fakes.control import ControlPlane, control_plane
from integration.gateway import run


async def put(plane: ControlPlane, name: str, headers: dict[str, str], *permissions: str) -> int:
    body = {"permissions": permissions}
    return (await plane.client.put(f"/api/v1/roles/{name}", json=body, headers=headers)).status_code


def test_custom_role_counts_at_once_for_its_holders(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert await put(plane, "billing", ADMIN, "usage:read") == 200
            person = await user(plane, "bill", "billing")
            assert (await plane.client.get("/api/v1/usage", headers=person.headers)).status_code == 200
            assert (await plane.client.get("/api/v1/batches", headers=person.headers)).status_code == 403
            assert await put(plane, "billing", ADMIN, "budgets:read") == 200
            assert (await plane.client.get("/api/v1/usage", headers=person.headers)).status_code == 403
            assert (await plane.client.get("/api/v1/batches", headers=person.headers)).status_code == 200
            listed = {one["name"]: one for one in (await plane.data("/api/v1/roles"))["roles"]}
            assert listed["billing"]["permissions"] == ["budgets:read"]
            assert listed["owner"]["built_in"]
            assert (await plane.client.delete("/api/v1/roles/billing", headers=ADMIN)).status_code == 409
            await plane.client.delete(f"/api/v1/users/{person.name}", headers=ADMIN)
            assert (await plane.client.delete("/api/v1/roles/billing", headers=ADMIN)).status_code == 200
            assert (await plane.client.delete("/api/v1/roles/billing", headers=ADMIN)).status_code == 404

    run(main())


def test_role_has_no_more_than_its_author_and_never_the_owners_permission(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "other")
            assert await put(plane, "roles-only", ADMIN, "roles:write", "users:read") == 200
            clerk = await token(plane, "clerk", "roles-only")
            assert await put(plane, "mine", clerk.headers, "users:read") == 200
            assert await put(plane, "mine", clerk.headers, "users:write") == 403
            assert await put(plane, "strong", ADMIN, "users:write") == 200
            assert await put(plane, "strong", clerk.headers, "users:read") == 403
            assert (await plane.client.delete("/api/v1/roles/strong", headers=clerk.headers)).status_code == 403
            for headers in (ADMIN, clerk.headers):
                assert await put(plane, "kings", headers, "owners:write") == 422
            assert await put(plane, "owner", ADMIN, "usage:read") == 409
            assert await put(plane, "viewer", ADMIN, "usage:write") == 409
            assert (await plane.client.delete("/api/v1/roles/viewer", headers=ADMIN)).status_code == 409
            for name in ("Upper", "a b", "-", "x" * 65):
                assert await put(plane, name, ADMIN, "usage:read") == 422
            assert await put(plane, "empty", ADMIN) == 422
            assert await put(plane, "unknown", ADMIN, "usage:fly") == 422
            assert await put(plane, "implied", ADMIN, "self") == 422

    run(main())
