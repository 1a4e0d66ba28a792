"""GET /api/v1/openapi.json: the description of this API."""

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.openapi.utils import get_openapi
from msgspec import json

from pointsman.admin.permissions import Need, Permission, routes_of
from pointsman.config.resource_kinds import KINDS

REF = "#/components/schemas/"
router = APIRouter(prefix="/api/v1", tags=["status"], dependencies=[Depends(Need(Permission.STATUS_READ))])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the description of all routes, in the form of OpenAPI 3.1."""
    return Response(await asyncio.to_thread(described, request.app), media_type="application/json")


def described(app: Any) -> bytes:
    """Return the description of an application in JSON."""
    document = get_openapi(
        title=app.title, version=app.version, routes=list(routes_of(app.routes)), openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas |= {name: schema for name, schema in _sections().items() if name not in schemas}
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            problem = {"application/problem+json": {"schema": {"$ref": f"{REF}Problem"}}}
            responses.pop("422", None)
            responses["default"] = {"description": "An error.", "content": problem}
            _describe_spec(path, operation)
    return json.encode(document)


def _describe_spec(path: str, operation: dict[str, Any]) -> None:
    """Name the schema of the content of a resource."""
    kind = next((one for one in KINDS.values() if path.split("/")[3:4] == [one.plural]), None)
    if kind is None or "requestBody" not in operation:
        return
    body = operation["requestBody"]["content"]["application/json"]
    spec = {"properties": {"spec": {"$ref": f"{REF}{kind.section}"}}}
    body["schema"] = {"allOf": [body["schema"], spec]}


def _sections() -> dict[str, Any]:
    """Return the schemas of the sections of the configuration file."""
    from pointsman.config.json_schema import document_schema  # noqa: PLC0415 -- only this route needs them

    text = json.encode(document_schema()["$defs"]).replace(b'"#/$defs/', f'"{REF}'.encode())
    found: dict[str, Any] = json.decode(text)
    return found


_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error, as RFC 9457 describes it.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
