"""Resources are made, changed and deleted by API, and those of the file are only shown."""

from pathlib import Path
from typing import Any

import pytest

from fakes.control import control_plane
from fakes.resources import CONFIG, UP, call, made
from integration.gateway import run
from pointsman.config.resource_kinds import KINDS

PRICE = {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2}
SPECS: dict[str, tuple[str, Any, Any]] = {
    "provider": ("up", UP, {"serves": ["x"]}),
    "model": ("quick", {"targets": ["openai/gpt-4o"]}, {"fallbacks": ["openai/gpt-4o-mini"]}),
    "rule": ("up", {"model": "openai/gpt-4o", "when": 'model == "x"'}, {"enabled": False}),
    "customer": ("acme", {"budgets": [{"limit_usd": 5, "per": "day"}]}, {"labels": {"a": "b"}}),
    "team": ("sales", {}, {"rate_limits": [{"requests": 5, "per": "minute"}]}),
    "access_template": ("members", {"team": "research"}, {"at_most": 5}),
    "default": (
        "virtual_key;team=research;label.tier=a",
        {
            "each": "virtual_key",
            "team": "research",
            "labels": {"tier": "a"},
            "budgets": [{"limit_usd": 5, "per": "day"}],
        },
        {"rate_limits": [{"requests": 5, "per": "minute"}]},
    ),
    "price": (
        "openai/gpt-4o",
        {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2},
        {"input_usd_per_million": 2},
    ),
}


def test_every_kind_is_made_read_changed_and_deleted(tmp_path: Path) -> None:
    assert SPECS.keys() == KINDS.keys()

    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            for kind, (name, spec, patch) in SPECS.items():
                path = KINDS[kind].plural
                one = await made(plane, path, name, spec)
                assert (one["kind"], one["name"], one["owner"], one["author"]) == (kind, name, "api", "admin-token")
                read = await call(plane, "GET", f"{path}/{name}")
                assert read.json() == one
                assert read.headers["etag"] == f'"{one["version"]}"'
                changed = await call(plane, "PATCH", f"{path}/{name}", {"spec": patch}, if_match=read.headers["etag"])
                assert changed.status_code == 200, changed.text
                assert {**one["spec"], **patch} == changed.json()["resource"]["spec"]
                again = await call(plane, "PUT", f"{path}/{name}", {"spec": changed.json()["resource"]["spec"]})
                assert again.json()["changes"] == [], "the same content is no change"
                assert again.headers["etag"] == changed.headers["etag"]
                listed = (await call(plane, "GET", f"{path}?owner=api")).json()["items"]
                assert [item["name"] for item in listed] == [name]
                gone = await call(plane, "DELETE", f"{path}/{name}")
                assert (gone.status_code, gone.json()["changes"][0]["after"]) == (200, None)
                assert (await call(plane, "GET", f"{path}/{name}")).status_code == 404

    run(main())


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "teams", {"name": "research", "spec": {}}, {}, 409, "managed_by_file"),
        ("DELETE", "teams/research", None, {}, 409, "managed_by_file"),
        ("PATCH", "providers/openai", {"spec": {}}, {}, 409, "managed_by_file"),
        ("POST", "teams", {"name": "sales", "spec": {}}, {}, 409, "already_exists"),
        ("DELETE", "teams/nobody", None, {}, 404, "not_found"),
        ("PATCH", "teams/nobody", {"spec": {}}, {}, 404, "not_found"),
        ("PUT", "teams/sales", {"spec": {}}, {"if_match": '"77"'}, 412, "version_mismatch"),
        ("PUT", "teams/sales", {"spec": {}}, {"if_match": "W/1"}, 412, "version_mismatch"),
        ("PUT", "teams/sales", {"spec": {}}, {"if_none_match": "*"}, 412, "version_mismatch"),
        ("POST", "teams", {"name": "a b", "spec": {}}, {}, 422, "invalid_resource"),
        ("POST", "teams", {"name": "x", "spec": 5}, {}, 422, "invalid_resource"),
        ("POST", "teams", {"name": "x", "spec": {"a": 1 << 70}}, {}, 422, "invalid_resource"),
        ("POST", "teams", {"name": "x"}, {}, 422, "invalid_request"),
        ("POST", "teams", {"name": "x", "spec": {}, "body": {}}, {}, 422, "invalid_request"),
    ],
)
def test_impossible_changes_are_refused_and_change_nothing(
    method: str, path: str, body: object, headers: dict[str, str], status: int, code: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "sales", {})
            digest = plane.inquiry_handler.parts.configuration.digest
            answer = await call(plane, method, path, body, **headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
            assert plane.inquiry_handler.parts.configuration.digest == digest
            assert plane.inquiry_handler.parts.book.number == 1

    run(main())


def test_all_faults_are_reported_with_their_fields(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            spec = {"budgets": [{"limit_usd": -1, "per": "dy"}], "customer": "nobody", "label": {}}
            answer = await call(plane, "POST", "teams", {"name": "sales", "spec": spec})
            fields = {one["field"] for one in answer.json()["errors"]}
            assert fields == {"budgets[0].limit_usd", "budgets[0].per", "customer", "label"}
            provider = {**UP, "keys": {"main": "env.HOME"}, "egress": {"ca_file": "/etc/passwd"}}
            answer = await call(plane, "POST", "providers", {"name": "up", "spec": provider})
            assert {one["field"] for one in answer.json()["errors"]} == {"keys.main.value", "egress.ca_file"}

    run(main())


def test_resource_that_others_need_is_not_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "customers", "acme", {})
            await made(plane, "teams", "sales", {"customer": "acme"})
            answer = await call(plane, "DELETE", "customers/acme")
            assert answer.status_code == 422
            assert answer.json()["errors"] == [
                {"field": "team sales: customer", "message": "unknown customer 'acme'"}
            ], answer.text

    run(main())


def test_team_of_a_key_made_by_api_is_not_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "sales", {})
            key = await call(plane, "POST", "keys", {"name": "app", "settings": {"team": "sales"}})
            assert key.status_code in (200, 201), key.text
            for query in ("?dry_run=true", ""):
                answer = await call(plane, "DELETE", f"teams/sales{query}")
                assert (answer.status_code, answer.json()["code"]) == (422, "invalid_resource")
                assert "app" in answer.json()["detail"]
            assert plane.inquiry_handler.parts.book.number == 1
            assert (await call(plane, "GET", "teams/sales")).status_code == 200

    run(main())


def test_secrets_are_sealed_and_bound_to_the_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            one = await made(plane, "providers", "up", UP)
            assert "sk-of-the-provider" not in str(one)
            assert one["spec"]["keys"]["main"]["value"].startswith("sealed:v1:")
            endpoint = plane.inquiry_handler.parts.configuration.current.snapshot.endpoints["up"]
            assert endpoint.keys[0].credential.reveal() == "sk-of-the-provider"  # type: ignore[union-attr]
            moved = {"spec": {"base_url": "http://127.0.0.2:9/v1"}}
            answer = await call(plane, "PATCH", "providers/up", moved)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == "keys.main.value"
            again = {"spec": {"base_url": "http://127.0.0.2:9/v1", "keys": {"main": {"value": "sk-new"}}}}
            assert (await call(plane, "PATCH", "providers/up", again)).status_code == 200
            stolen = {"name": "thief", "spec": {**UP, "keys": one["spec"]["keys"]}}
            assert (await call(plane, "POST", "providers", stolen)).status_code == 422
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"sk-of-the-provider" not in written
        assert b"sk-new" not in written

    run(main())


def test_pages_filters_and_dry_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            for name in ("a", "b", "c"):
                await made(plane, "teams", name, {})
            page = (await call(plane, "GET", "teams?limit=2")).json()
            assert ([one["name"] for one in page["items"]], page["next"]) == (["a", "b"], "b")
            page = (await call(plane, "GET", "teams?limit=2&after=b")).json()
            assert ([one["name"] for one in page["items"]], page["next"]) == (["c", "research"], None)
            found = (await call(plane, "GET", "teams?owner=file")).json()["items"]
            assert [(one["name"], one["line"], one["version"]) for one in found] == [("research", 5, None)]
            found = (await call(plane, "GET", "teams?search=SEAR")).json()["items"]
            assert [one["name"] for one in found] == ["research"]
            dry = await call(plane, "POST", "teams?dry_run=true", {"name": "d", "spec": {}})
            assert [one["name"] for one in dry.json()["changes"]] == ["d"]
            assert (await call(plane, "GET", "teams/d")).status_code == 404

    run(main())


def test_repeated_call_gets_the_first_reply(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            body = {"name": "a", "spec": {}}
            first = await call(plane, "POST", "teams", body, idempotency_key="one")
            second = await call(plane, "POST", "teams", body, idempotency_key="one")
            assert (first.status_code, second.status_code) == (201, 201)
            assert first.json() == second.json()
            other = await call(plane, "POST", "teams", {"name": "b", "spec": {}}, idempotency_key="one")
            assert (other.status_code, other.json()["code"]) == (422, "key_reused")
            assert plane.inquiry_handler.parts.book.number == 1

    run(main())
