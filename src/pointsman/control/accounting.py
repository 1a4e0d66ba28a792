"""From records of a journal to what a transaction of the store writes. No I/O."""

from collections import defaultdict
from collections.abc import Iterable
from operator import add
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pointsman.control.store.store import Batch, JournalState, RequestRow, Row
from pointsman.control.store.tables import USAGE_KEYS, USAGE_SUMS
from pointsman.domain.limits import Metric, Period
from pointsman.journal.reader import Position
from pointsman.journal.records import CounterRef, Intent, Outcome, Record, RequestDone, Scope, attempt_id

HOUR_S = 3600
MAX_OPEN = 200_000
WORKER_DIED = "worker_died"


class Charged(Struct, frozen=True):
    """Spending in one window of a counter by one worker."""

    epoch: int
    counter: str
    window: int
    amount: int


class _Request(Struct):
    """The columns of a request's record."""

    time: float
    request_id: str
    status: int
    virtual_key: str | None = None
    model: str | None = None
    provider: str | None = None
    cost_nano: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    tags: dict[str, str] = {}


_REQUEST_DECODER = msgspec.json.Decoder(_Request)
_USD, _TOKENS = Metric.USD.value, Metric.TOKENS.value


class _Attempt(Struct):
    intent: Intent
    scope: Scope
    outcome: Outcome | None = None


class _Open(Struct):
    position: Position  # of its first intent
    attempts: dict[int, _Attempt] = {}  # by ordinal


class OpenRequests:
    """The requests of one journal whose record has not come yet, with their attempts."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._drop_at = MAX_OPEN

    def __len__(self) -> int:
        return len(self._open)

    def begun(self, position: Position, intent: Intent, scope: Scope) -> None:
        found = self._open.get(intent.request_id)
        if found is None:
            if len(self._open) >= self._drop_at:
                self._drop_settled()
                self._drop_at = max(MAX_OPEN, 2 * len(self._open))
            found = self._open[intent.request_id] = _Open(position)
        found.attempts[intent.ordinal] = _Attempt(intent, scope)

    def settled(self, outcome: Outcome) -> tuple[Intent, Scope] | None:
        """The intent of an outcome; `None` where it is not known, or had its outcome already."""
        request = self._open.get(outcome.request_id)
        attempt = request.attempts.get(outcome.ordinal) if request is not None else None
        if attempt is None or attempt.outcome is not None:
            return None
        attempt.outcome = outcome
        return attempt.intent, attempt.scope

    def done(self, request_id: str) -> None:
        """The record of a request has come: it has no more attempts."""
        self._open.pop(request_id, None)

    def low(self, position: Position) -> Position:
        """Where the oldest open request begins, or `position` where none is open."""
        for first in self._open.values():  # in the order they were read
            return min(first.position, position)
        return position

    def take_all(self) -> list[tuple[str, list[_Attempt]]]:
        """All that are open, which are then forgotten."""
        taken = [(request_id, list(one.attempts.values())) for request_id, one in self._open.items()]
        self._open.clear()
        return taken

    def _drop_settled(self) -> None:
        """Requests whose record was dropped for want of room in the journal."""
        self._open = {
            name: one
            for name, one in self._open.items()
            if any(attempt.outcome is None for attempt in one.attempts.values())
        }


class _Tally(Struct):
    """Sums over attempts of one scope in the same windows, which hold from `since` until `until`. `sums` are in the
    order of `USAGE_SUMS`; tokens count apart, since those of a lost attempt were reserved and not used."""

    epoch: int
    scope: Scope
    is_booked: bool
    since: int
    until: int
    hour: int
    windows: tuple[tuple[int, int], ...]  # of the scope's counters
    sums: list[int]
    tokens: int = 0
    firsts: int = 0

    def amount(self, ref: CounterRef) -> int:
        """What all these attempts together count in a counter."""
        if ref.metric == _USD:
            return self.sums[6]
        if ref.metric == _TOKENS:
            return self.tokens
        return self.sums[0] if ref.counts_attempts else self.firsts


class Accounting:
    """Gathers one batch."""

    def __init__(self) -> None:
        self.records = 0
        self._journals: dict[str, JournalState] = {}
        self._tallies: list[_Tally] = []
        self._latest: dict[tuple[int, int, bool], _Tally] = {}
        self._tags: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._requests: list[RequestRow] = []
        self._unsettled: list[Row] = []

    def add(
        self,
        epoch: int,
        records: Iterable[tuple[Position, Record]],
        scopes: dict[int, Scope],
        requests: OpenRequests,
        booked: Position,
    ) -> None:
        """Take records in. What begins before `booked` was told to the lease book before."""
        for position, record in records:
            self.records += 1
            kind = type(record)
            if kind is Intent:
                assert isinstance(record, Intent)
                scope = scopes.get(record.scope)
                if scope is not None:
                    requests.begun(position, record, scope)
            elif kind is Outcome:
                assert isinstance(record, Outcome)
                self._settle(epoch, record, requests, is_booked=position < booked)
            elif kind is RequestDone:
                assert isinstance(record, RequestDone)
                self._request(record.record, requests)
            elif kind is Scope:
                assert isinstance(record, Scope)
                scopes[record.number] = record

    def abandon(self, epoch: int, requests: OpenRequests) -> None:
        """A worker died: attempts without an outcome are charged at what was reserved, and their requests get a record
        of what is known."""
        for request_id, attempts in requests.take_all():
            for attempt in attempts:
                if attempt.outcome is None:
                    self._charge_reserved(epoch, attempt.intent, attempt.scope)
            self._write(_record_of(request_id, attempts))

    def read_to(self, name: str, state: JournalState) -> None:
        """How far a journal was read for this batch."""
        self._journals[name] = state

    def charged(self) -> list[Charged]:
        """What the lease book is to be told once the batch is committed."""
        sums: dict[tuple[int, str, int], int] = defaultdict(int)
        for tally in self._tallies:
            if not tally.is_booked:
                for ref, (start, _) in zip(tally.scope.counters, tally.windows, strict=True):
                    sums[tally.epoch, ref.counter, start] += tally.amount(ref)
        return [Charged(*key, amount) for key, amount in sums.items()]

    def batch(self) -> Batch:
        """What is to be written."""
        return Batch(self._journals, self._counters(), self._usage(), self._tag_rows(), self._requests, self._unsettled)

    def _counters(self) -> list[Row]:
        sums: dict[tuple[str, int, int], list[int]] = {}  # end, amount
        for tally in self._tallies:
            for ref, (start, end) in zip(tally.scope.counters, tally.windows, strict=True):
                sums.setdefault((ref.counter, start, tally.epoch), [end, 0])[1] += tally.amount(ref)
        return [
            {"counter": counter, "window_start": start, "epoch": epoch, "window_end": end, "posted": posted}
            for (counter, start, epoch), (end, posted) in sums.items()
        ]

    def _usage(self) -> list[Row]:
        usage: dict[tuple[str | int, ...], list[int]] = {}
        for tally in self._tallies:
            scope = tally.scope
            owners = (scope.virtual_key or "", scope.team or "", scope.customer or "")
            key = (tally.hour, *owners, scope.provider, scope.model, scope.variant or "")
            found = usage.get(key)
            usage[key] = tally.sums if found is None else list(map(add, found, tally.sums))
        return [dict(zip((*USAGE_KEYS, *USAGE_SUMS), (*key, *sums), strict=True)) for key, sums in usage.items()]

    def _tag_rows(self) -> list[Row]:
        names = ("hour", "tag", "requests", "tokens_in", "tokens_out", "nano")
        return [dict(zip(names, (*key, *sums), strict=True)) for key, sums in self._tags.items()]

    def _charge_reserved(self, epoch: int, intent: Intent, scope: Scope) -> None:
        tally = self._tally(epoch, scope, intent.at, is_booked=False)
        sums = tally.sums
        sums[0] += 1
        sums[1] += 1
        sums[6] += intent.nano
        sums[7] += intent.nano
        tally.tokens += intent.tokens
        tally.firsts += intent.ordinal == 1
        self._unsettled.append(
            {
                "attempt_id": attempt_id(intent.request_id, intent.ordinal),
                "at": intent.at,
                "virtual_key": scope.virtual_key or "",
                "provider": scope.provider,
                "model": scope.model,
                "nano": intent.nano,
                "tokens": intent.tokens,
            }
        )

    def _settle(self, epoch: int, outcome: Outcome, requests: OpenRequests, *, is_booked: bool) -> None:
        found = requests.settled(outcome)
        if found is None:
            return
        intent, scope = found
        tally = self._tally(epoch, scope, intent.at, is_booked=is_booked)
        sums = tally.sums
        sums[0] += 1
        if outcome.outcome != "ok":
            sums[1] += 1
        sums[2] += outcome.tokens_in
        sums[3] += outcome.tokens_out
        sums[4] += outcome.tokens_cached
        sums[5] += outcome.tokens_reasoning
        sums[6] += outcome.nano
        if not outcome.is_priced:
            sums[8] += 1
        tally.tokens += outcome.tokens_counted
        if outcome.ordinal == 1:
            tally.firsts += 1

    def _tally(self, epoch: int, scope: Scope, at: float, *, is_booked: bool) -> _Tally:
        """Where attempts of a scope at a moment are summed up."""
        key = (epoch, scope.number, is_booked)
        found = self._latest.get(key)
        if found is not None and found.since <= at < found.until and found.scope is scope:
            return found
        hour = int(at // HOUR_S) * HOUR_S
        windows = tuple(_window(ref, at) for ref in scope.counters)
        since = max((hour, *(start for start, _ in windows)))
        until = min((hour + HOUR_S, *(end for _, end in windows)))
        made = _Tally(epoch, scope, is_booked, since, until, hour, windows, [0] * len(USAGE_SUMS))
        self._tallies.append(made)
        self._latest[key] = made
        return made

    def _request(self, line: bytes, requests: OpenRequests) -> None:
        try:
            request_id = self._write(line)
        except msgspec.DecodeError:
            return
        requests.done(request_id)

    def _write(self, line: bytes) -> str:
        request = _REQUEST_DECODER.decode(line)
        self._requests.append(
            RequestRow(
                request.request_id,
                request.time,
                request.virtual_key or "",
                request.model or "",
                request.provider or "",
                request.status,
                request.cost_nano,
                line,
            )
        )
        if request.tags:
            hour = int(request.time // HOUR_S) * HOUR_S
            for name, value in request.tags.items():
                sums = self._tags[hour, f"{name}={value}"]
                sums[0] += 1
                sums[1] += request.tokens_in or 0
                sums[2] += request.tokens_out or 0
                sums[3] += request.cost_nano
        return request.request_id


def _record_of(request_id: str, attempts: list[_Attempt]) -> bytes:
    """The record of a request whose worker died, in the form of the request log."""
    first, last = attempts[0], attempts[-1]
    told = [
        {
            "provider": one.scope.provider,
            "model": one.scope.model,
            "key": None,
            "outcome": one.outcome.outcome if one.outcome is not None else WORKER_DIED,
            "start_us": 0,
            "duration_us": int((one.outcome.at - one.intent.at) * 1e6) if one.outcome is not None else 0,
            "cost_nano": one.outcome.nano if one.outcome is not None else one.intent.nano,
            "usage_source": one.outcome.source if one.outcome is not None else "reserved",
            "tokens_in": one.outcome.tokens_in if one.outcome is not None else 0,
            "tokens_out": one.outcome.tokens_out if one.outcome is not None else 0,
        }
        for one in attempts
    ]
    return msgspec.json.encode(
        {
            "event": "request",
            "time": first.intent.at,
            "request_id": request_id,
            "method": "POST",
            "path": "",
            "status": 0,
            "code": WORKER_DIED,
            "message": "the worker died; attempts without an outcome are charged at what they had reserved",
            "virtual_key": first.scope.virtual_key,
            "team": first.scope.team,
            "customer": first.scope.customer,
            "provider": last.scope.provider,
            "upstream_model": last.scope.model,
            "attempts": told,
            "cost_nano": sum(one.outcome.nano if one.outcome is not None else one.intent.nano for one in attempts),
        }
    )


_PERIODS: dict[tuple[str, int, str], Period] = {}
_LAST: dict[tuple[str, int, str], tuple[int, int]] = {}  # the window that was asked for last, of each period


def _window(ref: CounterRef, at: float) -> tuple[int, int]:
    key = (ref.unit, ref.count, ref.zone)
    last = _LAST.get(key)
    if last is not None and last[0] <= at < last[1]:
        return last
    period = _PERIODS.get(key)
    if period is None:
        period = _PERIODS[key] = Period(ref.unit, ref.count, ZoneInfo(ref.zone) if ref.zone else None)
    last = _LAST[key] = period.window(at)
    return last
