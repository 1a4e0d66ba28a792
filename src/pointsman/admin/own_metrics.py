"""The metrics of control itself: accounting, limits, configuration."""

import platform
from collections.abc import Iterator, Sequence

from pointsman import __version__
from pointsman.control.inquiries.limits import LimitState
from pointsman.control.inquiries.state import ControlState
from pointsman.domain.dollars import NANO
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, MetricsPage, counter, gauge
from pointsman.telemetry.process import process_use, use_metrics

MAX_LIMITS = 1000
_OWNER = ("scope", "owner", "period")


def own_page(state: ControlState, limits: Sequence[LimitState], silent: int) -> MetricsPage:
    """Return counters and gauges of control. `silent` workers are connected but did not answer this time."""
    cpu, memory = use_metrics([("control", state.use), ("admin", process_use())])
    gauges = [*_processes(state, silent), *_accounting(state), *_limits(limits), memory]
    return MetricsPage([*_counters(state), cpu], [], gauges)


def _counters(state: ControlState) -> Iterator[CounterFamily]:
    yield counter("pointsman_journal_damaged_places_total", "Damaged places found in journals.", state.journal_damage)
    yield counter("pointsman_config_reloads_total", "Configurations put in force.", state.reloads)
    yield counter("pointsman_config_refusals_total", "Configurations rejected.", state.refusals)


def _processes(state: ControlState, silent: int) -> Iterator[GaugeFamily]:
    yield gauge(
        "pointsman_build_info",
        "Versions of the gateway and of Python.",
        [((__version__, platform.python_version()), 1)],
        ("version", "python"),
    )
    yield gauge("pointsman_workers", "Workers connected to control.", len(state.workers))
    yield gauge(
        "pointsman_holds",
        "1 for every provider, target or key that an operator holds out of use, or forces in.",
        [((one.name, one.effect), 1) for one in state.holds],
        ("name", "effect"),
    )
    yield gauge("pointsman_workers_silent", "Connected workers without a timely answer to this scrape.", silent)
    yield gauge(
        "pointsman_config_last_reload_successful",
        "1 if the configuration on disk is in force, 0 if it was rejected.",
        int(not state.config_refused),
    )
    yield gauge(
        "pointsman_config_last_reload_success_timestamp_seconds",
        "Unix time in seconds when the configuration in force was accepted.",
        state.taken_at,
    )


def _accounting(state: ControlState) -> Iterator[GaugeFamily]:
    yield gauge("pointsman_store_up", "1 if the store is available, else 0.", int(state.store == "ok"))
    yield gauge(
        "pointsman_ingest_lag_seconds",
        "Seconds since all journals were last ingested to their end.",
        state.caught_up_s or 0.0,
    )
    yield gauge("pointsman_ingest_backlog_bytes", "Bytes of journal not yet ingested.", state.backlog_bytes)
    yield gauge("pointsman_refused_records", "Records in quarantine, which the store rejected.", state.refused_records)


def _limits(limits: Sequence[LimitState]) -> Iterator[GaugeFamily]:
    """Return the present window of each limit, used or not."""
    money: list[tuple[tuple[str, str, str], int, int, int]] = []
    rates: list[tuple[tuple[str, str, str, str], int, int, int]] = []
    for one in limits:
        scope, _, owner = one.owner.partition(":")
        labels, amount = (scope, owner, one.period), one.limit or 0
        if one.metric == "usd":
            money.append((labels, amount, one.posted, one.lent))
        else:
            rates.append(((*labels, one.metric), amount, one.posted, one.lent))
    for name, description, values in (
        ("limit", "Budget per window in dollars.", {labels: amount for labels, amount, _, _ in money}),
        ("spent", "Dollars spent in the current window.", {labels: spent for labels, _, spent, _ in money}),
        (
            "lent",
            "Dollars leased to workers in the current window and not yet counted as spent.",
            {one[0]: one[3] for one in money},
        ),
        ("remaining", "Dollars remaining in the current window.", {one[0]: max(0, one[1] - one[2]) for one in money}),
    ):
        samples = [(labels, nano / NANO) for labels, nano in values.items()]
        yield gauge(f"pointsman_budget_{name}_dollars", description, samples, _OWNER)
    of_rates = (*_OWNER, "metric")
    for name, description, counts in (
        ("", "Rate limit per window in tokens or requests.", {labels: amount for labels, amount, _, _ in rates}),
        ("_used", "Tokens or requests used in the current window.", {labels: used for labels, _, used, _ in rates}),
        (
            "_remaining",
            "Tokens or requests remaining in the current window.",
            {r[0]: max(0, r[1] - r[2]) for r in rates},
        ),
    ):
        yield gauge(f"pointsman_rate_limit{name}", description, counts.items(), of_rates)
