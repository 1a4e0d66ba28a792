"""Facts of limits."""

from pointsman.admin.alerts.limit_facts import limit_facts
from pointsman.control.inquiries.limits import LimitState


def test_forecast_goes_on_as_before() -> None:
    state = LimitState(
        owner="team:x", metric="usd", period="hour", window_start=0, window_end=3600, limit=10 * 10**9, soft=True,
        posted=4 * 10**9, lent=0,
    )  # fmt: skip
    found = limit_facts(state, 900.0)
    assert found is not None
    assert (found.limit, found.used, found.used_percent, found.is_soft) == (10.0, 4.0, 40.0, True)
    assert (found.elapsed_percent, found.window_left_s, found.runs_out_in_s) == (25.0, 2700.0, 1350.0)
    late = limit_facts(state, 4000.0)
    assert late is not None
    assert (late.elapsed_percent, late.window_left_s) == (100.0, 0.0)
