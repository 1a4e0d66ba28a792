"""Every route declares a permission and rejects callers without it."""

from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from fakes.control import TOKEN, control_plane, services_in
from integration.gateway import run
from pointsman.admin.api import ROUTERS
from pointsman.admin.app import make_app
from pointsman.admin.permissions import Need, Permission, permission_of, routes_of, undeclared


def test_route_without_a_permission_is_found() -> None:
    app = FastAPI(openapi_url=None)
    router = APIRouter(dependencies=[Depends(Need(Permission.USAGE_READ))])
    router.add_api_route("/guarded", lambda: None)
    app.include_router(router)
    app.add_api_route("/bare", lambda: None, methods=["DELETE"])
    assert undeclared(app) == ["['DELETE'] /bare"]
    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/deep", lambda: None)
    outer.include_router(inner)
    app.include_router(outer)
    app.mount("/mounted", FastAPI())
    assert len(undeclared(app)) == 3, "routes of every kind are found"


def test_application_with_an_undeclared_route_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = APIRouter()
    bare.add_api_route("/api/v1/bare", lambda: None)
    monkeypatch.setitem(ROUTERS, "bare", bare)
    services = services_in(tmp_path)
    with pytest.raises(RuntimeError, match="/api/v1/bare"):
        make_app(services, frozenset())


def test_only_health_and_the_console_are_public(tmp_path: Path) -> None:
    app = make_app(services_in(tmp_path), frozenset())
    needs = {route.path: permission_of(route) for route in routes_of(app.routes) if isinstance(route, APIRoute)}
    assert None not in needs.values()
    public = {path for path, need in needs.items() if need is Permission.PUBLIC}
    assert public - {"/healthz", "/readyz", "/", "/{name}"} == {
        path for path in public if path.startswith("/api/v1/login")
    }
    assert {path for path, need in needs.items() if need is Permission.METRICS_READ} == {"/metrics"}
    assert all(path.startswith("/api/v1/") for path in needs.keys() - public - {"/metrics"})


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong-token", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"],
)
def test_every_route_returns_401_without_the_token(authorization: str | None, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            headers = [(b"authorization", authorization.encode("latin-1"))] if authorization is not None else []
            app = make_app(plane.services, frozenset())
            guarded = [
                (method, route.path)
                for route in routes_of(app.routes)
                if isinstance(route, APIRoute)
                and permission_of(route) not in (Permission.PUBLIC, Permission.METRICS_READ)
                for method in route.methods or ()
            ]
            assert len(guarded) >= 30
            for method, path in guarded:
                answer = await plane.client.request(method, path, headers=headers)
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
                error = answer.json()
                assert error["code"] == "unauthorized"
                assert "admin token" in error["detail"]
                assert TOKEN not in answer.text

    run(main())
