"""Observes the gateway: the rows of all subjects at one time."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

import msgspec
from msgspec import Struct

from pointsman.admin.alerts.limit_facts import limit_facts
from pointsman.admin.alerts.readings import Readings, reading, used_part
from pointsman.admin.health_rows import merged_rows
from pointsman.admin.metrics import WorkerPages
from pointsman.admin.pages import WORKERS_S
from pointsman.alerting.subjects import SUBJECTS
from pointsman.alerting.subjects.gateway import GatewayFacts
from pointsman.alerting.subjects.state import StateFacts
from pointsman.alerting.subjects.virtual_key import VirtualKeyFacts
from pointsman.control.inquiries.alerts import AlertSettings, ExpiringKey, ExpiringKeys, ExpiringKeysInquiry
from pointsman.control.inquiries.limits import ChangedLimitInquiry, ChangedLimits, LimitState
from pointsman.control.inquiries.pages import PageInquiry, WorkerPage
from pointsman.control.inquiries.state import ControlState, StateInquiry
from pointsman.link.inquirer import AwayError, Inquirer
from pointsman.telemetry.metrics import HealthRow, MetricsPage, decode_page

PAGES_S = 2.0  # between two readings of the metrics of workers
AWAY_S = 3.0  # without an answer of control, until it counts as away
KEYS_S = 10.0  # between two readings of the keys made by API
DAY_S = 86_400.0
SOONEST_S, LATEST_S = -7 * DAY_S, 366 * DAY_S  # the expiry of a key made by API that alerts may be about


class Observation(Struct):
    """The rows of each subject, for each span of rates in seconds. The subjects in `whole` have a row for each thing;
    the rows of others leave out things that have not changed, or that are unknown now."""

    rows: Mapping[tuple[str, float], Sequence[Struct]]
    whole: frozenset[str]


class Observer:
    """Observes the subjects that the rules of some settings are about."""

    def __init__(self, control: Inquirer, settings: AlertSettings) -> None:
        self._control = control
        self._settings = settings
        self._subjects = {check.each for rule in settings.rules for check in rule.checks}
        self._spans = {rule.over_s: Readings(rule.over_s) for rule in settings.rules}
        self._least_percent = _least_percent(settings)
        self._mark = ""
        self._needs_pages = any(SUBJECTS[name].needs_pages for name in self._subjects)
        self._pages = WorkerPages()
        self._pages_at = self._answered_at = monotonic() - PAGES_S
        self._health: list[list[HealthRow]] = []  # by worker
        self._all_answered = False
        self._made: list[ExpiringKey] | None = None  # the keys made by API; `None` if they are unknown
        self._made_at = monotonic() - KEYS_S

    async def observe(self, now: float) -> Observation:
        """Return the rows at `now`, in Unix seconds. Without control, only the gateway has a row."""
        try:
            (state,) = await self._control.ask(StateInquiry(), ControlState, AWAY_S)
            limits = await self._limits() if "limit" in self._subjects else []
            if "virtual_key" in self._subjects and monotonic() - self._made_at >= KEYS_S:
                await self._read_keys(now)
            if self._needs_pages and monotonic() - self._pages_at >= PAGES_S:
                await self._read_pages(state)
        except AwayError:
            self._mark = ""  # the lost answer may have had changes
            if monotonic() - self._answered_at < AWAY_S:
                return Observation({}, frozenset())
            gone: Mapping[tuple[str, float], Sequence[Struct]] = {
                ("gateway", over_s): [GatewayFacts(control_is_up=False)] for over_s in self._spans
            }
            return Observation(gone, frozenset())
        self._answered_at = monotonic()
        return self._observation(state, limits, now)

    def _observation(self, state: ControlState, limits: Iterable[LimitState], now: float) -> Observation:
        shared: dict[str, Sequence[Struct]] = {
            "limit": [found for one in limits if (found := limit_facts(one, now)) is not None],
            "virtual_key": [
                VirtualKeyFacts(
                    virtual_key=one.name,
                    team=one.team,
                    customer=one.customer,
                    expires_at=int(one.expires_at),
                    expires_in_days=(one.expires_at - now) / DAY_S,
                )
                for one in (*self._settings.keys, *(self._made or ()))
            ],
            "state": [
                StateFacts(
                    provider=one.provider,
                    model=one.model,
                    operation=one.operation,
                    key=one.key,
                    state=one.state,
                    reason=one.reason,
                    workers=one.workers.get(one.state, 0),
                )
                for one in merged_rows(self._health)
            ],
        }
        rows: dict[tuple[str, float], Sequence[Struct]] = {}
        whole = {"gateway"} if self._made is None else {"virtual_key", "gateway"}
        for over_s, readings in self._spans.items():
            span = readings.span()
            rows |= {(name, over_s): found for name, found in shared.items()}
            rows["gateway", over_s] = [_gateway_facts(state, self._settings, readings, now)]
            rows["target", over_s] = span.targets() if span is not None else []
        if self._all_answered:
            whole |= {"state", "target"}
        return Observation(rows, frozenset(whole))

    async def _limits(self) -> list[LimitState]:
        inquiry = ChangedLimitInquiry(self._mark, self._least_percent)
        found = await self._control.ask(inquiry, ChangedLimits)
        self._mark = found[0].mark
        return [state for one in found for state in one.states]

    async def _read_keys(self, now: float) -> None:
        found = await self._control.ask(ExpiringKeysInquiry(now + SOONEST_S, now + LATEST_S), ExpiringKeys)
        self._made = found[0].keys if found else None
        self._made_at = monotonic()

    async def _read_pages(self, state: ControlState) -> None:
        found = await self._control.ask(PageInquiry(WORKERS_S), WorkerPage)
        alive = [worker.epoch for worker in state.workers]
        self._pages_at = monotonic()
        page, health, epochs = await asyncio.to_thread(self._merged, found, alive)
        self._health = health
        self._all_answered = set(alive) <= epochs
        one = reading(page, self._pages_at)
        for readings in self._spans.values():
            readings.add(one)

    def _merged(
        self, found: Iterable[WorkerPage], alive: Iterable[int]
    ) -> tuple[MetricsPage, list[list[HealthRow]], set[int]]:
        """Return the sums of all workers, the health that each sees, and the workers that answered."""
        pages: dict[int, MetricsPage] = {}
        health: list[list[HealthRow]] = []
        for one in found:
            with suppress(msgspec.DecodeError):  # of another version, which drains
                page = decode_page(one.page)
                health.append(page.health)
                pages[one.epoch] = used_part(page)
        return self._pages.take(pages, alive), health, {one.epoch for one in found}


def _gateway_facts(state: ControlState, settings: AlertSettings, readings: Readings, now: float) -> GatewayFacts:
    known = GatewayFacts(
        control_is_up=True,
        store_is_up=state.store == "ok",
        config_is_rejected=bool(state.config_refused),
        ingestion_lag_s=state.caught_up_s,
        backlog_bytes=state.backlog_bytes,
        damaged_places=state.journal_damage,
        quarantined_records=state.refused_records,
        workers=len(state.workers),
        catalog_age_days=_age_days(settings.catalog_date, now),
    )
    span = readings.span()
    if span is None:
        return known
    before, latest, seconds = span.before, span.now, span.seconds
    requests = max(0, latest.requests - before.requests)
    durations = latest.duration.since(before.duration)
    return msgspec.structs.replace(
        known,
        suspecting_workers=latest.suspecting,
        requests=requests,
        requests_per_s=requests / seconds,
        error_rate=max(0, latest.failed - before.failed) / requests if requests else 0.0,
        requests_in_progress=latest.in_progress,
        duration_p50_s=durations.quantile(0.5),
        duration_p95_s=durations.quantile(0.95),
        duration_p99_s=durations.quantile(0.99),
        own_p99_s=latest.own.since(before.own).quantile(0.99),
        tokens_per_s=sum(one.tokens_per_s for one in span.targets()),
        usd_per_h=sum(one.usd_per_h for one in span.targets()),
    )


def _age_days(date: str, now: float) -> float | None:
    if not date:
        return None
    return (now - datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) / DAY_S


def _least_percent(settings: AlertSettings) -> float:
    """Return the least used percentage of a limit that some rule can match."""
    found = [check.least_percent for rule in settings.rules for check in rule.checks if check.each == "limit"]
    return min(found, default=100.0)
