"""The console's listener: the admin API, the console's page, metrics and health."""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pointsman import __version__
from pointsman.admin.api import ROUTERS
from pointsman.admin.call_inquirer import begin_call
from pointsman.admin.metrics import content_type, render
from pointsman.admin.permissions import Need, Permission, undeclared
from pointsman.admin.problems import ApiError, FieldError, respond
from pointsman.admin.refusals import RefusalGate, record_refusal
from pointsman.admin.services import Has, Services
from pointsman.control.store.database import StoreError
from pointsman.link.inquirer import AwayError

MAX_BODY_BYTES = 1024 * 1024
_FILES = {"": "text/html", "console.js": "text/javascript", "console.css": "text/css", "icon.svg": "image/svg+xml"}
_PORT = re.compile(r":[0-9]*$")
_MESSAGES = {
    404: ("not_found", "unknown path; the API is below /api/v1"),
    405: ("method_not_allowed", "the method is not allowed on this path; the header `allow` lists those that are"),
}
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

_public = APIRouter(dependencies=[Depends(Need(Permission.PUBLIC))])
_metrics = APIRouter(dependencies=[Depends(Need(Permission.METRICS_READ))])


@_public.get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@_public.get("/readyz", include_in_schema=False)
async def readyz(services: Has) -> dict[str, str]:
    """Ready in any case: workers serve without control and the store. `degraded` means that control or the store is
    away, or that the configuration on disk was rejected. It also means that parts of the journals were unreadable and
    need inspection, or that the OpenTelemetry collector, a sink or a channel of alerts takes nothing."""
    try:
        state = await services.state()
    except AwayError as error:
        return {"status": "degraded", "control": str(error)}
    wrong: dict[str, str] = {}
    if state.store != "ok":
        wrong["store"] = state.store
    if state.journal_damage:
        wrong["journal"] = f"{state.journal_damage} damaged places were skipped since the start"
    if state.config_refused:
        wrong["configuration"] = (
            "the configuration on disk was rejected, and an older one is in force; GET /api/v1/status lists the errors"
        )
    if state.refused_records:
        wrong["refused"] = f"{state.refused_records} records are quarantined in quarantine.jsonl"
    if services.outgoing is not None:
        wrong |= services.outgoing.problems()
    if services.alerts is not None:
        wrong |= services.alerts.problems()
    return {"status": "degraded", **wrong} if wrong else {"status": "ok"}


@_metrics.get("/metrics", include_in_schema=False)
async def metrics(services: Has, request: Request) -> Response:
    accept = request.headers.get("accept", "")
    exemplars = services.outgoing.exemplars if services.outgoing is not None else None
    text = await asyncio.to_thread(render, await services.page(), accept, exemplars)
    return Response(text, headers={"content-type": content_type(accept)})


@_public.get("/", include_in_schema=False)
@_public.get("/{name}", include_in_schema=False)
async def page(request: Request, name: str = "") -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    # Only these files are compressed: they hold no secret, so their length reveals none.
    is_packed = "gzip" in request.headers.get("accept-encoding", "")
    content = await asyncio.to_thread(_content, name or "index.html", is_packed=is_packed)
    headers = {"vary": "accept-encoding"} | ({"content-encoding": "gzip"} if is_packed else {})
    return Response(content, media_type=_FILES[name], headers=headers)  # it adds the charset of text


@lru_cache
def _content(name: str, *, is_packed: bool) -> bytes:
    content = files("pointsman.admin").joinpath("console", name).read_bytes()
    return gzip.compress(content, mtime=0) if is_packed else content


def make_app(services: Services, hosts: frozenset[str]) -> FastAPI:
    """Return the application. `hosts` are the names it may be called by. Raises `RuntimeError` for a route that
    declares no permission."""
    app = FastAPI(title="Pointsman admin API", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services
    app.state.followers = set()
    refusals = RefusalGate()
    for router in ROUTERS.values():
        app.include_router(router)
    app.include_router(_metrics)
    app.include_router(_public)  # last: one of its paths is open
    if missing := undeclared(app):
        raise RuntimeError(f"routes without a permission: {', '.join(missing)}")

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        host = _PORT.sub("", request.headers.get("host", "")).strip("[]")
        if hosts and host not in hosts:
            message = f"unknown host {host[:100]!r}; use the address that the console listens on"
            return _guarded(421, "wrong_host", f"{message}, or add the name to console.allowed_hosts")
        if "transfer-encoding" in request.headers:  # the body is read before the token, so it must be bounded
            return _guarded(
                411, "length_required", "`transfer-encoding` is not supported; send the body with a `content-length`"
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return _guarded(413, "too_large", f"`content-length` must be a number of at most {MAX_BODY_BYTES} bytes")
        begin_call(request)
        response = await call_next(request)
        await record_refusal(services, refusals, request, response.status_code)
        response.headers["x-request-id"] = request.state.call_id
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(ApiError)
    async def failed(request: Request, error: ApiError) -> Response:
        request.state.code = error.code
        return respond(error)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        code, message = _MESSAGES.get(error.status_code, ("error", str(error.detail)))
        return respond(ApiError(error.status_code, code, message, headers=error.headers))

    @app.exception_handler(StoreError)
    async def store_failed(_: Request, error: StoreError) -> Response:
        return respond(ApiError(503, "store_unavailable", f"the store cannot be used: {error}"))

    @app.exception_handler(AwayError)
    async def control_away(_: Request, error: AwayError) -> Response:
        return respond(ApiError(503, "control_unavailable", str(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        faults = [_explain(fault) for fault in error.errors()]
        detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        return respond(ApiError(422, "invalid_request", detail, errors=faults))

    return app


def _guarded(status: int, code: str, message: str) -> Response:
    """Return the answer to a request that no route gets."""
    return respond(ApiError(status, code, message, headers=_HEADERS))


def _explain(error: dict[str, Any]) -> FieldError:
    """Name the field and its fault, without the value."""
    field = ".".join(map(str, error["loc"][1:]))
    message = "unknown parameter" if error["type"] == "extra_forbidden" else error["msg"]
    return FieldError(field, message.removeprefix("Value error, "))
