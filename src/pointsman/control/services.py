"""What the routes of the admin API work with."""

from time import time
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from msgspec import Struct

from pointsman.control.auth import AdminToken
from pointsman.control.configuration import Configuration
from pointsman.control.ingest import Ingest
from pointsman.control.lessor import Lessor
from pointsman.control.store.store import Store
from pointsman.routing.leases import LeaseBook


class Services(Struct, eq=False):
    """The parts of the control process."""

    book: LeaseBook
    ingest: Ingest
    lessor: Lessor
    configuration: Configuration
    token: AdminToken

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


def period(since: float | None, until: float | None) -> tuple[float, float]:
    """A span of time in Unix seconds: the last 30 days where nothing is stated."""
    end = until if until is not None else time() + 1
    return (since if since is not None else end - 30 * 86_400, end)


def usd(nano: int) -> str:
    """Dollars as a decimal number, exact."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    return f"{sign}{nano // 1_000_000_000}.{nano % 1_000_000_000:09d}"
