"""Sums over requests for one batch: by minute, by tag, and by session. No I/O."""

from collections.abc import Sequence
from operator import add

from msgspec import Struct

from pointsman.control.store.tables import (
    HOUR_S,
    MINUTE_S,
    REQUEST_DIMENSIONS,
    REQUEST_SUMS,
    TAG_KEYS,
    TAG_SUMS,
    Row,
)
from pointsman.domain.records import RequestRecord

_OF_TAGS = tuple(REQUEST_SUMS.index(name) for name in TAG_SUMS)
_NOTHING = (0,) * len(REQUEST_SUMS)


class CountedRequest(Struct, kw_only=True):
    """The facts of a record that its sums are kept by."""

    time: float
    status: int = 0
    virtual_key: str | None = None
    team: str | None = None
    customer: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    variant: str | None = None
    tags: dict[str, str] = {}
    session: str | None = None
    agent: str | None = None
    parent_agent: str | None = None


class _SessionSum:
    """Sums over the requests of a session, or of an agent in one."""

    __slots__ = ("first_at", "last_at", "names", "sums")

    def __init__(self, at: float) -> None:
        self.sums: Sequence[int] = _NOTHING
        self.first_at = self.last_at = at
        self.names: Row = {}

    def add(self, at: float, sums: Sequence[int]) -> None:
        self.sums = list(map(add, self.sums, sums))
        self.first_at, self.last_at = min(self.first_at, at), max(self.last_at, at)

    def row(self, keys: Row) -> Row:
        times = {"first_at": self.first_at, "last_at": self.last_at}
        return {**keys, **self.names, **times, **dict(zip(REQUEST_SUMS, self.sums, strict=True))}


class RequestTally:
    """Adds up requests. The rows hold increments."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[int | str, ...], Sequence[int]] = {}
        self._tags: dict[tuple[int | str, ...], list[int]] = {}
        self._sessions: dict[tuple[str, str], _SessionSum] = {}
        self._agents: dict[tuple[str, str, str], _SessionSum] = {}

    def add(self, request: RequestRecord) -> None:
        """Count a request."""
        status, ttft_us = request.status, request.ttft_us
        self.change(
            request,
            (
                1,
                int(status >= 400 or status == 0),
                len(request.attempts),
                request.tokens_in or 0,
                request.tokens_out or 0,
                request.tokens_cached,
                request.tokens_reasoning,
                request.cost_nano,
                request.estimated_nano,
                request.reserved_nano,
                request.duration_us,
                request.gateway_us,
                int(ttft_us is not None),
                ttft_us or 0,
            ),
        )

    def correct(self, request: CountedRequest, changes: Row) -> None:
        """Count changes of a request that was counted before. `changes` are increments by name."""
        self.change(request, [changes.get(name, 0) for name in REQUEST_SUMS])

    def change(self, request: RequestRecord | CountedRequest, sums: Sequence[int]) -> None:
        """Add increments, in the order of `REQUEST_SUMS`, to the sums that a request counts in."""
        at, key = request.time, request.virtual_key or ""
        owner = (key, request.team or "", request.customer or "")
        target = (request.provider or "", request.upstream_model or "", request.variant or "")
        minute = (int(at // MINUTE_S) * MINUTE_S, *owner, *target, str(request.status))
        found = self._minutes.get(minute)
        self._minutes[minute] = sums if found is None else list(map(add, found, sums))
        if request.tags:
            hour = int(at // HOUR_S) * HOUR_S
            few = [sums[place] for place in _OF_TAGS]
            for name, value in request.tags.items():
                tag = (hour, f"{name}={value}", *owner, *target)
                known = self._tags.get(tag)
                self._tags[tag] = few if known is None else list(map(add, known, few))
        if request.session:
            self._add_session(request, sums, owner)

    def _add_session(
        self, request: RequestRecord | CountedRequest, sums: Sequence[int], owner: tuple[str, str, str]
    ) -> None:
        at, session, key = request.time, request.session or "", owner[0]
        span = self._sessions.get((session, key))
        if span is None:
            span = self._sessions[session, key] = _SessionSum(at)
        span.names = {"team": owner[1], "customer": owner[2]}
        span.add(at, sums)
        if request.agent:
            of_agent = self._agents.get((session, key, request.agent))
            if of_agent is None:
                of_agent = self._agents[session, key, request.agent] = _SessionSum(at)
                of_agent.names = {"parent_agent": ""}
            if request.parent_agent:
                of_agent.names = {"parent_agent": request.parent_agent}
            of_agent.add(at, sums)

    def minutes(self) -> list[Row]:
        """Return rows of `request_minutes`."""
        names = ("minute", *REQUEST_DIMENSIONS, *REQUEST_SUMS)
        return [dict(zip(names, (*key, *sums), strict=True)) for key, sums in self._minutes.items()]

    def tags(self) -> list[Row]:
        """Return rows of `usage_tags`."""
        return [dict(zip((*TAG_KEYS, *TAG_SUMS), (*key, *sums), strict=True)) for key, sums in self._tags.items()]

    def sessions(self) -> list[Row]:
        """Return rows of `sessions`."""
        return [one.row({"session": name, "virtual_key": key}) for (name, key), one in self._sessions.items()]

    def agents(self) -> list[Row]:
        """Return rows of `session_agents`."""
        return [
            one.row({"session": name, "virtual_key": key, "agent": agent})
            for (name, key, agent), one in self._agents.items()
        ]
