"""The published description has every route, and every reference in it leads to a schema."""

import re
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from fakes.control import control_plane
from fakes.resources import CONFIG, call
from integration.gateway import run
from pointsman.admin.app import make_app
from pointsman.admin.permissions import routes_of
from pointsman.config.resource_kinds import KINDS


def test_description_has_every_route_and_resolves(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            answer = await call(plane, "GET", "openapi.json")
            assert answer.status_code == 200
            document: dict[str, Any] = answer.json()
            app = make_app(plane.services, frozenset())
            served = {
                (route.path_format, method.lower())
                for route in routes_of(app.routes)
                if isinstance(route, APIRoute) and route.include_in_schema
                for method in route.methods or ()
            }
            described = {(path, method) for path, operations in document["paths"].items() for method in operations}
            assert described == served
            schemas = document["components"]["schemas"]
            assert set(re.findall('"#/components/schemas/([^"]+)"', answer.text)) <= schemas.keys()
            assert {kind.section for kind in KINDS.values()} <= schemas.keys()
            team = document["paths"]["/api/v1/teams"]["post"]["requestBody"]["content"]["application/json"]["schema"]
            assert team["allOf"][1]["properties"]["spec"] == {"$ref": "#/components/schemas/TeamSettings"}

    run(main())
