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


class OpenIntents:
    """The intents of one journal that have no outcome yet, with where they are and who pays."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Position, Intent, Scope]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, position: Position, intent: Intent, scope: Scope) -> None:
        self._open[attempt_id(intent.request_id, intent.ordinal)] = (position, intent, scope)

    def closed(self, outcome: Outcome) -> tuple[Intent, Scope] | None:
        """The intent of an outcome; `None` where it is not known, or had its outcome already."""
        found = self._open.pop(attempt_id(outcome.request_id, outcome.ordinal), None)
        return (found[1], found[2]) if found is not None else None

    def low(self, position: Position) -> Position:
        """Where the oldest open intent begins, or `position` where none is open."""
        for first in self._open.values():  # in the order they were read
            return min(first[0], position)
        return position

    def take_all(self) -> list[tuple[Intent, Scope]]:
        """All that are open, which are then forgotten."""
        taken = [(intent, scope) for _, intent, scope in self._open.values()]
        self._open.clear()
        return taken


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
        intents: OpenIntents,
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
                    intents.opened(position, record, scope)
            elif kind is Outcome:
                assert isinstance(record, Outcome)
                self._settle(epoch, record, intents, is_booked=position < booked)
            elif kind is RequestDone:
                assert isinstance(record, RequestDone)
                self._request(record.record)
            elif kind is Scope:
                assert isinstance(record, Scope)
                scopes[record.number] = record

    def abandon(self, epoch: int, intents: OpenIntents) -> None:
        """A worker died: what it had begun is charged at what was reserved."""
        for intent, scope in intents.take_all():
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

    def _settle(self, epoch: int, outcome: Outcome, intents: OpenIntents, *, is_booked: bool) -> None:
        found = intents.closed(outcome)
        if found is None:
            return
        intent, scope = found
        self._charge(epoch, scope, intent, outcome.nano, outcome.tokens_in + outcome.tokens_out, is_booked=is_booked)
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

    def _request(self, line: bytes) -> None:
        try:
            request = _REQUEST_DECODER.decode(line)
        except msgspec.DecodeError:
            return
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
