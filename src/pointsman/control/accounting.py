"""Turns the records of a journal into the rows that one transaction of the store writes. No I/O."""

import json
from functools import cache
from operator import add
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pointsman.control.store.reconcile import OPEN
from pointsman.control.store.request_log import RequestRow, request_row
from pointsman.control.store.request_tally import RequestTally
from pointsman.control.store.store import Batch, JournalState
from pointsman.control.store.tables import HOUR_S, USAGE_KEYS, USAGE_SUMS, Row
from pointsman.control.variants import Splits, SplitTally
from pointsman.domain import failures
from pointsman.domain.limits import Period
from pointsman.domain.records import AttemptRecord, Feedback, RequestRecord
from pointsman.domain.state import MADE, Change, Record, owner_of
from pointsman.journal.reader import Chunk, Position
from pointsman.journal.records import BatchRecord, ChargeScope, Intent, Outcome, RequestDone, StateRecord, attempt_id

MAX_OPEN = 200_000
MAX_SPANS = 20_000  # each configuration brings scopes with new numbers, and nothing marks the end of old ones
WORKER_DIED = "worker_died"
NO_SPLITS: Splits = {}


_RECORD_DECODER = msgspec.json.Decoder(RequestRecord)
# Errors of unusable records, such as an impossible time, an unknown zone or unit, or a line that is not JSON.
_UNUSABLE = (ValueError, ArithmeticError, LookupError, msgspec.DecodeError)
_NANO, _RESERVED, _UNPRICED = map(USAGE_SUMS.index, ("nano", "reserved_nano", "unpriced"))
_ESTIMATED, _HELD = map(USAGE_SUMS.index, ("estimated_nano", "held_nano"))
# Older journals use the last one.
_UNREPORTED = frozenset({"estimated", "reserved", "batch", "counted"})


class OpenAttempt(Struct, gc=False):
    """An attempt of an open request. `position` is that of its intent; `outcome` is `None` until it arrives."""

    position: Position
    intent: Intent
    scope: ChargeScope
    outcome: Outcome | None = None


class WindowSpan(Struct, gc=False):
    """The windows of a scope's counters that hold from `since` until `until`, and the hour they are in."""

    scope: ChargeScope
    since: int
    until: int
    hour: int
    windows: tuple[tuple[int, int], ...]


class OpenRequests:
    """The requests of one journal without a record so far, with their attempts, and the latest windows of each
    scope."""

    def __init__(self) -> None:
        self._open: dict[str, list[OpenAttempt]] = {}
        self._drop_at = MAX_OPEN
        self._spans: dict[int, WindowSpan] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begun(self, position: Position, intent: Intent, scope: ChargeScope) -> None:
        attempt = OpenAttempt(position, intent, scope)
        found = self._open.get(intent.request_id)
        if found is not None:
            found.append(attempt)
            return
        if len(self._open) >= self._drop_at:
            self._drop_settled()
            self._drop_at = max(MAX_OPEN, 2 * len(self._open))
        self._open[intent.request_id] = [attempt]

    def attempt(self, outcome: Outcome) -> OpenAttempt | None:
        """Return the attempt with this outcome."""
        return next((one for one in self._open.get(outcome.request_id, ()) if one.outcome is outcome), None)

    def settled(self, outcome: Outcome) -> OpenAttempt | None:
        """Set and return the attempt of an outcome. Return `None` if it is unknown or already has an outcome."""
        for attempt in self._open.get(outcome.request_id, ()):
            if attempt.outcome is None and attempt.intent.ordinal == outcome.ordinal:
                attempt.outcome = outcome
                return attempt
        return None

    def done(self, request_id: str) -> None:
        """Forget a request whose record has arrived: it has no more attempts."""
        self._open.pop(request_id, None)

    def low(self, position: Position) -> Position:
        """Return the position of the oldest open request, or `position` if none is open."""
        for attempts in self._open.values():  # in the order of reading
            return min(attempts[0].position, position)
        return position

    def span(self, scope: ChargeScope, at: float) -> WindowSpan:
        """Return the windows of a scope at a moment."""
        found = self._spans.get(scope.number)
        if found is not None and found.since <= at < found.until and found.scope is scope:
            return found
        hour = int(at // HOUR_S) * HOUR_S
        if len(self._spans) >= MAX_SPANS:
            self._spans.clear()
        windows = tuple(_period(ref.unit, ref.count, ref.zone).window(at) for ref in scope.counters)
        since = max((hour, *(start for start, _ in windows)))
        until = min((hour + HOUR_S, *(end for _, end in windows)))
        found = self._spans[scope.number] = WindowSpan(scope, since, until, hour, windows)
        return found

    def take_all(self) -> list[tuple[str, list[OpenAttempt]]]:
        """Return all open requests and forget them."""
        taken = list(self._open.items())
        self._open = {}
        return taken

    def _drop_settled(self) -> None:
        """Drop requests whose attempts all have outcomes: the journal had no room for their records."""
        self._open = {
            name: attempts
            for name, attempts in self._open.items()
            if any(attempt.outcome is None for attempt in attempts)
        }


class _Tally(Struct):
    """Sums over attempts of one scope in the same windows. `sums` are in the order of `USAGE_SUMS`. Tokens count apart:
    if no provider reported an attempt's tokens, they were reserved and not used."""

    epoch: int
    span: WindowSpan
    sums: list[int]
    tokens: int = 0
    firsts: int = 0

    def amounts(self) -> list[int]:
        """Return the amount that all these attempts add to each of the scope's counters."""
        by_metric = {"usd": self.sums[_NANO] + self.sums[_HELD], "tokens": self.tokens}
        requests = (self.firsts, self.sums[0])
        return [by_metric.get(ref.metric, requests[ref.counts_attempts]) for ref in self.span.scope.counters]


class Accounting:
    """Gathers one batch. `splits` are the public names whose targets are counted. `problem` describes a record that
    could not be used in full."""

    def __init__(self, splits: Splits = NO_SPLITS) -> None:
        self.splits = splits
        self.records = 0
        self.problem: str | None = None
        self.journals: dict[str, JournalState] = {}
        self._tallies: list[_Tally] = []
        self._latest: dict[tuple[int, int], _Tally] = {}
        self._requests: list[RequestRow] = []
        self._request_tags: list[Row] = []
        self._request_tally = RequestTally()
        self._unsettled: list[Row] = []
        self._state: list[Change] = []
        self._split_tally = SplitTally(splits)
        self._feedback: dict[tuple[str, str], Row] = {}
        self._batches: dict[str, Row] = {}

    def add(self, epoch: int, chunk: Chunk, scopes: dict[int, ChargeScope], requests: OpenRequests) -> None:
        """Add records to the batch."""
        self.records += len(chunk.records)
        segment = chunk.segment
        for offset, record in zip(chunk.offsets, chunk.records, strict=True):
            try:
                if type(record) is Intent:
                    scope = scopes.get(record.scope)
                    if scope is not None:
                        requests.begun(Position(segment, offset), record, scope)
                elif type(record) is Outcome:
                    attempt = requests.settled(record)
                    if attempt is not None:
                        span = requests.span(attempt.scope, attempt.intent.at)
                        _settle(self._tally(epoch, span), record)
                        if record.source in _UNREPORTED:
                            self._unsettled.append(_unsettled(attempt.intent, span, record))
                elif type(record) is RequestDone:
                    requests.done(self._write(record.record))
                elif type(record) is ChargeScope:
                    scopes[record.number] = record
                elif type(record) is StateRecord:
                    self._note_state(record, scopes.get(record.scope))
                elif type(record) is BatchRecord:
                    self._note_batch(record, scopes.get(record.scope))
            except _UNUSABLE as error:
                self._note(error)

    def abandon(self, epoch: int, requests: OpenRequests) -> None:
        """Charge the attempts of a dead worker that have no outcome at the reserved amount. Write a record of the known
        facts for each of their requests."""
        for request_id, attempts in requests.take_all():
            self.abandon_one(epoch, requests, request_id, attempts)

    def abandon_one(self, epoch: int, requests: OpenRequests, request_id: str, attempts: list[OpenAttempt]) -> None:
        """Do the same for one request, which is no longer open."""
        for attempt in attempts:
            try:
                if attempt.outcome is None:
                    self._charge_reserved(epoch, attempt.intent, requests.span(attempt.scope, attempt.intent.at))
            except _UNUSABLE as error:
                self._note(error)
        try:
            self._write(_record_of(request_id, attempts))
        except _UNUSABLE as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        self.problem = f"the record is unusable: {type(error).__name__}: {error}"

    def read_to(self, name: str, state: JournalState) -> None:
        """Note how far a journal was read for this batch."""
        self.journals[name] = state

    def batch(self) -> Batch:
        """Return the batch to write."""
        return Batch(
            journals=self.journals,
            counters=self._counters(),
            usage=self._usage(),
            tags=self._request_tally.tags(),
            requests=self._requests,
            request_tags=self._request_tags,
            minutes=self._request_tally.minutes(),
            sessions=self._request_tally.sessions(),
            agents=self._request_tally.agents(),
            unsettled=self._unsettled,
            state=self._state,
            splits=self._split_tally.rows(),
            feedback=list(self._feedback.values()),
            batches=list(self._batches.values()),
        )

    def _counters(self) -> list[Row]:
        rows: dict[tuple[str, int, int], Row] = {}
        for tally in self._tallies:
            epoch, span = tally.epoch, tally.span
            for ref, (start, end), amount in zip(span.scope.counters, span.windows, tally.amounts(), strict=True):
                key = (ref.counter, start, epoch)
                row = rows.get(key)
                if row is None:
                    values = {"counter": ref.counter, "window_start": start, "epoch": epoch}
                    row = rows[key] = {**values, "window_end": end, "posted": 0}
                row["posted"] += amount
        return list(rows.values())

    def _usage(self) -> list[Row]:
        usage: dict[tuple[str | int, ...], list[int]] = {}
        for tally in self._tallies:
            scope = tally.span.scope
            owners = (scope.virtual_key or "", scope.team or "", scope.customer or "")
            key = (tally.span.hour, *owners, scope.provider, scope.model, scope.variant or "")
            found = usage.get(key)
            usage[key] = tally.sums if found is None else list(map(add, found, tally.sums))
        return [dict(zip((*USAGE_KEYS, *USAGE_SUMS), (*key, *sums), strict=True)) for key, sums in usage.items()]

    def _charge_reserved(self, epoch: int, intent: Intent, span: WindowSpan) -> None:
        tally = self._tally(epoch, span)
        sums = tally.sums
        sums[0] += 1
        sums[1] += 1
        sums[_NANO] += intent.nano
        sums[_RESERVED] += intent.nano
        tally.tokens += intent.tokens
        tally.firsts += intent.ordinal == 1
        self._unsettled.append(_unsettled(intent, span, None))

    def _note_feedback(self, given: Feedback, request: RequestRecord) -> None:
        """Note a score. A later one for the same request replaces it."""
        owner = owner_of(request.virtual_key, request.team)
        before = self._feedback.get((given.request_id, owner))
        if before is None or before["at"] <= request.time:
            values = {"at": request.time, "score": given.score, "comment": given.comment}
            self._feedback[given.request_id, owner] = {"request_id": given.request_id, "owner": owner, **values}

    def _note_state(self, record: StateRecord, scope: ChargeScope | None) -> None:
        """Note changes of objects that a provider stores."""
        if scope is None:
            return
        owner = owner_of(scope.virtual_key, scope.team)
        for how, kind, one in record.changes:
            changed = Record(
                id=one,
                kind=kind,
                provider=scope.provider,
                key=record.key,
                owner=owner,
                at=record.at,
                note=record.note if how == MADE else "",
            )
            self._state.append(Change(how, changed))

    def _note_batch(self, record: BatchRecord, scope: ChargeScope | None) -> None:
        """Note a requested batch, or its result."""
        if scope is None:
            return
        name = attempt_id(record.request_id, record.ordinal)
        self._batches[name] = {
            "attempt_id": name,
            "batch_id": record.batch_id,
            "state": record.state,
            "at": record.at,
            "provider": scope.provider,
            "virtual_key": scope.virtual_key or "",
            "team": scope.team or "",
            "work": record.work,
            "status": "",
            "checked_at": 0.0,
            "due_at": 0.0,
            "problem": "",
        }

    def _tally(self, epoch: int, span: WindowSpan) -> _Tally:
        """Return the sums for attempts of a scope in these windows."""
        key = (epoch, span.scope.number)
        found = self._latest.get(key)
        if found is None or found.span is not span:
            found = self._latest[key] = _Tally(epoch, span, [0] * len(USAGE_SUMS))
            self._tallies.append(found)
        return found

    def _write(self, line: bytes) -> str:
        """Add the record of a request and return its id. Raises `msgspec.DecodeError` for anything else."""
        if b"\\u0000" in line:  # PostgreSQL rejects such text, and one record must not stop all others
            line = line.replace(b"\\u0000", b"\\ufffd")
        request = _RECORD_DECODER.decode(line)
        request_id = request.request_id
        self._requests.append(request_row(request, line))
        self._request_tags += [
            {"request_id": request_id, "tag": f"{name}={value}"} for name, value in request.tags.items()
        ]
        self._request_tally.add(request)
        self._split_tally.add(request)
        if request.feedback is not None:
            self._note_feedback(request.feedback, request)
        return request_id


_ANSWERED = frozenset({"ok"} | {kind.code for kind in failures.REFUSALS})  # an answer, even if it is a refusal


def _settle(tally: _Tally, outcome: Outcome) -> None:
    sums = tally.sums
    sums[0] += 1
    if outcome.outcome not in _ANSWERED:
        sums[1] += 1
    sums[2] += outcome.tokens_in
    sums[3] += outcome.tokens_out
    if outcome.tokens_cached:
        sums[4] += outcome.tokens_cached
    if outcome.tokens_reasoning:
        sums[5] += outcome.tokens_reasoning
    cost = outcome.cost_nano
    sums[_NANO] += cost
    if outcome.source in _UNREPORTED:
        sums[_RESERVED if outcome.source == "reserved" else _ESTIMATED] += cost
        sums[_HELD] += _held(outcome, tally.span)
    if not outcome.is_priced:
        sums[_UNPRICED] += 1
    tally.tokens += outcome.tokens_counted
    if outcome.ordinal == 1:
        tally.firsts += 1


def _held(outcome: Outcome, span: WindowSpan) -> int:
    """Return the amount that budgets hold for an attempt beyond its cost."""
    has_budget = any(ref.metric == "usd" for ref in span.scope.counters)
    return outcome.nano - outcome.cost_nano if has_budget else 0


def _unsettled(intent: Intent, span: WindowSpan, outcome: Outcome | None) -> Row:
    """Return the row of an attempt whose cost no provider reported. Without an outcome, its worker died."""
    scope, counters, until = span.scope, [], int(intent.at)
    for ref, (start, end) in zip(scope.counters, span.windows, strict=True):
        if ref.metric in ("usd", "tokens"):
            counters.append([ref.counter, start, end, ref.metric])
            until = max(until, end)
    nano, tokens, used, held, source = intent.nano, intent.tokens, intent.tokens, 0, "reserved"
    if outcome is not None:
        nano, tokens, held = outcome.cost_nano, outcome.tokens_counted, _held(outcome, span)
        if outcome.source != "reserved":
            used, source = outcome.tokens_in + outcome.tokens_out, "estimated"
        else:
            used = tokens
    return {
        "attempt_id": attempt_id(intent.request_id, intent.ordinal),
        "at": intent.at,
        "virtual_key": scope.virtual_key or "",
        "provider": scope.provider,
        "model": scope.model,
        "nano": nano,
        "tokens": tokens,
        "state": OPEN,
        "source": source,
        "held_nano": held,
        "tokens_used": used,
        "hour": span.hour,
        "team": scope.team or "",
        "customer": scope.customer or "",
        "variant": scope.variant or "",
        "counters": json.dumps(counters),
        "until": until,
        "reconciled_nano": 0,
        "reconciled_at": 0.0,
    }


def _record_of(request_id: str, attempts: list[OpenAttempt]) -> bytes:
    """Return the record of a request whose worker died, in the form that the worker would have written."""
    first, last = attempts[0], attempts[-1]
    record = RequestRecord(time=first.intent.at, request_id=request_id, method="POST", path="", status=0)
    record.code = WORKER_DIED
    record.message = "the worker died; each attempt without an outcome is charged at its reserved amount"
    record.virtual_key, record.team, record.customer = first.scope.virtual_key, first.scope.team, first.scope.customer
    record.provider, record.upstream_model = last.scope.provider, last.scope.model
    record.attempts = tuple(map(_attempt_record, attempts))
    for attempt in record.attempts:
        record.cost_nano += attempt.cost_nano
        if attempt.usage_source == "estimated":
            record.estimated_nano += attempt.cost_nano
        elif attempt.usage_source == "reserved":
            record.reserved_nano += attempt.cost_nano
    return msgspec.json.encode(record)


def _attempt_record(attempt: OpenAttempt) -> AttemptRecord:
    scope, intent, outcome = attempt.scope, attempt.intent, attempt.outcome
    record = AttemptRecord(
        provider=scope.provider, model=scope.model, key=None, outcome=WORKER_DIED, start_us=0, duration_us=0
    )
    if outcome is None:
        record.cost_nano, record.usage_source = intent.nano, "reserved"
        return record
    record.outcome, record.duration_us = outcome.outcome, int((outcome.at - intent.at) * 1e6)
    record.cost_nano, record.usage_source = outcome.cost_nano, outcome.source
    record.tokens_in, record.tokens_out = outcome.tokens_in, outcome.tokens_out
    record.held_nano = outcome.nano - outcome.cost_nano
    return record


@cache  # one for each unit and zone
def _period(unit: str, count: int, zone: str) -> Period:
    return Period(unit, count, ZoneInfo(zone) if zone else None)
