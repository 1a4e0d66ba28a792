"""A repeated call changes nothing, and gets the first reply; another call with its key is rejected."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.access import ADMIN, PASSWORD, QUICK, roles
from fakes.control import ControlPlane, control_plane
from integration.gateway import run, until
from pointsman.admin.passwords import Passwords

DIGEST = "a" * 64
# A call, another one, and whether the first reply has no secret, so that it can be repeated.
CALLS: list[tuple[str, str, dict[str, Any], dict[str, Any], bool]] = [
    ("POST", "keys", {"name": "app"}, {"name": "app", "note": "x"}, False),
    ("POST", "keys", {"name": "app", "sha256": DIGEST}, {"name": "other", "sha256": DIGEST}, True),
    ("POST", "users", {"name": "tina", "roles": roles("viewer")}, {"name": "tina", "roles": []}, False),
    ("POST", "users", {"name": "tina", "password": PASSWORD}, {"name": "olga", "password": PASSWORD}, True),
    ("POST", "tokens", {"name": "ci", "roles": roles("viewer")}, {"name": "ci", "roles": roles("analyst")}, False),
    ("PUT", "roles/billing", {"permissions": ["usage:read"]}, {"permissions": ["budgets:read"]}, True),
    ("POST", "teams", {"name": "sales", "spec": {}}, {"name": "other", "spec": {}}, True),
]


async def send(
    plane: ControlPlane, method: str, path: str, body: object, key: str = "one", by: dict[str, str] | None = None
) -> httpx.Response:
    plane.services.logins.passwords = Passwords(QUICK)
    headers = {**(by or ADMIN), "idempotency-key": key}
    return await plane.client.request(method, f"/api/v1/{path}", json=body, headers=headers)


async def ready(plane: ControlPlane) -> None:
    keys = plane.inquiry_handler.parts.keys
    await until(lambda: not keys._is_behind, "the keys are read from the store")


@pytest.mark.parametrize(("method", "path", "body", "other", "has_no_secret"), CALLS)
def test_repeated_call_is_made_once(
    tmp_path: Path, method: str, path: str, body: dict[str, Any], other: dict[str, Any], has_no_secret: bool
) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            first = await send(plane, method, path, body)
            assert first.status_code in (200, 201), first.text
            again = await send(plane, method, path, body)
            if has_no_secret:
                assert (again.status_code, again.json()) == (first.status_code, first.json())
            else:
                assert (again.status_code, again.json()["code"]) == (409, "idempotency_replayed")
                assert body["name"] in again.json()["detail"] or "u-" in again.json()["detail"]
            reused = await send(plane, method, path, other)
            assert (reused.status_code, reused.json()["code"]) == (422, "key_reused")
            secrets = [first.json().get(name) for name in ("key", "token", "password")]
            stored = b"".join(file.read_bytes() for file in tmp_path.glob("*.db*"))
            assert not any(secret.encode() in stored for secret in secrets if secret)
            assert PASSWORD.encode() not in stored

    run(main())


def test_rotation_is_repeated_without_another_value(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            assert (await send(plane, "POST", "keys", {"name": "app"}, "make")).status_code == 201
            first = await send(plane, "POST", "keys/app/rotate", {}, "rotate")
            assert first.status_code == 200
            again = await send(plane, "POST", "keys/app/rotate", {}, "rotate")
            assert (again.status_code, again.json()["code"]) == (409, "idempotency_replayed")
            shown = (await plane.client.get("/api/v1/keys/app", headers=ADMIN)).json()
            assert shown["sha256"] == first.json()["sha256"]

    run(main())


def test_each_caller_has_keys_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            made = await send(plane, "POST", "tokens", {"name": "ci", "roles": roles("admin")})
            robot = {"authorization": f"Bearer {made.json()['token']}"}
            answer = await send(plane, "POST", "keys", {"name": "app"}, by=robot)
            assert answer.status_code == 201, answer.text

    run(main())


def test_password_is_no_part_of_the_comparison(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            first = await send(plane, "POST", "users", {"name": "tina", "password": PASSWORD})
            again = await send(plane, "POST", "users", {"name": "tina", "password": PASSWORD + "x"})
            assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])

    run(main())
