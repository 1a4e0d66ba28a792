"""What control itself knows for the metrics: books, limits, configuration."""

import platform
from collections.abc import Iterator
from time import time

from pointsman import __version__
from pointsman.admin.services import Services
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.snapshots import limits_told
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Page, counter, gauge

MAX_LIMITS = 1000
_NANO = 1_000_000_000
_OWNER = ("scope", "owner", "period")


def own_page(services: Services, silent: int) -> Page:
    """Counters and gauges of control. `silent` workers are connected and did not answer this time."""
    return Page(list(_counters(services)), [], [*_processes(services, silent), *_books(services), *_limits(services)])


def _counters(services: Services) -> Iterator[CounterFamily]:
    state, configuration = services.ingest.state, services.configuration
    yield counter("pointsman_journal_damaged_places_total", "Places where a journal was damaged.", state.damage)
    yield counter("pointsman_config_reloads_total", "Configurations that were put in force.", configuration.reloads)
    yield counter(
        "pointsman_config_refusals_total", "Configurations that were not put in force.", configuration.refusals
    )


def _processes(services: Services, silent: int) -> Iterator[GaugeFamily]:
    configuration = services.configuration
    yield gauge(
        "pointsman_build_info",
        "The version that runs.",
        [((__version__, platform.python_version()), 1)],
        ("version", "python"),
    )
    yield gauge("pointsman_workers", "Workers that are connected to control.", len(services.lessor.lines))
    yield gauge("pointsman_workers_silent", "Workers that did not answer this request for metrics in time.", silent)
    yield gauge(
        "pointsman_config_last_reload_successful",
        "1 unless the configuration on disk was refused.",
        int(configuration.refused is None),
    )
    yield gauge(
        "pointsman_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was taken.",
        configuration.taken_at,
    )


def _books(services: Services) -> Iterator[GaugeFamily]:
    state = services.ingest.state
    aside, aside_bytes = services.ingest.set_aside()
    lag_s = max(0.0, time() - state.caught_up_at) if state.caught_up_at else 0.0
    yield gauge("pointsman_store_up", "1 while the store works.", int(state.problem is None))
    yield gauge("pointsman_ingest_lag_seconds", "Seconds since all journals were read to their end.", lag_s)
    yield gauge("pointsman_ingest_backlog_bytes", "Bytes of journals not read yet.", services.ingest.backlog_bytes())
    yield gauge("pointsman_damaged_journals", "Journals set aside for somebody to look at.", aside)
    yield gauge("pointsman_damaged_journal_bytes", "Bytes of journals set aside.", aside_bytes)
    yield gauge("pointsman_refused_records", "Records set aside in the table refused.", state.refused)


def _limits(services: Services) -> Iterator[GaugeFamily]:
    """The present window of every limit, whether used or not; the first `MAX_LIMITS`."""
    now = time()
    money: list[tuple[tuple[str, str, str], int, int, int]] = []
    rates: list[tuple[tuple[str, str, str, str], int, int, int]] = []
    for limit in limits_told(services.configuration.current.snapshot, MAX_LIMITS):
        spent = services.book.spent_in((limit.counter, limit.period.window(now)[0]))
        if limit.metric is Metric.USD:
            money.append((_labels(limit), limit.amount, spent.posted, spent.lent))
        else:
            rates.append(((*_labels(limit), limit.metric.value), limit.amount, spent.posted, spent.lent))
    for name, description, values in (
        ("limit", "Dollars of a budget per window.", {labels: amount for labels, amount, _, _ in money}),
        ("spent", "Dollars spent in the present window.", {labels: spent for labels, _, spent, _ in money}),
        ("lent", "Dollars that workers hold unspent in the present window.", {one[0]: one[3] for one in money}),
        ("remaining", "Dollars left in the present window.", {one[0]: max(0, one[1] - one[2]) for one in money}),
    ):
        samples = [(labels, nano / _NANO) for labels, nano in values.items()]
        yield gauge(f"pointsman_budget_{name}_dollars", description, samples, _OWNER)
    of_rates = (*_OWNER, "metric")
    for name, description, counts in (
        ("", "Tokens or requests per window.", {labels: amount for labels, amount, _, _ in rates}),
        ("_used", "Tokens or requests of the present window.", {labels: used for labels, _, used, _ in rates}),
        ("_remaining", "Tokens or requests left in the present window.", {r[0]: max(0, r[1] - r[2]) for r in rates}),
    ):
        yield gauge(f"pointsman_rate_limit{name}", description, counts.items(), of_rates)


def _labels(limit: Limit) -> tuple[str, str, str]:
    scope, _, owner = limit.owner.partition(":")
    return scope, owner, limit.period.name
