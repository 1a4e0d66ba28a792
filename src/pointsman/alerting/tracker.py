"""The alerts that are firing, and those that wait to fire.

The tracker gets the results of conditions and the time, and returns the alerts that fire and end. It does no I/O. The
store keeps the alerts, so the tracker of another process goes on where this one ended.
"""

import json
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.alerting.api import Alert, AlertRule, Check, values_of
from pointsman.alerting.subjects import SUBJECTS
from pointsman.alerting.texts import described, rounded

MAX_ALERTS = 20_000  # that fire or wait at the same time

CheckId = tuple[str, str]
"""A rule, and the place or the labels of one of its checks."""


class CheckResult(NamedTuple):
    """The result of a check for one row: `holds` is `None` if it is unknown."""

    check: CheckId
    row: Struct
    holds: bool | None


class Changes(NamedTuple):
    """Alerts that have begun or ended."""

    fired: list[Alert]
    ended: list[Alert]


class _Waiting(Struct):
    check: CheckId
    row: Struct
    since: float


def checks_of(rules: Iterable[AlertRule]) -> dict[CheckId, tuple[AlertRule, Check]]:
    """Return all checks of some rules. Labels identify a check that has some, so that others may be added before it."""
    return {
        (rule.name, json.dumps(check.labels, sort_keys=True) if check.labels else str(place)): (rule, check)
        for rule in rules
        for place, check in enumerate(rule.checks)
    }


class Tracker:
    """Tracks alerts of some rules. `known` are those that fire, and recent ones that ended, as the store has them."""

    def __init__(self, rules: Iterable[AlertRule], known: Iterable[Alert] = ()) -> None:
        self._checks = checks_of(rules)
        self._waiting: dict[str, _Waiting] = {}
        self._last_fired: dict[str, float] = {}
        self.firing: dict[str, Alert] = {}
        self.dropped = 0  # alerts beyond `MAX_ALERTS`
        for one in known:
            self._last_fired[one.key] = max(one.fired_at, self._last_fired.get(one.key, 0.0))
            if one.ended_at is None:
                self.firing[one.key] = one

    def step(self, results: Iterable[CheckResult], whole: Collection[CheckId], now: float) -> Changes:
        """Take new results. The checks in `whole` have a result for every row; those of others leave out rows that have
        not changed. `now` is in Unix seconds."""
        seen: set[str] = set()
        ended: list[Alert] = []
        for one in results:
            key = self._key(one)
            seen.add(key)
            firing = self.firing.get(key)
            if one.holds and firing is None:
                self._wait(key, one, now)
            elif one.holds is False:
                self._waiting.pop(key, None)
                if firing is not None and firing.until is None:
                    ended.append(firing)
        ended += [one for key, one in self.firing.items() if self._is_over(one, key in seen, whole, now)]
        for key in [key for key, one in self._waiting.items() if one.check in whole and key not in seen]:
            del self._waiting[key]
        fired = [self._fire(key, one, now) for key, one in list(self._waiting.items()) if self._is_due(key, one, now)]
        closed = [replace(one, ended_at=now) for one in ended]
        for alert in closed:
            self.firing.pop(alert.key, None)
        self._forget(now)
        return Changes(fired, closed)

    def _wait(self, key: str, one: CheckResult, now: float) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.row = one.row
        elif len(self.firing) + len(self._waiting) < MAX_ALERTS:
            self._waiting[key] = _Waiting(one.check, one.row, now)
        else:
            self.dropped += 1

    def _is_over(self, one: Alert, is_seen: bool, whole: Collection[CheckId], now: float) -> bool:
        check = _check_of(one.key)
        if check not in self._checks:
            return True
        if one.until is not None:
            return now >= one.until
        return check in whole and not is_seen

    def _is_due(self, key: str, one: _Waiting, now: float) -> bool:
        rule, _ = self._checks[one.check]
        last = self._last_fired.get(key)
        return now - one.since >= rule.for_s and (last is None or now - last >= rule.cooldown_s)

    def _fire(self, key: str, one: _Waiting, now: float) -> Alert:
        del self._waiting[key]
        rule, check = self._checks[one.check]
        subject = SUBJECTS[check.each]
        until = float(getattr(one.row, subject.until)) if subject.until else None
        is_over = until is not None and until <= now
        alert = Alert(
            id=sha256((key if subject.once_in else f"{key} {now}").encode()).hexdigest()[:32],
            key=key,
            rule=rule.name,
            severity=rule.severity,
            text=described(check, one.row),
            labels={**rule.labels, **{name: str(getattr(one.row, name)) for name in subject.labels}, **check.labels},
            facts=rounded(values_of(one.row)),
            fired_at=now,
            until=until,
            ended_at=now if is_over else None,
        )
        self._last_fired[key] = now
        if not is_over:
            self.firing[key] = alert
        return alert

    def _forget(self, now: float) -> None:
        """Forget firings that no cooldown depends on."""
        for key in [key for key in self._last_fired if key not in self.firing]:
            found = self._checks.get(_check_of(key))
            if found is None or now - self._last_fired[key] >= found[0].cooldown_s:
                del self._last_fired[key]

    def _key(self, one: CheckResult) -> str:
        subject = SUBJECTS[self._checks[one.check][1].each]
        names = (*subject.labels, subject.once_in) if subject.once_in else subject.labels
        return msgspec.json.encode([*one.check, *(getattr(one.row, name) for name in names)]).decode()


def _check_of(key: str) -> CheckId:
    rule, check, *_ = json.loads(key)
    return rule, check
