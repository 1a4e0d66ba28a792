"""GET /api/v1/alerts and /history: alerts that fire, and past ones. POST /api/v1/alerts/{name}/test: test a rule."""

from time import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Name, StrictModel, as_json
from pointsman.alerting.tracker import MAX_ALERTS
from pointsman.control.inquiries.audit import AuditOutcome, RecordCall
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import StoreError
from pointsman.domain.audit import AuditEvent

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


class AlertHistoryQuery(StrictModel):
    """The parameters."""

    rule: Name | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    before: Annotated[str | None, Field(max_length=64, description="Only alerts older than this id.")] = None


@router.get("", dependencies=[Depends(Need(Permission.ALERTS_READ))])
async def alerts(services: Has) -> Response:
    """Return the alerts that fire, the newest first, the rules in force, and the channels. `problem` is the reason why
    a channel takes no messages, and `waiting` the number of those in memory. Ended messages are counted since the start
    of the admin process. Times are in Unix seconds."""
    firing = await AlertQueries(services.store.rows).firing(MAX_ALERTS)
    running = services.alerts
    if running is None:
        return as_json({"firing": firing, "rules": [], "channels": [], "problem": ""})
    channels = [
        {
            "name": one.channel,
            "problem": one.problem,
            "waiting": running.deliveries.waiting(one.channel),
            "delivered": one.delivered,
            "rejected": one.rejected,
            "expired": one.expired,
        }
        for one in running.deliveries.statuses.values()
    ]
    rules = list(running.rules.values())
    return as_json({"firing": firing, "rules": rules, "channels": channels, "problem": running.problem})


@router.get("/history", dependencies=[Depends(Need(Permission.ALERTS_READ))])
async def history(services: Has, query: Annotated[AlertHistoryQuery, Query()]) -> Response:
    """Return alerts that fire or have ended, the newest first. For the next page, set `before` to the last id of the
    answer. Ended ones are deleted after `alerts.keep_days`."""
    store = AlertQueries(services.store.rows)
    before = await store.one(query.before) if query.before is not None else None
    if query.before is not None and before is None:
        raise ApiError(404, "not_found", f"there is no alert {query.before!r}")
    return as_json(await store.past(query.limit, query.rule, before))


@router.post("/{name}/test", dependencies=[Depends(Need(Permission.ALERTS_WRITE))])
async def test(services: Has, name: Annotated[str, Path(max_length=64)]) -> Response:
    """Send a message about an alert that does not exist to each channel of a rule, once. `channels` has the problem of
    each, an empty text if it accepted the message. The history does not have these alerts."""
    running = services.alerts
    rule = running.rules.get(name) if running is not None else None
    if running is None or rule is None:
        raise ApiError(404, "not_found", f"there is no rule {name!r} of alerts in force")
    event = AuditEvent(action="test", kind="alert", name=name, outcome="begun")
    (outcome,) = await services.control.ask(RecordCall(event), AuditOutcome)
    if outcome.problem:
        raise StoreError(outcome.problem)
    return as_json({"rule": name, "channels": await running.test(rule, time())})
