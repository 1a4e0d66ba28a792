"""The audit log has each changing call exactly once, each login, and each refusal."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from fakes.access import ADMIN, PASSWORD, QUICK, create_user, log_in, roles, token, try_login
from fakes.control import TWO_TEAMS, ControlPlane, control_plane
from integration.gateway import run, until
from pointsman.admin.app import make_app
from pointsman.admin.passwords import Passwords
from pointsman.admin.permissions import routes_of
from pointsman.control.audit_check import verify_export
from pointsman.control.store.audit_table import every_record
from pointsman.domain.audit import AuditRecord

RESOURCES = ("customers", "teams", "providers", "models", "rules", "prices", "access-templates", "defaults")
NAMES = {"prices": "openai/gpt-4o", "defaults": "virtual_key"}
UP = {"type": "openai-compatible", "base_url": "https://8.8.8.8/v1", "keys": {"main": {"value": "sk-s3cret"}}}
Call = tuple[str, str, Any, str, str]
SPECS: dict[str, Any] = {
    "customers": {},
    "teams": {},
    "providers": UP,
    "access-templates": {"team": "research"},
    "defaults": {"each": "virtual_key", "budgets": [{"limit_usd": 5, "per": "day"}]},
    "models": {"targets": ["openai/gpt-4o"]},
    "rules": {"when": 'model == "x"', "model": "openai/gpt-4o"},
    "prices": {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2},
}


def of_resource(plural: str) -> list[Call]:
    kind, name = plural.removesuffix("s").replace("-", "_"), NAMES.get(plural, "made")
    subject, spec = f"{kind} {name}", SPECS[plural]
    return [
        ("POST", plural, {"name": name, "spec": spec}, "create", subject),
        ("PUT", f"{plural}/{name}", {"spec": spec}, "change", subject),
        ("PATCH", f"{plural}/{name}", {"spec": {}}, "change", subject),
        ("DELETE", f"{plural}/{name}", None, "delete", subject),
    ]


# Calls that are made one after the other; each changes something, and has one record with this action and object.
CALLS: list[Call] = [
    ("POST", "keys", {"name": "app", "settings": {"team": "research"}}, "create", "key app"),
    ("PATCH", "keys/app", {"note": "x"}, "change", "key app"),
    ("POST", "keys/app/rotate", {}, "rotate", "key app"),
    ("DELETE", "keys/app", None, "delete", "key app"),
    ("PUT", "roles/billing", {"permissions": ["usage:read"]}, "set", "role billing"),
    ("DELETE", "roles/billing", None, "delete", "role billing"),
    ("POST", "tokens", {"name": "ci", "roles": roles("viewer")}, "create", "token ci"),
    ("DELETE", "tokens/ci", None, "delete", "token ci"),
    ("POST", "users", {"name": "tina", "password": PASSWORD, "roles": roles("viewer")}, "create", "user user:tina"),
    ("POST", "health/holds", {"name": "team=research"}, "hold", "hold team=research"),
    ("DELETE", "health/holds?name=team=research", None, "release", "hold team=research"),
    (
        "POST",
        "budgets/carried",
        {"amounts": [{"owner": "team:research", "per": "month", "usd": 1}]},
        "carry",
        "budgets",
    ),
    ("POST", "config/reload", {}, "reload", "configuration"),
    ("POST", "audit/accept", {}, "accept", "audit"),
    *(one for plural in RESOURCES for one in of_resource(plural)),
    ("POST", "customers", {"name": "kept", "spec": {}}, "create", "customer kept"),
    ("POST", "config/rollback", {"version": 0}, "roll back", "configuration"),
    ("POST", "master-key/rotate", {}, "rotate", "master_key"),
]
# Those that other tests of this file make.
OTHERS = {
    "POST /api/v1/login", "POST /api/v1/logout", "POST /api/v1/me/password", "DELETE /api/v1/me/sessions",
    "POST /api/v1/me/totp", "POST /api/v1/me/totp/confirm", "POST /api/v1/me/totp/remove", "PATCH /api/v1/users/{id}",
    "DELETE /api/v1/users/{id}", "DELETE /api/v1/users/{id}/sessions", "POST /api/v1/reconcile",
    "POST /api/v1/me/keys", "POST /api/v1/me/keys/{name}/rotate", "DELETE /api/v1/me/keys/{name}",
    "POST /api/v1/config/apply", "POST /api/v1/explain", "POST /api/v1/alerts/{name}/test",
}  # fmt: skip


async def ready(plane: ControlPlane) -> None:
    plane.services.logins.passwords = Passwords(QUICK)
    keys = plane.inquiry_handler.parts.keys
    await until(lambda: not keys._is_behind, "the keys are read from the store")


async def records(plane: ControlPlane) -> list[AuditRecord]:
    return [one async for one in every_record(plane.services.store.rows)]


async def new_records(plane: ControlPlane, known: int) -> list[AuditRecord]:
    return (await records(plane))[known:]


async def send(plane: ControlPlane, method: str, path: str, body: object, by: dict[str, str] = ADMIN) -> httpx.Response:
    return await plane.client.request(method, f"/api/v1/{path}", json=body, headers=by)


def test_every_changing_call_is_recorded_exactly_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            await ready(plane)
            for method, path, body, action, subject in CALLS:
                known = len(await records(plane))
                answer = await send(plane, method, path, body)
                assert answer.status_code in (200, 201, 202), (method, path, answer.text)
                every = await new_records(plane, known)
                assert len(every) == 1, (method, path, every)
                (found,) = every
                assert f"{found.kind} {found.name}".startswith(subject), (path, found)
                assert found.action == action or found.outcome == "unchanged", (path, found)
                assert found.actor == "admin-token"
                assert found.request_id == answer.headers["x-request-id"]
            text = "".join(one.changes + one.note for one in await records(plane))
            assert "sk-s3cret" not in text
            assert PASSWORD not in text
            assert "argon2" not in text
            assert await plane.inquiry_handler.parts.audit.check(plane.inquiry_handler.parts.ingest.store) == ""

    run(main())


def test_no_changing_route_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            listed = [
                one for one in routes_of(make_app(plane.services, frozenset()).routes) if isinstance(one, APIRoute)
            ]
            live = {f"{method} {one.path}" for one in listed for method in one.methods or () if method != "GET"}
            patterns = {name: re.compile(re.sub(r"\{.*?\}", "[^?]+", name) + r"(\?.*)?") for name in live - OTHERS}
            calls = [f"{method} /api/v1/{path}" for method, path, *_ in CALLS]
            missing = [name for name, one in patterns.items() if not any(one.fullmatch(call) for call in calls)]
            assert missing == [], "make a call of these routes in `CALLS`"

    run(main())


def test_refused_calls_are_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            await ready(plane)
            by = await token(plane, "ci", "viewer")
            known = len(await records(plane))
            for method, path, body in (("POST", "keys", {"name": "app"}), ("DELETE", "teams/research", None)):
                assert (await send(plane, method, path, body, by.headers)).status_code == 403
            assert (await send(plane, "DELETE", "keys/unknown", None)).status_code == 404
            assert (await plane.client.get("/api/v1/keys", headers={"authorization": "Bearer no"})).status_code == 401
            found = await new_records(plane, known)
            assert [(one.actor, one.action, one.kind, one.name, one.outcome) for one in found] == [
                ("token:ci", "create", "key", "", "refused: forbidden"),
                ("token:ci", "delete", "team", "research", "refused: forbidden"),
                ("admin-token", "delete", "key", "unknown", "refused: not_found"),
                ("stranger", "log in", "session", "", "refused: unauthorized"),
            ]

    run(main())


def test_reads_and_dry_runs_are_not_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            await ready(plane)
            known = len(await records(plane))
            assert (await plane.get("/api/v1/teams")).status_code == 200
            assert (await plane.client.get("/api/v1/teams")).status_code == 401, "nothing was presented"
            answer = await send(plane, "POST", "teams?dry_run=true", {"name": "new", "spec": {}})
            assert answer.status_code in (200, 201)
            assert (await send(plane, "POST", "explain", {"model": "nothing"})).status_code == 422
            assert await new_records(plane, known) == []

    run(main())


def test_logins_and_changes_of_accounts_are_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            id_ = await create_user(plane, "ann", "owner")
            known = len(await records(plane))
            assert (await try_login(plane, "ann", "a wrong password")).status_code == 401
            session = await log_in(plane, "ann")
            new = "another long password"
            for method, path, body in (
                ("POST", "me/password", {"old": PASSWORD, "new": new}),
                ("DELETE", "me/sessions", None),
                ("PATCH", f"users/{id_}", {"roles": roles("owner", "viewer")}),
            ):
                answer = await send(plane, method, path, body, session.headers)
                assert answer.status_code == 200, (path, answer.text)
            await plane.client.post("/api/v1/logout", headers=session.headers)
            await send(plane, "DELETE", f"users/{id_}/sessions", None)
            found = await new_records(plane, known)
            assert [(one.actor, one.action, one.name, one.outcome) for one in found] == [
                ("stranger", "log in", "ann", "refused: unauthorized"),
                ("user:ann", "log in", "user:ann", "done"),
                ("user:ann", "set password", "user:ann", "done"),
                ("user:ann", "end sessions", "user:ann", "done"),
                ("user:ann", "change", "user:ann", "done"),
                ("user:ann", "log out", "user:ann", "done"),
                ("admin-token", "end sessions", "user:ann", "done"),
            ]
            assert {one.field for one in _changes(found[4])} == {"roles"}

    run(main())


class _Change:
    def __init__(self, fields: dict[str, Any]) -> None:
        self.field = fields["field"]


def _changes(record: AuditRecord) -> list[_Change]:
    return [_Change(one) for one in json.loads(record.changes)]


def test_keys_of_members_are_recorded_also_when_they_end_with_the_membership(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            await ready(plane)
            await send(plane, "POST", "access-templates", {"name": "own", "spec": {"team": "research"}})
            by = await token(plane, "lead", "member@team:research")
            known = len(await records(plane))
            for method, path, body in (
                ("POST", "me/keys", {"name": "one", "template": "own"}),
                ("POST", "me/keys/one/rotate", {}),
                ("DELETE", "me/keys/one", None),
                ("POST", "me/keys", {"name": "two", "template": "own"}),
            ):
                answer = await send(plane, method, path, body, by.headers)
                assert answer.status_code in (200, 201), answer.text
            await send(plane, "DELETE", "tokens/lead", None)
            found = await new_records(plane, known)
            assert [(one.actor, one.action, one.kind, one.name, one.team) for one in found] == [
                ("token:lead", "create", "key", "one", "research"),
                ("token:lead", "rotate", "key", "one", "research"),
                ("token:lead", "delete", "key", "one", "research"),
                ("token:lead", "create", "key", "two", "research"),
                ("admin-token", "delete", "token", "lead", ""),
                ("membership", "change", "key", "two", "research"),
            ]

    run(main())


def test_reconciliation_is_recorded_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            known = len(await records(plane))
            body = {"attempts": [{"attempt_id": "nobody-1", "usd": "0.1"}]}
            assert (await send(plane, "POST", "reconcile", body)).status_code == 409
            (found,) = await new_records(plane, known)
            assert (found.action, found.outcome) == ("reconcile", "refused: not_reconciled")

    run(main())


def test_filters_pages_and_scopes(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            await ready(plane)
            for team in ("research", "other"):
                body = {"name": f"key-of-{team}", "settings": {"team": team}}
                assert (await send(plane, "POST", "keys", body)).status_code == 201
            first = await plane.data("/api/v1/audit", limit=1)
            assert first["rows"][0]["name"] == "key-of-other"
            second = await plane.data("/api/v1/audit", limit=1, before=first["next"])
            assert second["rows"][0]["name"] == "key-of-research"
            for filters in ({"team": "research"}, {"name": "key-of-research"}, {"kind": "key", "until": 0}):
                rows = (await plane.data("/api/v1/audit", **filters))["rows"]
                assert [one["name"] for one in rows] == ([] if "until" in filters else ["key-of-research"])
            by = await token(plane, "lead", "team-admin@team:research")
            seen = (await plane.client.get("/api/v1/audit", headers=by.headers)).json()["rows"]
            assert [one["name"] for one in seen] == ["key-of-research"]
            assert (await plane.get("/api/v1/audit", unknown="x")).status_code == 422

    run(main())


def test_export_is_the_chain(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await ready(plane)
            for number in range(3):
                await send(plane, "POST", "teams", {"name": f"t{number}", "spec": {}})
            text = (await plane.get("/api/v1/audit/export")).content
            report = verify_export(text.splitlines())
            assert report.faults == []
            assert report.records == len(await records(plane)) >= 4, "the configuration in force has a record too"
            later = (await plane.get("/api/v1/audit/export", after=report.records - 1)).content
            assert later.splitlines() == text.splitlines()[-1:]

    run(main())


@pytest.mark.parametrize("name", ["POST /api/v1/explain", "POST /api/v1/me/totp"])
def test_calls_that_change_nothing_are_known(name: str) -> None:
    assert name in OTHERS
