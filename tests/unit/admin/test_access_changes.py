"""Changes of users by the API: an unavailable store or control is an error of its own."""

from pathlib import Path

from fakes.access import ADMIN, PASSWORD, create_user
from fakes.control import control_plane
from integration.gateway import run
from pointsman.admin.access_changes import RoleField, grants_of
from pointsman.domain.rights import RoleGrant


def test_store_that_is_not_open_is_an_error_and_nothing_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "vera")
            ingest = plane.inquiry_handler.parts.ingest
            store, ingest.store = ingest.store, None
            answer = await plane.client.post("/api/v1/users", json={"name": "a", "password": PASSWORD}, headers=ADMIN)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            ingest.store = store
            assert len(await plane.data("/api/v1/users")) == 1

    run(main())


def test_roles_count_once() -> None:
    fields = [RoleField(role="viewer"), RoleField(role="viewer"), RoleField(role="member", scope="team:a")]
    assert grants_of(fields) == (RoleGrant("member", "team:a"), RoleGrant("viewer"))
