"""The services that the routes of the admin API use."""

from collections.abc import Mapping
from functools import partial
from time import time
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response
from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pointsman.admin.alerts.runner import AlertRunner
from pointsman.admin.auth import AdminToken
from pointsman.admin.call_inquirer import CallInquirer
from pointsman.admin.login_parts import LoginParts
from pointsman.admin.metrics import WorkerPages
from pointsman.admin.outgoing import Outgoing
from pointsman.admin.pages import whole_page, worker_pages
from pointsman.admin.problems import ApiError
from pointsman.control.inquiries.console import LoginSettings
from pointsman.control.inquiries.state import ControlState, StateInquiry
from pointsman.control.store.access_queries import AccessQueries
from pointsman.control.store.reports import Reports
from pointsman.domain.dollars import dollars
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import MetricsPage


class Services(Struct, kw_only=True, eq=False):
    """The parts of the admin process. `metrics_are_open` is true if they may be read without a token. `outgoing` sends
    data to other places, and `alerts` evaluates rules."""

    control: Inquirer
    store: Reports
    token: AdminToken
    metrics_token: AdminToken | None = None
    metrics_are_open: bool = True
    pages: WorkerPages = msgspec.field(default_factory=WorkerPages)
    outgoing: Outgoing | None = None
    alerts: AlertRunner | None = None
    logins: LoginParts = msgspec.field(default_factory=LoginParts)

    @property
    def access(self) -> AccessQueries:
        """Return the queries for users, roles, service tokens and sessions."""
        return AccessQueries(self.store.rows)

    async def login_settings(self) -> LoginSettings:
        """Return the settings of logins. While control is away, they are the last ones. Raises `AwayError`."""
        return await self.logins.settings(self.control)

    async def state(self) -> ControlState:
        """Return the state of control. Raises `AwayError`."""
        (found,) = await self.control.ask(StateInquiry(), ControlState)
        return found

    async def page(self) -> MetricsPage:
        """Return the metrics of all workers, of control and of admin, each series once. Raises `AwayError`."""
        own = [one.metrics() for one in (self.outgoing, self.alerts) if one is not None]
        return await whole_page(self.control, self.pages, own)

    async def worker_pages(self) -> list[MetricsPage]:
        """Return the metrics of all workers that answer in time. Raises `AwayError`."""
        return await worker_pages(self.control)


def services(request: Request) -> Services:
    """Return the services, whose inquiries name the caller of this request."""
    found = request.app.state.services
    assert isinstance(found, Services)
    return replace(found, control=CallInquirer(found.control, request))


def _half_character(data: Any) -> str | None:
    """Return the path to a text with a lone surrogate, if there is one. Data may be too deep for recursion."""
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, str):
            if not node.isascii() and any("\ud800" <= one <= "\udfff" for one in node):
                return path.removeprefix(".")
        elif isinstance(node, dict):
            for name, value in node.items():
                waiting += [(f"{path}.{ascii(name)[1:-1]}", value), (path, name)]
        elif isinstance(node, list):
            waiting += [(f"{path}[{at}]", item) for at, item in enumerate(node)]
    return None


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of structs, encoded."""
    content = msgspec.json.encode(value)
    return Response(content, status, headers=dict(headers or {}), media_type="application/json")


Has = Annotated[Services, Depends(services)]
usd = partial(dollars, symbol="", decimals=9)

Name = Annotated[str, Field(max_length=300)]
FOREVER = 253_402_300_799.0  # in Unix seconds: the end of the year 9999
Moment = Annotated[float, Field(ge=0, le=FOREVER, allow_inf_nan=False)]


class StrictModel(BaseModel):
    """The parameters of a request, or the fields of its body; unknown ones are rejected. So are halves of characters,
    which JSON can escape, but no text can hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_characters(cls, data: Any) -> Any:
        place = _half_character(data)
        if place is not None:
            raise ValueError(f"{place}: has half a character, such as \\ud800; remove it")
        return data


class TimeSpan(StrictModel):
    """The parameters that set a span of time."""

    since: Annotated[Moment | None, Field(description="Unix seconds, inclusive; 30 days before `until` if absent.")] = (
        None
    )
    until: Annotated[Moment | None, Field(description="Unix seconds, exclusive; now if absent.")] = None

    def bounds(self) -> tuple[float, float]:
        """Return start and end. Raises 422 if the span is empty."""
        end = self.until if self.until is not None else time() + 1
        start = self.since if self.since is not None else max(0.0, end - 30 * 86_400)
        if start >= end:
            raise ApiError(422, "invalid_request", "until: must be later than since")
        return start, end
