"""What the routes of the admin API work with."""

from time import time
from typing import Annotated

import msgspec
from fastapi import Depends, HTTPException, Request
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from pointsman.admin.auth import AdminToken
from pointsman.admin.metrics import WorkerPages
from pointsman.control.configuration import Configuration
from pointsman.control.ingest import Ingest
from pointsman.control.lessor import Lessor
from pointsman.control.store.store import Store
from pointsman.money.leases import LeaseBook


class Services(Struct, kw_only=True, eq=False):
    """The parts of the control process. `metrics_are_open` says that they may be read without a token."""

    book: LeaseBook
    ingest: Ingest
    lessor: Lessor
    configuration: Configuration
    token: AdminToken
    metrics_token: AdminToken | None = None
    metrics_are_open: bool = True
    pages: WorkerPages = msgspec.field(default_factory=WorkerPages)

    @property
    def store(self) -> Store:
        """The store. Raises 503 while there is none."""
        if self.ingest.store is None:
            said = self.ingest.state.problem or "it was not opened yet"
            raise HTTPException(503, {"code": "store_unavailable", "message": f"the store cannot be read: {said}"})
        return self.ingest.store


def services(request: Request) -> Services:
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


Has = Annotated[Services, Depends(services)]


Moment = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]
"""Unix seconds, up to the year 9999."""


class Span(BaseModel):
    """The parameters that state a span of time, and no unknown ones."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[Moment | None, Field(description="Unix seconds; 30 days before `until` when absent.")] = None
    until: Annotated[Moment | None, Field(description="Unix seconds, no longer part of it; now when absent.")] = None

    def bounds(self) -> tuple[float, float]:
        """Start and end. Raises 422 when nothing lies between them."""
        end = self.until if self.until is not None else time() + 1
        start = self.since if self.since is not None else max(0.0, end - 30 * 86_400)
        if start >= end:
            raise HTTPException(422, {"code": "invalid_request", "message": "until: must be later than since"})
        return start, end


def usd(nano: int) -> str:
    """Dollars as a decimal number, exact."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    return f"{sign}{nano // 1_000_000_000}.{nano % 1_000_000_000:09d}"
