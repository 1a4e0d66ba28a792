"""The states of all workers as one table."""

from pointsman.admin.health_rows import merged_rows
from pointsman.telemetry.metrics import HealthRow


def row(state: str, since: float, model: str = "m", key: str = "") -> HealthRow:
    operation = "" if key else "chat"
    return HealthRow("alpha", model, operation, key, state, since=since, reason=f"{state} at {since:g}")


def test_worst_state_has_its_latest_reason_and_all_workers_are_counted() -> None:
    pages = [[row("healthy", 9.0)], [row("failed", 5.0)], [row("failed", 7.0)], []]
    (found,) = merged_rows(pages)
    assert (found.state, found.since, found.reason) == ("failed", 7.0, "failed at 7")
    assert found.workers == {"healthy": 1, "failed": 2}


def test_models_that_share_a_name_count_once_for_a_worker() -> None:
    (found,) = merged_rows([[row("failed", 5.0, "other"), row("degraded", 7.0, "other")]])
    assert (found.state, found.workers) == ("failed", {"failed": 1})


def test_rows_of_keys_and_targets_stay_apart_and_the_worst_come_first() -> None:
    pages = [
        [row("healthy", 1.0), row("failed", 1.0, "*", "k"), row("degraded", 1.0, "n"), row("recovering", 1.0, "o")]
    ]
    assert [one.state for one in merged_rows(pages)] == ["failed", "recovering", "degraded", "healthy"]
