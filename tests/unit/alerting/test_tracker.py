"""Alerts fire and end as their conditions say, once for each time and window."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from fakes.alerts import limit, rule, state
from pointsman.alerting.api import Alert, AlertRule, Check
from pointsman.alerting.kinds import KINDS
from pointsman.alerting.kinds.budget import BudgetAlertSettings
from pointsman.alerting.tracker import CheckId, CheckResult, Tracker, checks_of

STATE: CheckId = ("r", "0")
BUDGETS = rule(*KINDS["budget"].make(BudgetAlertSettings()))


def results(*rows: tuple[Struct, bool | None]) -> list[CheckResult]:
    return [CheckResult(STATE, row, holds) for row, holds in rows]


def budget_results(rule_: AlertRule, *rows: Struct) -> list[CheckResult]:
    """Return the results of the thresholds of a budget rule."""
    thresholds = {id_: float(check.labels["threshold"]) for id_, (_, check) in checks_of([rule_]).items()}
    return [CheckResult(id_, row, row.used_percent >= at) for row in rows for id_, at in thresholds.items()]  # type: ignore[attr-defined]


def texts(alerts: Iterable[Alert]) -> list[str]:
    return sorted(one.text for one in alerts)


def test_alert_fires_once_and_ends() -> None:
    tracker = Tracker([rule()])
    fired, ended = tracker.step(results((state(), True)), {STATE}, 10.0)
    assert (texts(fired), ended) == (["p/m is failed"], [])
    assert fired[0].labels == {"provider": "p", "model": "m", "operation": "chat", "key": ""}
    assert tracker.step(results((state(), True)), {STATE}, 11.0) == ([], [])
    fired, ended = tracker.step(results((state(found="healthy"), False)), {STATE}, 12.0)
    assert (fired, [one.ended_at for one in ended]) == ([], [12.0])
    assert not tracker.firing


def test_unknown_result_neither_fires_nor_ends() -> None:
    tracker = Tracker([rule()])
    assert tracker.step(results((state(), None)), {STATE}, 1.0) == ([], [])
    tracker.step(results((state(), True)), {STATE}, 2.0)
    assert tracker.step(results((state(), None)), {STATE}, 3.0) == ([], [])


def test_absent_row_ends_an_alert_only_if_all_rows_are_known() -> None:
    tracker = Tracker([rule()])
    tracker.step(results((state(), True)), {STATE}, 1.0)
    assert tracker.step([], set(), 2.0) == ([], [])
    assert len(tracker.step([], {STATE}, 3.0).ended) == 1


def test_condition_must_hold_for_some_time() -> None:
    tracker = Tracker([rule(for_s=10)])
    assert not tracker.step(results((state(), True)), {STATE}, 0.0).fired
    assert not tracker.step(results((state(), False)), {STATE}, 5.0).fired
    assert not tracker.step(results((state(), True)), {STATE}, 6.0).fired
    assert not tracker.step(results((state(), True)), {STATE}, 15.0).fired
    assert tracker.step([], set(), 16.0).fired, "also without a new row"


def test_cooldown_delays_the_next_firing_also_after_a_restart() -> None:
    tracker = Tracker([rule(cooldown_s=60)])
    (first,) = tracker.step(results((state(), True)), {STATE}, 0.0).fired
    (ended,) = tracker.step(results((state(), False)), {STATE}, 1.0).ended
    restarted = Tracker([rule(cooldown_s=60)], [ended])
    for one in (tracker, restarted):
        assert not one.step(results((state(), True)), {STATE}, 30.0).fired
        (second,) = one.step(results((state(), True)), {STATE}, 60.0).fired
        assert second.id != first.id


def test_alert_of_a_removed_rule_ends() -> None:
    (known,) = Tracker([rule()]).step(results((state(), True)), {STATE}, 0.0).fired
    (ended,) = Tracker([rule(name="other")], [known]).step([], set(), 5.0).ended
    assert ended.id == known.id


def test_budget_thresholds_fire_once_in_a_window() -> None:
    tracker = Tracker([BUDGETS])
    fired, _ = tracker.step(budget_results(BUDGETS, limit(85)), set(), 1.0)
    assert [one.labels["threshold"] for one in fired] == ["50", "80"]
    assert tracker.step(budget_results(BUDGETS, limit(40)), set(), 2.0) == ([], []), "also if the amount falls"
    fired, _ = tracker.step(budget_results(BUDGETS, limit(100)), set(), 3.0)
    assert [one.labels["threshold"] for one in fired] == ["100"]
    assert len(tracker.step([], set(), 86_400.0).ended) == 3, "at the end of the window"
    assert len(tracker.step(budget_results(BUDGETS, limit(50, start=86_400)), set(), 86_401.0).fired) == 1


def test_window_that_has_ended_fires_and_has_ended() -> None:
    tracker = Tracker([BUDGETS])
    fired, ended = tracker.step(budget_results(BUDGETS, limit(50)), set(), 86_410.0)
    assert ([one.ended_at for one in fired], ended, tracker.firing) == ([86_410.0], [], {})


def test_thresholds_keep_their_alerts_if_others_are_added() -> None:
    (known,) = Tracker([BUDGETS]).step(budget_results(BUDGETS, limit(50)), set(), 1.0).fired
    more = replace(BUDGETS, checks=tuple(KINDS["budget"].make(BudgetAlertSettings((25, 50)))))
    fired, ended = Tracker([more], [known]).step(budget_results(more, limit(60)), set(), 2.0)
    assert ([one.labels["threshold"] for one in fired], ended) == (["25"], [])


@given(st.lists(st.tuples(st.integers(0, 120), st.booleans()), max_size=30))
def test_ids_of_thresholds_are_the_same_after_every_restart(steps: list[tuple[int, bool]]) -> None:
    """The store refuses an id that it knows, so a threshold has one alert, whatever a killed process forgot."""
    tracker, ids = Tracker([BUDGETS]), {"50": set[str](), "80": set[str](), "100": set[str]()}
    for at, (percent, forgets) in enumerate(steps):
        if forgets:
            tracker = Tracker([BUDGETS])
        for one in tracker.step(budget_results(BUDGETS, limit(percent)), set(), float(at)).fired:
            ids[one.labels["threshold"]].add(one.id)
    highest = max((percent for percent, _ in steps), default=0)
    assert {name: len(found) for name, found in ids.items()} == {
        name: int(highest >= int(name)) for name in ("50", "80", "100")
    }


def test_number_of_alerts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.alerting.tracker.MAX_ALERTS", 3)
    tracker = Tracker([rule()])
    rows = [(state(model=f"m{number}"), True) for number in range(5)]
    assert len(tracker.step(results(*rows), {STATE}, 1.0).fired) == 3
    assert tracker.dropped == 2


def test_checks_are_named_by_their_labels_or_their_place() -> None:
    plain = Check(each="state", when="true", text="")
    assert list(checks_of([rule(plain, replace(plain, labels={"a": "b"}))])) == [("r", "0"), ("r", '{"a": "b"}')]
