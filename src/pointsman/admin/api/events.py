"""GET /api/v1/events: events of the gateway, as they happen."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Services
from pointsman.control.inquiries.events import EventInquiry, LiveEvent
from pointsman.link.inquirer import AwayError

STREAM_S = 100.0  # the listener ends longer answers; clients connect again, and continue after the last event
BEAT_S = 15.0
RETRY_MS = 1000
MAX_FOLLOWERS = 64

router = APIRouter(prefix="/api/v1", tags=["status"], dependencies=[Depends(Need(Permission.STATUS_READ))])
_number = Header(description="The number of the last event received. The stream continues after it.", max_length=20)


@router.get("/events", responses={200: {"content": {"text/event-stream": {}}}})
async def events(
    request: Request, services: Has, last_event_id: Annotated[str | None, _number] = None
) -> StreamingResponse:
    """Stream events as server-sent events: `configuration`, `configuration_rejected`, `resources`, `hold` and
    `release`, each with JSON. After `reset`, events may be missing. The stream ends after some minutes at most; connect
    again with `Last-Event-ID`."""
    after = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else None
    followers: set[object] = request.app.state.followers
    if len(followers) >= MAX_FOLLOWERS:
        raise ApiError(503, "too_many_followers", f"{MAX_FOLLOWERS} clients follow events already; try again later")
    return StreamingResponse(_stream(services, after, followers), media_type="text/event-stream")


async def _stream(services: Services, after: int | None, followers: set[object]) -> AsyncIterator[bytes]:
    me = object()
    followers.add(me)
    ends_at = monotonic() + STREAM_S
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        while monotonic() < ends_at:
            try:
                found = await services.control.ask(
                    EventInquiry(after=after, within_s=BEAT_S), LiveEvent, within_s=BEAT_S + 5.0
                )
            except AwayError:
                await asyncio.sleep(1.0)
                continue
            for one in found:
                after = one.number
                yield _event(one)
            if not found:
                yield b": still here\n\n"
    finally:
        followers.discard(me)


def _event(one: LiveEvent) -> bytes:
    data = msgspec.json.encode({"at": one.at, **one.data})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (one.number, one.kind.encode(), data)
