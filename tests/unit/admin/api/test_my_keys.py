"""Members make, rotate and revoke keys of their own within a template, and lose them with the membership."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from fakes.access import ADMIN, Credential, roles, token, user
from fakes.control import ControlPlane, control_plane
from fakes.resources import call, made
from integration.gateway import run, until
from pointsman.control.members import end_lost_keys
from pointsman.domain.identity import VirtualKey

CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {budgets: [{limit_usd: 100, per: month}]}, other: {}}
  virtual_keys: {me: {value: env.ME, team: research}}
"""
TEMPLATE = {
    "team": "research",
    "at_most": 2,
    "longest_s": 3600,
    "budgets": [{"limit_usd": 5, "per": "day"}],
    "allow_models": ["gpt-4o*"],
}


async def begin(plane: ControlPlane) -> None:
    keys = plane.inquiry_handler.parts.keys
    await until(lambda: not keys._is_behind, "the keys are read from the store")
    await made(plane, "access-templates", "members", TEMPLATE)


async def send(
    plane: ControlPlane, by: Credential, method: str, path: str = "", body: Any = None, status: int = 200
) -> Any:
    answer: httpx.Response = await plane.client.request(method, f"/api/v1/me/keys{path}", json=body, headers=by.headers)
    plane.client.cookies.clear()
    assert answer.status_code == status, answer.text
    return answer.json()


def admitted(plane: ControlPlane, value: str) -> VirtualKey | None:
    table = plane.inquiry_handler.parts.configuration.current.snapshot.virtual_keys
    return table.get(sha256(value.encode()).digest())


def limits(key: VirtualKey | None) -> list[str]:
    assert key is not None
    return [f"{one.owner} {one.amount}" for one in key.limits]


def test_member_makes_rotates_and_revokes_keys_of_the_template(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            tina = await user(plane, "tina@example.com", "member@team:research")
            one = await send(plane, tina, "POST", "", {"for_s": 600}, 201)
            assert one["name"].startswith("tina-")
            key = admitted(plane, one["key"])
            assert key is not None
            assert (key.team, key.allow_models) == ("research", ("gpt-4o*",))
            day, month = f"virtual_key:{one['name']} 5000000000", "team:research 100000000000"
            assert limits(key) == [day, month]
            found = await send(plane, tina, "GET")
            assert [(each["name"], each["spent_usd"]) for each in found["keys"]] == [(one["name"], "0.000000000")]
            assert [each["owner"] for each in found["keys"][0]["limits"]] == [
                f"virtual_key:{one['name']}",
                "team:research",
            ]
            assert [(each["name"], each["at_most"]) for each in found["templates"]] == [("members", 2)]
            rotated = await send(plane, tina, "POST", f"/{one['name']}/rotate", {})
            assert admitted(plane, one["key"]) is None
            assert limits(admitted(plane, rotated["key"])) == [day, month]
            await send(plane, tina, "DELETE", f"/{one['name']}")
            assert admitted(plane, rotated["key"]) is None

    run(main())


def test_change_of_the_template_changes_the_keys_that_came_from_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            tina = await token(plane, "tina", "member@team:research")
            one = await send(plane, tina, "POST", "", {"name": "own", "for_s": 600}, 201)
            patch = {"spec": {"budgets": [{"limit_usd": 7, "per": "day"}], "allow_models": None}}
            assert (await call(plane, "PATCH", "access-templates/members", patch)).status_code == 200
            key = admitted(plane, one["key"])
            assert limits(key) == ["virtual_key:own 7000000000", "team:research 100000000000"]
            assert key is not None
            assert not key.allow_models
            in_use = await call(plane, "DELETE", "access-templates/members")
            assert in_use.status_code == 422
            assert "own" in in_use.json()["detail"]

    run(main())


def test_key_cannot_exceed_the_template(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            tina = await token(plane, "tina", "member@team:research")
            await send(plane, tina, "POST", "", {"for_s": 7200}, 422)
            await send(plane, tina, "POST", "", {}, 422)  # for ever is longer than the template allows
            await send(plane, tina, "POST", "", {"for_s": 60, "settings": {}}, 422)
            await send(plane, tina, "POST", "", {"template": "nope", "for_s": 60}, 404)
            for _ in range(2):
                await send(plane, tina, "POST", "", {"for_s": 60}, 201)
            full = await send(plane, tina, "POST", "", {"for_s": 60}, 409)
            assert "revoke one first" in full["detail"]

    run(main())


def test_member_has_only_keys_of_its_own_and_its_teams(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            tina = await token(plane, "tina", "member@team:research")
            olga = await token(plane, "olga", "member@team:research")
            alien = await token(plane, "alien", "member@team:other")
            await send(plane, tina, "POST", "", {"name": "own", "for_s": 60}, 201)
            for one in (olga, alien):
                assert (await send(plane, one, "GET"))["keys"] == []
                await send(plane, one, "POST", "/own/rotate", {}, 404)
                await send(plane, one, "DELETE", "/own", None, 404)
                await send(plane, one, "DELETE", "/me", None, 404)
            assert (await send(plane, alien, "GET"))["templates"] == []
            await send(plane, alien, "POST", "", {"template": "members", "for_s": 60}, 404)
            await send(plane, alien, "POST", "", {"for_s": 60}, 422)
            viewer = await token(plane, "viewer", "viewer@team:research")
            await send(plane, viewer, "POST", "", {"for_s": 60}, 403)
            await send(plane, Credential("admin", ADMIN), "POST", "", {"template": "members", "for_s": 60}, 409)

    run(main())


def test_keys_end_with_the_membership(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            changes: list[tuple[str, Any]] = [
                ("PATCH", {"roles": roles("member@team:other")}),
                ("PATCH", {"disabled": True}),
                ("DELETE", None),
            ]
            for number, (method, body) in enumerate(changes):
                member = await user(plane, f"user-{number}", "member@team:research")
                one = await send(plane, member, "POST", "", {"for_s": 600}, 201)
                assert admitted(plane, one["key"]) is not None
                answer = await plane.client.request(method, f"/api/v1/users/{member.name}", json=body, headers=ADMIN)
                assert answer.status_code == 200, answer.text
                assert admitted(plane, one["key"]) is None
                shown = (await plane.client.get(f"/api/v1/keys/{one['name']}", headers=ADMIN)).json()
                assert shown["state"] == "disabled"
            robot = await token(plane, "robot", "member@team:research")
            one = await send(plane, robot, "POST", "", {"for_s": 600}, 201)
            parts = plane.inquiry_handler.parts
            await end_lost_keys(parts.ingest.store, parts.keys)
            assert admitted(plane, one["key"]) is not None, "a member keeps its key"
            await plane.client.delete("/api/v1/tokens/robot", headers=ADMIN)
            assert admitted(plane, one["key"]) is None

    run(main())


def test_repeated_call_makes_one_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            tina = await token(plane, "tina", "member@team:research")
            by = Credential("tina", tina.using(**{"idempotency-key": "one"}))
            await send(plane, by, "POST", "", {"for_s": 60}, 201)
            again = await send(plane, by, "POST", "", {"for_s": 60}, 409)
            assert again["code"] == "idempotency_replayed"
            assert len((await send(plane, tina, "GET"))["keys"]) == 1

    run(main())
