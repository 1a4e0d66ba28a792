"""Service tokens: shown once, limited in time and rights, and revoked at once."""

import sqlite3
from pathlib import Path

from fakes.access import ADMIN, create_user, roles, token
from fakes.control import control_plane
from integration.gateway import run


def test_token_works_until_it_is_revoked_and_only_its_digest_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            robot = await token(plane, "robot", "analyst")
            secret = robot.headers["authorization"].removeprefix("Bearer ")
            assert secret.startswith("pm-service-")
            assert (await plane.client.get("/api/v1/usage", headers=robot.headers)).status_code == 200
            me = (await plane.client.get("/api/v1/me", headers=robot.headers)).json()
            assert me["name"] == "token:robot"
            assert me["permissions"]["usage:read"] == ["*"]
            assert me["expires_at"] > 0
            listed = await plane.data("/api/v1/tokens")
            assert [(one["name"], one["author"]) for one in listed] == [("robot", "admin-token")]
            assert secret not in str(listed)
            stored = b"".join(path.read_bytes() for path in tmp_path.glob("pointsman.db*"))
            assert secret.encode() not in stored
            assert (await plane.client.delete("/api/v1/tokens/robot", headers=ADMIN)).status_code == 200
            assert (await plane.client.get("/api/v1/usage", headers=robot.headers)).status_code == 401
            assert (await plane.client.delete("/api/v1/tokens/robot", headers=ADMIN)).status_code == 404

    run(main())


def test_token_ends_and_makes_none_that_outlives_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            first = await token(plane, "first", "admin", days=2)
            assert (await token(plane, "second", "viewer", by=first.headers)).name == "second"
            for body, status in (
                ({"name": "third", "roles": roles("viewer"), "days": 3}, 403),
                ({"name": "third", "roles": roles("owner"), "days": 1}, 403),
                ({"name": "first", "roles": roles("viewer"), "days": 1}, 409),
                ({"name": "third", "roles": [], "days": 1}, 422),
                ({"name": "third", "roles": roles("viewer"), "days": 367}, 422),
                ({"name": "third", "roles": roles("viewer"), "days": 0}, 422),
            ):
                answer = await plane.client.post("/api/v1/tokens", json=body, headers=first.headers)
                assert answer.status_code == status, answer.text
            with sqlite3.connect(tmp_path / "pointsman.db") as database:
                database.execute("UPDATE service_tokens SET expires_at = 1 WHERE name = 'first'")
            over = await plane.client.get("/api/v1/usage", headers=first.headers)
            assert over.status_code == 401
            assert "no service token that is valid" in over.json()["detail"]

    run(main())


def test_truncated_and_forged_tokens_are_rejected(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "other", "owner")
            robot = await token(plane, "robot", "owner")
            secret = robot.headers["authorization"].removeprefix("Bearer ")
            for text in (
                secret[:-1],
                secret[:20],
                secret + "x",
                "pm-service-",
                "pm-service-' OR '1'='1",
                "pm-service-%",
            ):
                answer = await plane.client.get("/api/v1/usage", headers={"authorization": f"Bearer {text}"})
                assert answer.status_code == 401
            cookie = {"cookie": f"pointsman-session={secret}"}
            assert (await plane.client.get("/api/v1/usage", headers=cookie)).status_code == 401

    run(main())
