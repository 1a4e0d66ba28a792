"""Evaluates the rules of alerts, records changes in the store, and posts messages about them.

An alert is in the store before its message is sent. So a restart neither repeats nor loses one: a budget's threshold
fires once in a window, because its alert has the same id each time. If the store is away, an alert about the gateway
itself is sent at once, and recorded later under the same ids.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from time import time
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.admin.alerts.deliveries import Deliveries
from pointsman.admin.alerts.observer import Observation, Observer
from pointsman.alerting.api import Alert, AlertRule
from pointsman.alerting.messages import message_of, messages_about
from pointsman.alerting.tracker import MAX_ALERTS, CheckId, CheckResult, Tracker, checks_of
from pointsman.control.inquiries.alerts import AlertInquiry, AlertOutcome, AlertSettings, EndAlertMessage, RecordAlerts
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import StoreError
from pointsman.link.inquirer import AwayError, Inquirer
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Labels, MetricsPage, counter, counter_family, gauge

if TYPE_CHECKING:
    from pointsman.alerting.conditions import CompiledCheck

TICK_S = 1.0
IDLE_S = 2.0  # between two inquiries for settings without rules
COOLDOWN_S = 86_400.0  # the longest cooldown
MAX_UNRECORDED = 1000  # changes that wait for the store

_logger = logging.getLogger("pointsman")


class _EvaluatedCheck(Struct):
    """A check that is evaluated, over the rows of a subject and a span."""

    id: CheckId
    compiled: "CompiledCheck"
    over_s: float


class _UnrecordedChange(Struct):
    """A change that is not in the store yet."""

    record: RecordAlerts
    is_posted: bool = False


class AlertRunner:
    """The alerts of the present configuration."""

    def __init__(self, control: Inquirer, store: AlertQueries) -> None:
        self._control = control
        self._store = store
        self.deliveries = Deliveries(store, self._note)
        self.settings = AlertSettings(digest="")
        self.rules: dict[str, AlertRule] = {}
        self.problem = ""  # the reason why alerts cannot be evaluated or recorded
        self._tracker = Tracker(())
        self._watched: list[_EvaluatedCheck] = []
        self._observer = Observer(control, self.settings)
        self._is_restored = False  # the tracker has the alerts in the store
        self._unrecorded: deque[_UnrecordedChange] = deque()
        self._fired: dict[str, int] = {}  # alerts by rule

    async def run(self) -> None:
        """Evaluate until it is cancelled."""
        try:
            while True:
                try:
                    await self._configure()
                    if self._watched or self._tracker.firing or not self._is_restored:
                        await self.step(time())
                except Exception as error:  # nobody else would evaluate alerts
                    if not self.problem:
                        _logger.exception("alerts cannot be evaluated; trying again")
                    self.problem = f"alerts cannot be evaluated: {error}"
                    await asyncio.sleep(IDLE_S)
                await asyncio.sleep(TICK_S if self._watched else IDLE_S)
        finally:
            await self.deliveries.close()

    async def step(self, now: float) -> None:
        """Evaluate once. `now` is in Unix seconds."""
        if not self.settings.digest:  # control has not answered yet
            return
        await self._restore(now)
        seen = await self._observer.observe(now)
        results, whole = self._evaluate(seen)
        fired, ended = self._tracker.step(results, whole, now)
        if fired or ended:
            messages = [
                *messages_about("fired", fired, self.rules, now),
                *messages_about("ended", ended, self.rules, now),
            ]
            for one in fired:
                self._fired[one.rule] = self._fired.get(one.rule, 0) + 1
            self._unrecorded.append(_UnrecordedChange(RecordAlerts(fired, ended, messages, self.settings.keep_days)))
        await self._record()

    def problems(self) -> dict[str, str]:
        """Return the reasons why alerts or messages do not work, for `/readyz`."""
        found = {f"alerts_{one.channel}": one.problem for one in self.deliveries.statuses.values() if one.problem}
        return found | ({"alerts": self.problem} if self.problem else {})

    def firing(self) -> list[Alert]:
        """Return the alerts that fire, the newest first."""
        return sorted(self._tracker.firing.values(), key=lambda one: -one.fired_at)

    async def test(self, rule: AlertRule, now: float) -> dict[str, str]:
        """Send a message about an alert that does not exist to the channels of a rule. Return the problem of each, an
        empty text if it accepted the message."""
        alert = Alert(
            id=f"test-{now}",
            key="test",
            rule=rule.name,
            severity=rule.severity,
            text=f"a test of the rule {rule.name}",
            labels=rule.labels,
            facts={},
            fired_at=now,
        )
        messages = [message_of(channel, "test", [alert], now) for channel in rule.channels]
        problems = await asyncio.gather(*map(self.deliveries.send_now, messages))
        return dict(zip(rule.channels, problems, strict=True))

    def metrics(self) -> MetricsPage:
        """Return metrics of alerts and their channels."""
        return MetricsPage(list(self._counters()), [], list(self._gauges()))

    async def _configure(self) -> None:
        """Take new settings. The alerts of rules that remain go on."""
        try:
            found = await self._control.ask(AlertInquiry(self.settings.digest), AlertSettings)
        except AwayError:
            return
        if not found:
            return
        settings = found[0]
        await self.deliveries.configure(settings.channels)
        self._watched = _watched(settings.rules)
        self.settings, self.rules = settings, {rule.name: rule for rule in settings.rules}
        self._tracker = Tracker(settings.rules, self._tracker.firing.values())
        self._observer = Observer(self._control, settings)
        self._is_restored = False

    async def _restore(self, now: float) -> None:
        """Take the alerts in the store. Until they are known, only the gateway itself is observed."""
        if self._is_restored:
            return
        try:
            known = await self._store.firing(MAX_ALERTS, now - COOLDOWN_S)
        except StoreError:
            return
        keys = {one.key for one in known}
        new = [one for key, one in self._tracker.firing.items() if key not in keys]
        self._tracker = Tracker(self.settings.rules, [*known, *new])
        self._is_restored = True

    def _evaluate(self, seen: Observation) -> tuple[list[CheckResult], set[CheckId]]:
        results: list[CheckResult] = []
        whole: set[CheckId] = set()
        for one in self._watched:
            each = one.compiled.check.each
            if not self._is_restored and each != "gateway":
                continue
            rows = seen.rows.get((each, one.over_s), ())
            results += [CheckResult(one.id, row, one.compiled.holds(row)) for row in rows]
            if each in seen.whole:
                whole.add(one.id)
        return results, whole

    async def _record(self) -> None:
        """Record changes in their order, and post their messages."""
        while self._unrecorded:
            change = self._unrecorded[0]
            try:
                (outcome,) = await self._control.ask(change.record, AlertOutcome)
            except AwayError as error:
                outcome = AlertOutcome(problem=str(error))
            if outcome.problem is not None:
                self._fail(outcome.problem)
                return
            self._unrecorded.popleft()
            self.deliveries.post(outcome.messages)
        if self.problem:
            _logger.info("alerts are recorded again")
            self.problem = ""

    def _fail(self, problem: str) -> None:
        """Post messages without a record, as far as they may be sent twice after a restart."""
        if not self.problem:
            _logger.warning("alerts cannot be recorded: %s; retrying", problem)
        self.problem = f"alerts cannot be recorded: {problem}"
        for change in self._unrecorded:
            if not change.is_posted:
                change.is_posted = True
                self.deliveries.post(one for one in change.record.messages if all(map(_is_repeatable, one.alerts)))
        if len(self._unrecorded) > MAX_UNRECORDED:  # they fire anew once the store works, if they still hold
            self._unrecorded.clear()
            self._tracker, self._is_restored = Tracker(self.settings.rules), False

    async def _note(self, end: EndAlertMessage) -> bool:
        try:
            (outcome,) = await self._control.ask(end, AlertOutcome)
        except AwayError:
            return False
        return outcome.problem is None

    def _counters(self) -> Iterator[CounterFamily]:
        fired: dict[Labels, int] = {(rule,): count for rule, count in self._fired.items()}
        yield counter_family("pointsman_alerts_total", "Alerts that fired, by rule.", ("rule",), fired)
        ended: dict[Labels, int] = {
            (one.channel, outcome): getattr(one, outcome)
            for one in self.deliveries.statuses.values()
            for outcome in ("delivered", "rejected", "expired")
        }
        description = "Messages about alerts, by their end: delivered, rejected, or expired after a day."
        yield counter_family("pointsman_alert_messages_total", description, ("channel", "outcome"), ended)
        failures: dict[Labels, int] = {(one.channel,): one.failures for one in self.deliveries.statuses.values()}
        description = "Deliveries of messages about alerts that failed and are repeated."
        yield counter_family("pointsman_alert_failures_total", description, ("channel",), failures)
        yield counter("pointsman_alerts_dropped_total", "Alerts beyond the most that may fire.", self._tracker.dropped)

    def _gauges(self) -> Iterator[GaugeFamily]:
        firing: dict[Labels, float] = {(name, rule.severity): 0 for name, rule in self.rules.items()}
        for one in self._tracker.firing.values():
            firing[one.rule, one.severity] = firing.get((one.rule, one.severity), 0) + 1
        yield gauge("pointsman_alerts_firing", "Alerts that fire.", firing.items(), ("rule", "severity"))
        yield gauge(
            "pointsman_alert_channel_up",
            "1 if the channel accepts messages about alerts, else 0.",
            [((one.channel,), int(not one.problem)) for one in self.deliveries.statuses.values()],
            ("channel",),
        )


def _is_repeatable(alert: Alert) -> bool:
    """Return whether a restart may repeat the messages about an alert: those about limits are sent exactly once."""
    return alert.until is None


def _watched(rules: Iterable[AlertRule]) -> list[_EvaluatedCheck]:
    checks = checks_of(rules)
    if not checks:
        return []
    from pointsman.alerting.conditions import CompiledCheck  # noqa: PLC0415 -- a gateway without alerts needs no CEL

    return [_EvaluatedCheck(id_, CompiledCheck(check), rule.over_s) for id_, (rule, check) in checks.items()]
