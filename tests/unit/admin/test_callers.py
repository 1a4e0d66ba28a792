"""Callers of the admin API, and the permissions of their routes."""

from pathlib import Path
from typing import Annotated, cast

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from fakes.control import TOKEN, services_in
from integration.gateway import run
from pointsman.admin.callers import Caller, CallerOf
from pointsman.admin.permissions import Need, Permission, Within
from pointsman.admin.problems import ApiError, respond
from pointsman.domain.permissions import ROLES
from pointsman.domain.rights import AccessScope, RoleGrant, rights_of


def test_admin_token_is_an_owner(tmp_path: Path) -> None:
    async def main() -> None:
        app = FastAPI(openapi_url=None)
        app.state.services = services_in(tmp_path)

        @app.get("/who")
        async def who(caller: CallerOf) -> dict[str, str]:
            assert caller.rights.scope(Permission.OWNERS_WRITE).is_everything
            return {"name": caller.name, "address": caller.address}

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            answer = await client.get("/who", headers={"authorization": f"bearer  {TOKEN} "})
            assert answer.json() == {"name": "admin-token", "address": "127.0.0.1"}
            with pytest.raises(ApiError, match="present the admin token"):
                await client.get("/who")

    run(main())


@pytest.mark.parametrize(
    ("grants", "whole", "part"),
    [
        ([RoleGrant("viewer")], 200, ["*"]),
        ([RoleGrant("viewer", "team:a")], 403, ["team:a"]),
        ([RoleGrant("viewer", "team:a"), RoleGrant("member", "team:b")], 403, ["team:a", "team:b"]),
        ([RoleGrant("gone")], 403, None),
        ([], 403, None),
    ],
)
def test_limited_permission_opens_only_routes_that_filter(
    grants: list[RoleGrant], whole: int, part: list[str] | None, tmp_path: Path
) -> None:
    async def main() -> None:
        app = FastAPI(openapi_url=None)
        app.state.services = services_in(tmp_path)

        async def known(request: Request) -> None:
            request.state.caller = Caller(name="user:me", rights=rights_of(grants, ROLES))

        @app.get("/whole", dependencies=[Depends(known), Depends(Need(Permission.USAGE_READ))])
        async def everything() -> None: ...

        @app.get("/part", dependencies=[Depends(known)])
        async def part_of(scope: Annotated[AccessScope, Depends(Within(Permission.USAGE_READ))]) -> list[str]:
            return ["*"] if scope.is_everything else sorted(scope.owners)

        app.add_exception_handler(ApiError, lambda _, error: respond(cast("ApiError", error)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            assert (await client.get("/whole")).status_code == whole
            answer = await client.get("/part")
            assert (answer.json() if part is not None else answer.status_code) == (part or 403)

    run(main())
