"""The permission that each route of the admin API declares. A route without one is not served.

A route declares `Need(permission)` as a dependency. Callers whose permission is limited to some owners, such as a team,
get 403 there. A route that can filter its rows takes a parameter `Annotated[AccessScope, Depends(Within(permission))]`
instead, admits those callers too, and shows and changes only the objects in the scope.
"""

from collections.abc import Iterable, Iterator

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pointsman.admin.callers import bearer, caller, unauthorized
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Services
from pointsman.domain.permissions import Permission
from pointsman.domain.rights import NOTHING, AccessScope

__all__ = ["Need", "Permission", "Within", "permission_of", "routes_of", "undeclared"]


class Need:
    """A dependency that admits callers who hold a permission for everything. On a loopback address metrics are open,
    and otherwise the metrics token opens them too."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request, services: Has) -> None:
        if self.permission is Permission.PUBLIC:
            return
        if self.permission is Permission.METRICS_READ and _metrics_are_open(request, services):
            return
        scope = (await caller(request, services)).rights.scope(self.permission)
        if not scope.is_everything:
            raise forbidden(self.permission, scope)


class Within:
    """A dependency that admits callers who hold a permission for some objects, and returns the scope of these."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request, services: Has) -> AccessScope:
        scope = (await caller(request, services)).rights.scope(self.permission)
        if not scope:
            raise forbidden(self.permission, NOTHING)
        return scope


def _metrics_are_open(request: Request, services: Services) -> bool:
    if services.metrics_are_open:
        return True
    presented = bearer(request)
    if services.metrics_token is None:
        return False
    if presented is None:
        raise unauthorized("metrics token", is_absent=True)
    return services.metrics_token.opens(presented)


def forbidden(permission: Permission, scope: AccessScope) -> ApiError:
    """Return the error of a caller who does not hold a permission, or holds it for this scope only."""
    message = f"this requires the permission {permission.value}; ask an owner or an admin for a role that has it"
    if scope:
        held = ", ".join(sorted(scope.owners))
        message = f"this requires the permission {permission.value} for everything; you hold it for {held}"
    return ApiError(403, "forbidden", message)


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
        if isinstance(dependency.call, Need | Within):
            return dependency.call.permission
    return None
