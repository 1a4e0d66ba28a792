"""The permissions of the admin API. Every route declares the one it needs; a route without one is not served."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has


class Permission(StrEnum):
    """The permissions of a caller."""

    USAGE_READ = "usage:read"
    USAGE_WRITE = "usage:write"
    REQUESTS_READ = "requests:read"
    BUDGETS_READ = "budgets:read"
    STATUS_READ = "status:read"
    CONFIG_WRITE = "config:write"
    HEALTH_WRITE = "health:write"
    METRICS_READ = "metrics:read"
    PUBLIC = "public"  # health and the files of the console, which hold no secret


class Need:
    """A dependency that admits callers with a permission: the admin token has them all, the metrics token one. On a
    loopback address metrics are open."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, services: Has, authorization: Annotated[str | None, Header()] = None) -> None:
        is_metrics = self.permission is Permission.METRICS_READ
        if self.permission is Permission.PUBLIC or (is_metrics and services.metrics_are_open):
            return
        scheme, _, presented = (authorization or "").partition(" ")
        tokens = [services.token]
        if is_metrics and services.metrics_token is not None:
            tokens.append(services.metrics_token)
        presented = presented.strip() if scheme.lower() == "bearer" else ""
        if not any([token.opens(presented) for token in tokens]):  # noqa: C419 -- always compares with all of them
            name = "metrics token" if is_metrics and services.metrics_token is not None else "admin token"
            message = f"present the {name} as 'Authorization: Bearer <token>'"
            if authorization is not None:
                message = f"this is not the {name}"
            raise ApiError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})


def undeclared(app: FastAPI) -> list[str]:
    """Return the routes that declare no permission, and any handlers that are not the gateway's routes."""
    found: list[str] = []
    for route in routes_of(app.routes):
        if not isinstance(route, APIRoute):
            found.append(repr(route))
        elif permission_of(route) is None:
            found.append(f"{sorted(route.methods or ())} {route.path}")
    return found


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Return all routes, including those of included routers."""
    for route in routes:
        included = getattr(route, "original_router", None)  # newer versions of the framework keep them apart
        if included is not None:
            yield from routes_of(included.routes)
        else:
            yield route


def permission_of(route: APIRoute) -> Permission | None:
    """Return the permission that a route needs."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Need):
            return dependency.call.permission
    return None
