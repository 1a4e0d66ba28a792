"""From records of a journal to what a transaction of the store writes. No I/O."""

from collections import defaultdict
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pointsman.control.store.store import Batch, JournalState, Row
from pointsman.domain.limits import Period
from pointsman.journal.reader import Position
from pointsman.journal.records import CounterRef, Intent, Outcome, Record, RequestDone, Scope, amount, attempt_id

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
_USAGE_COLUMNS = (
    "attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "nano", "unsettled_nano",
    "unpriced",
)  # fmt: skip


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

    def __len__(self) -> int:
        return len(self._open)

    def begun(self, position: Position, intent: Intent, scope: Scope) -> None:
        found = self._open.get(intent.request_id)
        if found is None:
            found = self._open[intent.request_id] = _Open(position)
            if len(self._open) > MAX_OPEN:
                self._drop_settled()
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


class Accounting:
    """Gathers one batch."""

    def __init__(self) -> None:
        self.records = 0
        self.charged: list[Charged] = []
        self._journals: dict[str, JournalState] = {}
        self._counters: dict[tuple[str, int, int], list[int]] = {}  # end, amount
        self._usage: dict[tuple[int, int, int], tuple[Scope, list[int]]] = {}
        self._tags: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._requests: dict[str, Row] = {}
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

    def _charge_reserved(self, epoch: int, intent: Intent, scope: Scope) -> None:
        self._charge(epoch, scope, intent, intent.nano, intent.tokens, is_booked=False)
        sums = self._sums(intent.at, epoch, scope)
        sums[0] += 1
        sums[1] += 1
        sums[6] += intent.nano
        sums[7] += intent.nano
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

    def read_to(self, name: str, state: JournalState) -> None:
        """How far a journal was read for this batch."""
        self._journals[name] = state

    def batch(self) -> Batch:
        """What is to be written."""
        usage: dict[tuple[str | int, ...], list[int]] = {}
        for (hour, _, _), (scope, sums) in self._usage.items():
            key = (
                hour, scope.virtual_key or "", scope.team or "", scope.customer or "", scope.provider, scope.model,
                scope.variant or "",
            )  # fmt: skip
            found = usage.get(key)
            usage[key] = sums if found is None else [one + other for one, other in zip(found, sums, strict=True)]
        names = ("hour", "virtual_key", "team", "customer", "provider", "model", "variant", *_USAGE_COLUMNS)
        return Batch(
            self._journals,
            [
                {"counter": counter, "window_start": start, "epoch": epoch, "window_end": end, "posted": posted}
                for (counter, start, epoch), (end, posted) in self._counters.items()
            ],
            [dict(zip(names, (*key, *sums), strict=True)) for key, sums in usage.items()],
            [
                {
                    "hour": hour,
                    "tag": tag,
                    "requests": sums[0],
                    "tokens_in": sums[1],
                    "tokens_out": sums[2],
                    "nano": sums[3],
                }
                for (hour, tag), sums in self._tags.items()
            ],
            list(self._requests.values()),
            self._unsettled,
        )

    def _settle(self, epoch: int, outcome: Outcome, requests: OpenRequests, *, is_booked: bool) -> None:
        found = requests.settled(outcome)
        if found is None:
            return
        intent, scope = found
        self._charge(epoch, scope, intent, outcome.nano, outcome.tokens_counted, is_booked=is_booked)
        sums = self._sums(intent.at, epoch, scope)
        sums[0] += 1
        sums[1] += outcome.outcome != "ok"
        sums[2] += outcome.tokens_in
        sums[3] += outcome.tokens_out
        sums[4] += outcome.tokens_cached
        sums[5] += outcome.tokens_reasoning
        sums[6] += outcome.nano
        sums[8] += not outcome.is_priced

    def _charge(self, epoch: int, scope: Scope, intent: Intent, nano: int, tokens: int, *, is_booked: bool) -> None:
        for ref in scope.counters:
            counted = amount(ref, intent.ordinal, nano, tokens)
            start, end = _window(ref, intent.at)
            found = self._counters.get((ref.counter, start, epoch))
            if found is None:
                self._counters[ref.counter, start, epoch] = [end, counted]
            else:
                found[1] += counted
            if not is_booked:
                self.charged.append(Charged(epoch, ref.counter, start, counted))

    def _sums(self, at: float, epoch: int, scope: Scope) -> list[int]:
        key = (int(at // HOUR_S) * HOUR_S, epoch, scope.number)
        found = self._usage.get(key)
        if found is None:
            found = self._usage[key] = (scope, [0] * len(_USAGE_COLUMNS))
        return found[1]

    def _request(self, line: bytes, requests: OpenRequests) -> None:
        try:
            request_id = self._write(line)
        except msgspec.DecodeError:
            return
        requests.done(request_id)

    def _write(self, line: bytes) -> str:
        request = _REQUEST_DECODER.decode(line)
        self._requests[request.request_id] = {
            "request_id": request.request_id,
            "at": request.time,
            "virtual_key": request.virtual_key or "",
            "model": request.model or "",
            "provider": request.provider or "",
            "status": request.status,
            "nano": request.cost_nano,
            "record": line,
        }
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
