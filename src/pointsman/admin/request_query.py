"""The parameters that choose requests of the log."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from pointsman.admin.services import FOREVER, Name, TimeSpan
from pointsman.control.store.log_queries import LAST_ID, RequestFilter
from pointsman.control.store.reports import first_id
from pointsman.domain.dollars import NANO
from pointsman.domain.rights import AccessScope

Usd = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=9)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]


class RequestQuery(TimeSpan):
    """The filters of a list of requests. `since` is the beginning of time when absent."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    after: Annotated[str | None, Field(max_length=64, description="Only requests newer than this id.")] = None
    before: Annotated[str | None, Field(max_length=64, description="Only requests older than this id.")] = None
    key: Name | None = None
    team: Name | None = None
    customer: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    session: Name | None = None
    status: Annotated[int | None, Field(ge=0, le=999, description="0: the worker died.")] = None
    tag: Annotated[str | None, Field(max_length=1000, description="`name=value`.")] = None
    code: Annotated[str | None, Field(max_length=100, description="The code of the failure.")] = None
    error: Annotated[bool, Field(description="Only requests that failed.")] = False
    min_cost_usd: Usd | None = None
    max_cost_usd: Usd | None = None
    min_duration_s: Seconds | None = None
    max_duration_s: Seconds | None = None
    client_request_id: Annotated[
        str | None, Field(max_length=128, description="The id that the client sent in `x-request-id`.")
    ] = None

    def bounds(self) -> tuple[float, float]:
        return super().bounds() if self.since is not None else (0.0, self.until or FOREVER)

    def names(self) -> dict[str, str]:
        """Return the names that must exist, by kind."""
        kinds = {"virtual_key": self.key, "team": self.team, "customer": self.customer, "provider": self.provider}
        return {kind: name for kind, name in (kinds | {"asked": self.model}).items() if name is not None}

    def chosen(self, scope: AccessScope) -> RequestFilter:
        """Return the filter for the store, for the requests in a scope. Raises 422 if the span is empty."""
        names = ("team", "customer", "provider", "model", "session", "status", "code", "client_request_id")
        equal = {"virtual_key": self.key, **{name: getattr(self, name) for name in names}}
        start, end = self.bounds()
        return RequestFilter(
            equal={name: value for name, value in equal.items() if value is not None},
            tag=self.tag,
            is_failed=self.error,
            least_nano=_nano(self.min_cost_usd),
            most_nano=_nano(self.max_cost_usd),
            least_us=_microseconds(self.min_duration_s),
            most_us=_microseconds(self.max_duration_s),
            after=max(self.after or "", first_id(start)),
            before=min(self.before or LAST_ID, first_id(end)),
            scope=scope,
        )


def _nano(usd: Decimal | None) -> int | None:
    return int(usd * NANO) if usd is not None else None


def _microseconds(seconds: float | None) -> int | None:
    return round(seconds * 1e6) if seconds is not None else None
