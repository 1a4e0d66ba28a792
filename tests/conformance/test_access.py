"""The rights of every role on every route of the admin API, against a table that people wrote.

Each route has a line: the roles that it admits for everything, for an own object, and for a foreign one. The columns
are those of the table of roles: owner, admin, operator, analyst, team-admin, member and viewer. `+` is admitted, `-` is
rejected with 403, and `0` sees no object: 404, or an empty list. Roles for an own object have the scope
`team:research`. The role `owner` is always for everything. A route without a line fails the test, and so does a line
without a route.
"""

import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from msgspec import Struct

from fakes.access import ADMIN, Credential, create_user, log_in, token
from fakes.control import TWO_TEAMS, ControlPlane, control_plane, request_id, scope, services_in
from integration.gateway import run
from pointsman.admin.app import make_app
from pointsman.admin.permissions import Permission, permission_of, routes_of
from pointsman.domain.permissions import ROLES

TABLE = """
GET     /api/v1/alerts                         ++++--+ | ------ | ------
GET     /api/v1/alerts/history                 ++++--+ | ------ | ------
POST    /api/v1/alerts/{name}/test             +++---- | ------ | ------
GET     /api/v1/audit                          ++--+-- | +--+-- | 0--0--
GET     /api/v1/audit/export                   ++--+-- | +--+-- | 0--0--
POST    /api/v1/audit/accept                   +------ | ------ | ------
GET     /api/v1/batches                        +++++++ | ++++++ | ++++++
GET     /api/v1/budgets                        +++++++ | ++++++ | 000000
POST    /api/v1/budgets/carried                ++----- | ------ | ------
GET     /api/v1/events                         ++++--+ | ------ | ------
GET     /api/v1/openapi.json                   ++++--+ | ------ | ------
GET     /api/v1/requests/{request_id}/bodies   ++----- | ------ | ------
POST    /api/v1/explain                        ++++++- | ------ | ------
GET     /api/v1/health                         ++++--+ | ------ | ------
POST    /api/v1/health/holds                   +++---- | ------ | ------
DELETE  /api/v1/health/holds                   +++---- | ------ | ------
GET     /api/v1/keys                           ++++++- | +++++- | 00000-
POST    /api/v1/keys                           ++--+-- | +--+-- | ------
GET     /api/v1/keys/{name}                    ++++++- | +++++- | 00000-
PATCH   /api/v1/keys/{name}                    ++--+-- | +--+-- | 0--0--
POST    /api/v1/keys/{name}/rotate             ++--+-- | +--+-- | 0--0--
DELETE  /api/v1/keys/{name}                    ++--+-- | +--+-- | 0--0--
GET     /api/v1/login                          public
POST    /api/v1/login                          public
GET     /api/v1/login/{provider}               public
GET     /api/v1/login/{provider}/callback      public
POST    /api/v1/logout                         +++++++ | ++++++ | ++++++
GET     /api/v1/me                             +++++++ | ++++++ | ++++++
GET     /api/v1/me/keys                        ++++++- | +++++- | +++++-
POST    /api/v1/me/keys                        ++++++- | +++++- | +++++-
POST    /api/v1/me/keys/{name}/rotate          ++++++- | +++++- | +++++-
DELETE  /api/v1/me/keys/{name}                 ++++++- | +++++- | +++++-
POST    /api/v1/me/password                    +++++++ | ++++++ | ++++++
GET     /api/v1/me/sessions                    +++++++ | ++++++ | ++++++
DELETE  /api/v1/me/sessions                    +++++++ | ++++++ | ++++++
POST    /api/v1/reconcile                      ++----- | ------ | ------
GET     /api/v1/records                        ++++++- | ------ | ------
GET     /api/v1/requests                       ++++++- | +++++- | 00000-
GET     /api/v1/requests/{request_id}          ++++++- | +++++- | 00000-
GET     /api/v1/requests/follow                ++++++- | +++++- | 00000-
GET     /api/v1/requests/export                ++++++- | +++++- | 00000-
GET     /api/v1/sessions                       ++++++- | +++++- | 00000-
GET     /api/v1/sessions/{session:path}        ++++++- | +++++- | 00000-
GET     /api/v1/statements                     +++++++ | ++++++ | 000000
GET     /api/v1/unsettled                      ++++++- | +++++- | +++++-
GET     /api/v1/roles                          ++----- | ------ | ------
PUT     /api/v1/roles/{name}                   ++----- | ------ | ------
DELETE  /api/v1/roles/{name}                   ++----- | ------ | ------
GET     /api/v1/status                         ++++--+ | ------ | ------
POST    /api/v1/config/reload                  ++----- | ------ | ------
GET     /api/v1/tokens                         ++----- | ------ | ------
POST    /api/v1/tokens                         ++----- | ------ | ------
DELETE  /api/v1/tokens/{name:path}             ++----- | ------ | ------
GET     /api/v1/usage                          +++++++ | ++++++ | 000000
GET     /api/v1/users                          ++----- | ------ | ------
POST    /api/v1/users                          ++----- | ------ | ------
GET     /api/v1/users/{id}                     ++----- | ------ | ------
PATCH   /api/v1/users/{id}                     ++----- | ------ | ------
DELETE  /api/v1/users/{id}                     ++----- | ------ | ------
DELETE  /api/v1/users/{id}/sessions            ++----- | ------ | ------
GET     /api/v1/variants                       +++++++ | ------ | ------
GET     /api/v1/config/versions                ++++--+ | ------ | ------
GET     /api/v1/config/diff                    ++++--+ | ------ | ------
GET     /api/v1/config/export                  ++++--+ | ------ | ------
POST    /api/v1/config/rollback                ++----- | ------ | ------
POST    /api/v1/config/apply                   ++----- | ------ | ------
POST    /api/v1/master-key/rotate              ++----- | ------ | ------
POST    /api/v1/me/totp                        +++++++ | ++++++ | ++++++
POST    /api/v1/me/totp/confirm                +++++++ | ++++++ | ++++++
POST    /api/v1/me/totp/remove                 +++++++ | ++++++ | ++++++
GET     /api/v1/providers                      ++++--+ | 000--0 | 000--0
GET     /api/v1/providers/{name:path}          ++++--+ | 000--0 | 000--0
POST    /api/v1/providers                      ++----- | ------ | ------
PUT     /api/v1/providers/{name:path}          ++----- | ------ | ------
PATCH   /api/v1/providers/{name:path}          ++----- | ------ | ------
DELETE  /api/v1/providers/{name:path}          ++----- | ------ | ------
GET     /api/v1/models                         ++++--+ | 000--0 | 000--0
GET     /api/v1/models/{name:path}             ++++--+ | 000--0 | 000--0
POST    /api/v1/models                         ++----- | ------ | ------
PUT     /api/v1/models/{name:path}             ++----- | ------ | ------
PATCH   /api/v1/models/{name:path}             ++----- | ------ | ------
DELETE  /api/v1/models/{name:path}             ++----- | ------ | ------
GET     /api/v1/rules                          ++++--+ | 000--0 | 000--0
GET     /api/v1/rules/{name:path}              ++++--+ | 000--0 | 000--0
POST    /api/v1/rules                          ++----- | ------ | ------
PUT     /api/v1/rules/{name:path}              ++----- | ------ | ------
PATCH   /api/v1/rules/{name:path}              ++----- | ------ | ------
DELETE  /api/v1/rules/{name:path}              ++----- | ------ | ------
GET     /api/v1/prices                         ++++--+ | 000--0 | 000--0
GET     /api/v1/prices/{name:path}             ++++--+ | 000--0 | 000--0
POST    /api/v1/prices                         ++----- | ------ | ------
PUT     /api/v1/prices/{name:path}             ++----- | ------ | ------
PATCH   /api/v1/prices/{name:path}             ++----- | ------ | ------
DELETE  /api/v1/prices/{name:path}             ++----- | ------ | ------
GET     /api/v1/customers                      +++++-+ | 0000-0 | 0000-0
GET     /api/v1/customers/{name:path}          +++++-+ | 0000-0 | 0000-0
POST    /api/v1/customers                      ++----- | ------ | ------
PUT     /api/v1/customers/{name:path}          ++----- | ------ | ------
PATCH   /api/v1/customers/{name:path}          ++----- | ------ | ------
DELETE  /api/v1/customers/{name:path}          ++----- | ------ | ------
GET     /api/v1/teams                          +++++-+ | ++++-+ | 0000-0
GET     /api/v1/teams/{name:path}              +++++-+ | ++++-+ | 0000-0
POST    /api/v1/teams                          ++----- | ------ | ------
PUT     /api/v1/teams/{name:path}              ++----- | ------ | ------
PATCH   /api/v1/teams/{name:path}              ++----- | ------ | ------
DELETE  /api/v1/teams/{name:path}              ++----- | ------ | ------
GET     /api/v1/access-templates               ++++--+ | 000--0 | 000--0
GET     /api/v1/access-templates/{name:path}   ++++--+ | 000--0 | 000--0
POST    /api/v1/access-templates               ++----- | ------ | ------
PUT     /api/v1/access-templates/{name:path}   ++----- | ------ | ------
PATCH   /api/v1/access-templates/{name:path}   ++----- | ------ | ------
DELETE  /api/v1/access-templates/{name:path}   ++----- | ------ | ------
GET     /api/v1/defaults                       ++++--+ | 000--0 | 000--0
GET     /api/v1/defaults/{name:path}           ++++--+ | 000--0 | 000--0
POST    /api/v1/defaults                       ++----- | ------ | ------
PUT     /api/v1/defaults/{name:path}           ++----- | ------ | ------
PATCH   /api/v1/defaults/{name:path}           ++----- | ------ | ------
DELETE  /api/v1/defaults/{name:path}           ++----- | ------ | ------
GET     /metrics                               ++++--+ | ------ | ------
GET     /healthz                               public
GET     /readyz                                public
GET     /                                      public
GET     /{name}                                public
"""

AT = time.time()
# The own object of a route whose rows or objects have owners, and a foreign one: names in the path, or filters.
OBJECTS = {
    "GET /api/v1/audit": ("?team=research", "?team=other"),
    "GET /api/v1/audit/export": ("?team=research", "?team=other"),
    "GET /api/v1/budgets": ("?owner=team:research", "?owner=team:other"),
    "GET /api/v1/keys": ("?team=research&managed_by=file", "?team=other&managed_by=file"),
    "GET /api/v1/keys/{name}": ("me", "you"),
    "PATCH /api/v1/keys/{name}": ("key-of-research", "key-of-other"),
    "POST /api/v1/keys/{name}/rotate": ("key-of-research", "key-of-other"),
    "DELETE /api/v1/keys/{name}": ("key-of-research", "key-of-other"),
    "GET /api/v1/requests": ("?team=research", "?team=other"),
    "GET /api/v1/requests/follow": ("?team=research&stored_after=0", "?team=other&stored_after=0"),
    "GET /api/v1/requests/export": ("?team=research", "?team=other"),
    "GET /api/v1/requests/{request_id}": (request_id(1, AT), request_id(2, AT)),
    "GET /api/v1/sessions": ("?key=me", "?key=you"),
    "GET /api/v1/sessions/{session:path}": ("session-of-research", "session-of-other"),
    "GET /api/v1/statements": (
        f"?team=research&month={time.strftime('%Y-%m', time.gmtime(AT))}",
        f"?team=other&month={time.strftime('%Y-%m', time.gmtime(AT))}",
    ),
    "GET /api/v1/usage": ("?team=research", "?team=other"),
    "GET /api/v1/teams": ("?search=research", "?search=other"),
    "GET /api/v1/teams/{name:path}": ("research", "other"),
    "GET /api/v1/customers": ("?search=acme", "?search=other"),
}
# Bodies that make an own object, and a foreign one.
BODIES: dict[str, tuple[object, object]] = {
    "POST /api/v1/keys": (
        {"name": "made", "settings": {"team": "research"}},
        {"name": "alien", "settings": {"team": "other"}},
    ),
}
ROLE_NAMES = tuple(ROLES)


class Line(Struct, frozen=True):
    """A line of the table."""

    method: str
    path: str
    everything: str
    own: str
    foreign: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def lines() -> list[Line]:
    found = []
    for text in TABLE.strip().splitlines():
        method, path, first, *rest = text.replace("|", " ").split()
        own, foreign = rest or ("", "")
        found.append(Line(method, path, first, own, foreign))
    return found


def routes(plane_app: object) -> dict[str, APIRoute]:
    """Return the routes of the application by method and path."""
    listed = [one for one in routes_of(plane_app.routes) if isinstance(one, APIRoute)]  # type: ignore[attr-defined]
    return {f"{method} {one.path}": one for one in listed for method in one.methods or ()}


def test_every_route_has_a_line_and_every_line_a_route(tmp_path: Path) -> None:
    live = routes(make_app(services_in(tmp_path), frozenset()))
    listed = [line.name for line in lines()]
    assert len(listed) == len(set(listed))
    assert set(live) - set(listed) == set(), "add a line to the table, after thinking about each role"
    assert set(listed) - set(live) == set(), "remove the lines of routes that are gone"
    for line in lines():
        is_public = permission_of(live[line.name]) is Permission.PUBLIC
        assert is_public == (line.everything == "public"), line.name


class Callers(Struct):
    """Callers by role, and those whom nobody may admit."""

    everything: list[Credential]
    scoped: list[Credential]
    rejected: list[Credential]


async def callers(plane: ControlPlane, folder: Path) -> Callers:
    everything = [await token(plane, role, role) for role in ROLE_NAMES]
    scoped = [await token(plane, f"{role} of a team", f"{role}@team:research") for role in ROLE_NAMES[1:]]
    ended = [await token(plane, name, "owner") for name in ("expired", "revoked")]
    await plane.client.delete("/api/v1/tokens/revoked", headers=ADMIN)
    for name in ("logged-out", "old", "idle", "disabled", "deleted"):
        await create_user(plane, name, "owner")
    sessions = {name: await log_in(plane, name) for name in ("logged-out", "old", "idle", "disabled", "deleted")}
    await plane.client.post("/api/v1/logout", headers=sessions["logged-out"].headers)
    await plane.client.patch(f"/api/v1/users/{sessions['disabled'].name}", json={"disabled": True}, headers=ADMIN)
    await plane.client.delete(f"/api/v1/users/{sessions['deleted'].name}", headers=ADMIN)
    with sqlite3.connect(folder / "pointsman.db") as database:
        database.execute("UPDATE service_tokens SET expires_at = 1 WHERE name = 'expired'")
        database.execute("UPDATE console_sessions SET ends_at = 1 WHERE user_id = ?", (sessions["old"].name,))
        database.execute("UPDATE console_sessions SET seen_at = 1 WHERE user_id = ?", (sessions["idle"].name,))
    strangers = [
        Credential("anonymous", {}),
        Credential("a wrong token", {"authorization": "Bearer wrong"}),
        Credential("a forged service token", {"authorization": "Bearer pm-service-forged"}),
        Credential("another scheme", {"authorization": ADMIN["authorization"].replace("Bearer", "Basic")}),
        Credential("a forged session", {"cookie": "pointsman-session=pm-session-forged"}),
    ]
    return Callers(everything, scoped, [*strangers, *ended, *sessions.values()])


def is_empty(answer: httpx.Response) -> bool:
    """Return whether an answer shows no object."""
    if answer.status_code == 404:
        return True
    if answer.status_code != 200:
        return False
    if not answer.content:
        return True
    body = answer.json()
    if isinstance(body, dict):
        body = next((body[name] for name in ("rows", "items", "keys") if name in body), body)
    return bool(body == [])


def fits(mark: str, answer: httpx.Response, *, is_own: bool) -> bool:
    """Return whether an answer is the one that the table expects."""
    if mark == "-":
        return answer.status_code == 403
    if mark == "0":
        return is_empty(answer)
    return answer.status_code not in ((401, 403, 404) if is_own else (401, 403)) and answer.status_code < 500


async def check(
    line: Line, by: Callers, ask: Callable[[str, str, object, Credential], Awaitable[httpx.Response]]
) -> tuple[int, list[str]]:
    """Call one route as every caller. Return the number of cells, and those that differ from the table."""
    own, foreign = OBJECTS.get(line.name, ("", ""))
    made, alien = BODIES.get(line.name, ({}, {}))
    cells = [(line.everything[at], foreign, alien, caller) for at, caller in enumerate(by.everything)]
    for at, caller in enumerate(by.scoped):
        cells.append((line.own[at], own, made, caller))
        cells.append((line.foreign[at], foreign, alien, caller))
    wrong = []
    for mark, query, body, caller in cells:
        answer = await ask(line.name, query, body, caller)
        if not fits(mark, answer, is_own=bool(own) and query == own):
            wrong.append(f"{line.name} {query} as {caller.name}: {answer.status_code} instead of {mark}")
    for caller in by.rejected:
        answer = await ask(line.name, own, made, caller)
        if answer.status_code != 401:
            wrong.append(f"{line.name} as {caller.name}: {answer.status_code} instead of 401")
    return len(cells) + len(by.rejected), wrong


def test_every_role_may_do_what_the_table_says_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.admin.api.events.STREAM_S", 0.0)

    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            plane.services.metrics_are_open = False
            for team, number in (("research", 1), ("other", 2)):
                owners = scope(number, team=team, customer=None, virtual_key="me" if number == 1 else "you")
                plane.write(number, AT, owners, team=team, session=f"session-of-{team}")
            await plane.ingest()
            by, cells, wrong, numbers = await callers(plane, tmp_path), 0, [], count()

            async def ask(name: str, query: str, body: object, caller: Credential) -> httpx.Response:
                method, _, path = name.partition(" ")
                is_filter = not query or query.startswith("?")
                path = re.sub(r"\{.*?\}", "unknown" if is_filter else query, path) + (query if is_filter else "")
                if query.startswith("key-of-"):  # the caller before may have deleted it
                    key = {"name": query, "settings": {"team": query.removeprefix("key-of-")}}
                    await plane.client.post("/api/v1/keys", json=key, headers=ADMIN)
                data = body if method in ("POST", "PUT", "PATCH") else None
                if isinstance(data, dict) and "name" in data:  # a name that exists is an error of its own
                    data = {**data, "name": f"{data['name']}-{next(numbers)}"}
                answer = await plane.client.request(method, path, json=data, headers=caller.headers)
                plane.client.cookies.clear()
                return answer

            for line in lines():
                if line.everything == "public":
                    answers = [await ask(line.name, "", {}, caller) for caller in by.rejected[:2]]
                    wrong += [line.name for one in answers if one.status_code == 403 and "permission" in one.text]
                    continue
                more, found = await check(line, by, ask)
                cells, wrong = cells + more, wrong + found
            assert not wrong, "\n".join(wrong)
            assert cells >= 1000, cells

    run(main())


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.name)
def test_line_has_a_mark_for_each_role(line: Line) -> None:
    if line.everything != "public":
        assert (len(line.everything), len(line.own), len(line.foreign)) == (7, 6, 6)
        assert line.everything[0] == "+", "owners may do everything"
