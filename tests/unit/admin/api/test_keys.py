"""The admin API makes, changes and revokes virtual keys."""

from pathlib import Path
from typing import Any

from fakes.control import TOKEN, ControlPlane, control_plane
from integration.gateway import run, until
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot


def snapshot(plane: ControlPlane) -> Snapshot:
    return plane.inquiry_handler.parts.configuration.current.snapshot


def admitted(plane: ControlPlane, value: str) -> VirtualKey | None:
    from hashlib import sha256

    return snapshot(plane).virtual_keys.get(sha256(value.encode()).digest())


async def send(plane: ControlPlane, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
    answer = await plane.client.request(
        method, f"/api/v1/keys{path}", json=body, headers={"authorization": f"Bearer {TOKEN}", **headers}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def ready(plane: ControlPlane) -> None:
    keys = plane.inquiry_handler.parts.keys
    await until(lambda: not keys._is_behind, "the keys are read from the store")


def test_key_is_usable_until_it_is_revoked(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            settings = {"team": "research", "budgets": [{"limit_usd": 5, "per": "day"}]}
            made = await send(plane, "POST", "", {"name": "app", "settings": settings}, 201)
            assert made["team"] == "research"
            key = admitted(plane, made["key"])
            assert key is not None
            assert (key.name, [one.owner for one in key.limits]) == ("app", ["virtual_key:app", "team:research"])
            shown = await send(plane, "GET", "/app")
            assert shown["settings"] == settings
            assert "key" not in shown
            await send(plane, "DELETE", "/app")
            assert admitted(plane, made["key"]) is None
            await send(plane, "GET", "/app", status=404)

    run(main())


def test_key_that_a_rule_names_is_not_deleted(tmp_path: Path) -> None:
    config = """\
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {me: {value: env.ME}}}
"""

    async def main() -> None:
        async with control_plane(tmp_path, config=config) as plane:
            await ready(plane)
            await send(plane, "POST", "", {"name": "app"}, 201)
            rule = {"name": "up", "spec": {"scope": "virtual_key:app", "model": "openai/gpt-4o"}}
            price = {"model": "openai/*", "virtual_key": "app", "input_usd_per_million": 1, "output_usd_per_million": 1}
            named = {"name": "openai/*;virtual_key=app", "spec": price}
            for path, body in (("rules", rule), ("prices", named)):
                answer = await plane.client.post(
                    f"/api/v1/{path}", json=body, headers={"authorization": f"Bearer {TOKEN}"}
                )
                assert answer.status_code == 201, answer.text
            refused = await send(plane, "DELETE", "/app", status=409)
            assert refused["code"] == "in_use"
            assert "the key 'app' is named by rule up, price openai/*;virtual_key=app" in refused["detail"]

    run(main())
