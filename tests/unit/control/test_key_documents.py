"""Virtual keys made by API are exported as digests, and applied to another gateway, where the clients' keys work."""

import copy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fakes.access import ADMIN, token
from fakes.control import ControlPlane, control_plane
from fakes.resources import call
from integration.gateway import run, until
from pointsman.domain.identity import VirtualKey

CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {me: {value: env.ME}}}
"""
SETTINGS = {"team": "sales", "budgets": [{"limit_usd": 5, "per": "day"}], "from": ["192.0.2.0/24"]}


async def begin(plane: ControlPlane) -> None:
    keys = plane.inquiry_handler.parts.keys
    await until(lambda: not keys._is_behind, "the keys are read from the store")


async def make(plane: ControlPlane, name: str, **fields: Any) -> str:
    answer = await call(plane, "POST", "keys", {"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def exported(plane: ControlPlane) -> dict[str, Any]:
    found: dict[str, Any] = (await call(plane, "GET", "config/export")).json()
    return found


async def apply(plane: ControlPlane, document: object, status: int = 200, path: str = "") -> Any:
    answer = await call(plane, "POST", f"config/apply{path}", {"document": document})
    assert answer.status_code == status, answer.text
    return answer.json()


def admitted(plane: ControlPlane, value: str) -> VirtualKey | None:
    table = plane.inquiry_handler.parts.configuration.current.snapshot.virtual_keys
    return table.get(sha256(value.encode()).digest())


async def filled(plane: ControlPlane) -> tuple[str, dict[str, Any]]:
    """Make a team with a key. Return the value, and the export."""
    await begin(plane)
    assert (await call(plane, "POST", "teams", {"name": "sales", "spec": {}})).status_code == 201
    value = await make(plane, "app", settings=SETTINGS, for_s=86_400)
    return value, (await exported(plane))["document"]


def test_exported_keys_work_at_an_empty_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with control_plane(tmp_path / "one", config=CONFIG) as one:
            value, document = await filled(one)
            assert value not in str(document)
            assert (await apply(one, document))["changes"] == [], "what was exported changes nothing"
            before = admitted(one, value)
        async with control_plane(tmp_path / "two", config=CONFIG) as two:
            await begin(two)
            dry = await apply(two, document, path="?dry_run=true")
            assert [(each["kind"], each["name"]) for each in dry["changes"]] == [
                ("team", "sales"),
                ("virtual_key", "app"),
            ]
            assert admitted(two, value) is None
            assert (await apply(two, document))["changes"] == dry["changes"]
            key = admitted(two, value)
            assert key is not None
            assert before is not None
            assert (key.name, key.team, key.networks) == (before.name, before.team, before.networks)
            assert key.expires_at == pytest.approx(before.expires_at, abs=0.001)
            assert [str(limit) for limit in key.limits] == [str(limit) for limit in before.limits]
            assert (await apply(two, document))["changes"] == []
            assert (await exported(two))["document"] == document

    run(main())


def test_keys_are_changed_and_none_is_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            value, document = await filled(plane)
            changed = copy.deepcopy(document)
            entry = changed["governance"]["virtual_keys"]["app"]
            del entry["from"], entry["expires_at"]
            new = "pm-another-value-of-the-key"
            entry["value"] = f"sha256:{sha256(new.encode()).hexdigest()}"
            assert [one["name"] for one in (await apply(plane, changed))["changes"]] == ["app"]
            key = admitted(plane, new)
            assert key is not None
            assert (key.networks, key.expires_at) == ((), None)
            assert admitted(plane, value) is None
            refused = await apply(plane, document, 422)
            assert "virtual_key app: value: was revoked here" in refused["detail"]
            del changed["governance"]["virtual_keys"]["app"]
            assert (await apply(plane, changed))["changes"] == []
            assert admitted(plane, new) is not None

    run(main())


def test_disabled_and_child_keys_are_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            await make(plane, "parent", settings={"child_keys": {}})
            await make(plane, "child", parent="parent", for_s=60)
            await make(plane, "off")
            assert (await call(plane, "PATCH", "keys/off", {"is_enabled": False})).status_code == 200
            found = await exported(plane)
            assert list(found["document"]["governance"]["virtual_keys"]) == ["me", "parent"]
            assert found["notes"] == [
                "1 disabled key(s) made by API are not in this document",
                "1 child key(s) made by API are not in this document",
            ]

    run(main())


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("app", "env.APP", "virtual_key app: value: must be `sha256:`"),
        ("app", {"value": "sha256:" + "0" * 64, "previous_value": "x"}, "previous_value: cannot be applied"),
        ("app", {"value": "sha256:" + "0" * 64, "expires_at": "2030-01-01"}, "expires_at: must be a time with"),
        ("app", {"value": "sha256:" + "0" * 64, "tem": "x"}, "virtual_key app: tem: unknown field"),
        ("app", {"value": "sha256:" + "0" * 64, "team": "x"}, "virtual_key app: team: unknown team 'x'"),
        ("me", {"value": "sha256:" + "0" * 64}, "is managed by the server's configuration file"),
    ],
)
def test_faulty_key_is_an_error_and_changes_nothing(tmp_path: Path, name: str, entry: object, message: str) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            document = {"governance": {"teams": {"new": {}}, "virtual_keys": {name: entry}}}
            answer = await call(plane, "POST", "config/apply", {"document": document})
            assert answer.status_code in (409, 422), answer.text
            assert message in answer.json()["detail"]
            assert (await call(plane, "GET", "teams/new")).status_code == 404

    run(main())


def test_keys_need_their_own_permission(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await begin(plane)
            await plane.client.put("/api/v1/roles/git", json={"permissions": ["config:write"]}, headers=ADMIN)
            robot = await token(plane, "robot", "git")
            document = {"governance": {"virtual_keys": {"app": {"value": "sha256:" + "0" * 64}}}}
            answer = await plane.client.post("/api/v1/config/apply", json={"document": document}, headers=robot.headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    run(main())
