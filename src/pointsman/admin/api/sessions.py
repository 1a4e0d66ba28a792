"""GET /api/v1/sessions and /{session}: the requests of clients' sessions together, their cost and their agents."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from msgspec import Struct
from pydantic import Field

from pointsman.admin.names import check_names
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Name, StrictModel, as_json, usd
from pointsman.control.store.log_queries import LAST_ID, RequestFilter
from pointsman.control.store.tables import REQUEST_SUMS
from pointsman.domain.rights import AccessScope

MOST_AGENTS = 1000
_SHOWN = ("request_id", "at", "virtual_key", "model", "provider", "status", "duration_us")

router = APIRouter(prefix="/api/v1", tags=["requests"])

Readable = Annotated[AccessScope, Depends(Within(Permission.REQUESTS_READ))]


class SessionQuery(StrictModel):
    """A page of sessions."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    key: Name | None = None
    before: Annotated[str | None, Field(max_length=2000, description="The `next` of the last answer.")] = None


class Sessions(Struct):
    """Sessions, and the cursor of the next page if there is one."""

    rows: list[dict[str, Any]]
    next: str | None


class RequestAgent(Struct):
    """The parts of a record that place a request in the tree of a session."""

    agent: str | None = None
    parent_agent: str | None = None
    operation: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    code: str | None = None


_DECODER = msgspec.json.Decoder(RequestAgent)
_CURSOR = msgspec.json.Decoder(tuple[float, str, str])


@router.get("/sessions")
async def sessions(services: Has, scope: Readable, query: Annotated[SessionQuery, Query()]) -> Response:
    """Return sessions, those with the latest request first: for each, sums over its requests, and the ends of its first
    and last one in Unix seconds. A session has the id that the client sent: in `x-pointsman-session`, in a header of a
    coding agent, or as `prompt_cache_key`. Equal ids of two virtual keys are two sessions. Sums include deleted
    requests."""
    before = _read(query.before) if query.before is not None else None
    found = await services.store.log.sessions(query.key, query.limit + 1, before, scope)
    if not found and query.key is not None:
        await check_names(services, {"virtual_key": query.key}, scope)
    is_more = len(found) > query.limit
    found = found[: query.limit]
    last = found[-1] if is_more else None
    cursor = _cursor((last["last_at"], last["session"], last["virtual_key"])) if last is not None else None
    return as_json(Sessions([_sums(row, ("session", "virtual_key", "team", "customer")) for row in found], cursor))


@router.get("/sessions/{session:path}", responses={404: {"description": "The session is unknown, or was deleted."}})
async def session(
    services: Has,
    scope: Readable,
    session: Annotated[str, Path(max_length=300)],
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | None, Query(max_length=64, description="Only requests older than this id.")] = None,
) -> Response:
    """Return one session: sums for each virtual key that used its id, sums for each agent with the agent that started
    it, and its requests, newest first. For older requests, set `before` to `next`."""
    keys = await services.store.log.session(session, scope)
    if not keys:
        message = f"there is no session {session!r}; new ones appear after a moment, and old ones are deleted"
        raise ApiError(404, "not_found", message)
    chosen = RequestFilter(equal={"session": session}, before=before or LAST_ID, scope=scope)
    page = await services.store.log.page(chosen, limit, with_records=True)
    visible = {row["virtual_key"] for row in keys}
    agents = [one for one in await services.store.log.agents(session, MOST_AGENTS) if one["virtual_key"] in visible]
    return as_json(
        {
            "session": session,
            "keys": [_sums(row, ("virtual_key", "team", "customer")) for row in keys],
            "agents": [_sums(row, ("virtual_key", "agent", "parent_agent")) for row in agents],
            "requests": [_request(row) for row in page.rows],
            "next": page.next,
        }
    )


def _sums(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    times = {name: row[name] for name in ("first_at", "last_at")}
    sums = {name: row[name] for name in REQUEST_SUMS if name != "nano"}
    cost = {"cost_nano": row["nano"], "cost_usd": usd(row["nano"])}
    return {**{name: row[name] or None for name in names}, **times, **cost, **sums}


def _request(row: dict[str, Any]) -> dict[str, Any]:
    placed = msgspec.to_builtins(_DECODER.decode(row["record"]))
    cost = {"cost_nano": row["nano"], "cost_usd": usd(row["nano"])}
    return {**{name: row[name] for name in _SHOWN}, **cost, **placed}


def _cursor(place: tuple[float, str, str]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read(cursor: str) -> tuple[float, str, str]:
    try:
        return _CURSOR.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.DecodeError):
        raise ApiError(422, "invalid_request", "before: must be the `next` of the last answer") from None
