"""A worker's metrics: its counters, and its present state."""

from collections.abc import Iterator
from time import monotonic

from pointsman.engine.engine import Engine
from pointsman.engine.upstreams import Upstreams
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, MetricsPage, counter, gauge
from pointsman.transport.http_server import HttpServer

EVERY_MODEL = "*"
_READINGS = {
    "duration_s": "Moving average of the time to the end of an answer, at the slowest worker; 0 while unknown.",
    "first_byte_s": "The same of the time to its first byte.",
    "token_s": "The same of the time for each of its tokens.",
    "error_rate": "Moving average of the share of attempts that the provider failed, at the worker with the most.",
}


def metrics_page(engine: Engine, public: HttpServer) -> MetricsPage:
    """Return the counters, histograms and gauges of one worker."""
    request_metrics = engine.request_metrics
    return MetricsPage(
        [*request_metrics.counters, *_counters(engine)], list(request_metrics.histograms), list(_gauges(engine, public))
    )


def _counters(engine: Engine) -> Iterator[CounterFamily]:
    billing = engine.billing
    yield counter("pointsman_log_dropped_total", "Records the log lost.", engine.request_metrics.log_dropped)
    yield counter(
        "pointsman_overruns_total", "Attempts that used more than they had reserved.", billing.ledger.overruns
    )
    yield counter(
        "pointsman_upstream_connections_refused_total",
        "Attempts for whose connection there was no room.",
        engine.upstreams.room.refused,
    )
    if billing.journal is not None:
        yield counter(
            "pointsman_journal_dropped_total", "Records the journal had no room for.", billing.journal.dropped
        )
        yield counter(
            "pointsman_attempts_unkept_total",
            "Attempts without a limit that were served though the journal could not take them.",
            billing.unkept,
        )


def _gauges(engine: Engine, public: HttpServer) -> Iterator[GaugeFamily]:
    live, billing, now = engine.live, engine.billing, monotonic()
    yield gauge("pointsman_connections", "Client connections open.", public.connections)
    yield gauge("pointsman_requests_in_progress", "Requests being served.", public.requests)
    yield gauge("pointsman_body_bytes", "Memory held in request bodies.", public.body_memory)
    yield gauge(
        "pointsman_attempts_in_progress",
        "Attempts running.",
        [(_target(engine, name), count) for name, count in live.in_progress.items()],
        ("provider", "model"),
    )
    yield gauge(
        "pointsman_target_unhealthy",
        "1 for every operation of a provider's model that is not healthy, with its state.",
        [
            ((*_subject(engine, name), condition.health(now)), 1)
            for name, condition in live.conditions.items()
            if condition.health(now) != "healthy"
        ],
        ("provider", "model", "operation", "state"),
        is_maximum=True,
    )
    for name, description in _READINGS.items():
        values = [(_subject(engine, target), getattr(reading, name)) for target, reading in live.readings.items()]
        metric = f"pointsman_target_{name.removesuffix('_s')}{'_seconds' if name.endswith('_s') else ''}"
        yield gauge(metric, description, values, ("provider", "model", "operation"), is_maximum=True)
    yield gauge(
        "pointsman_key_blocked_seconds",
        "How much longer a provider key is left alone, for a model or (*) for all.",
        [
            (
                (provider, key, _blocked_model(engine, provider, model), block.failure.kind.code),
                block.until - now,
            )
            for (provider, key, model), block in live.key_blocks.items()
            if block.until > now
        ],
        ("provider", "key", "model", "reason"),
        is_maximum=True,
    )
    yield from _upstream_gauges(engine.upstreams)
    yield gauge("pointsman_reservations", "Attempts that hold a reservation.", billing.ledger.open_attempts)
    if billing.journal is not None:
        trouble = billing.journal.trouble is not None
        yield gauge("pointsman_journal_trouble", "Workers whose journal cannot grow.", int(trouble))
    yield gauge("pointsman_cut_off", "Workers that cannot reach control.", int(live.is_cut_off))
    yield gauge(
        "pointsman_config_info",
        "The configurations in force with workers.",
        [((live.snapshot.digest[:12],), 1)],
        ("digest",),
        is_maximum=True,
    )


def _blocked_model(engine: Engine, provider: str, model: str | None) -> str:
    return EVERY_MODEL if model is None else engine.request_metrics.model_label(provider, model)


def _subject(engine: Engine, name: str) -> tuple[str, str, str]:
    """Return provider, model and operation of a subject of health."""
    target, _, operation = name.partition("\t")
    return (*_target(engine, target), operation or "chat")


def _upstream_gauges(upstreams: Upstreams) -> Iterator[GaugeFamily]:
    """Yield the gauges of connections to providers, by their address."""
    rows: dict[tuple[str, str], float] = {}
    for client in upstreams:
        for origin, pool in client.gauges().items():  # several clients may reach one origin, each over its own network
            for state, count in (("busy", pool.in_flight), ("idle", pool.idle), ("waiting", pool.waiting)):
                rows[origin, state] = rows.get((origin, state), 0) + count
    yield gauge(
        "pointsman_upstream_connections",
        "Connections to providers: busy and idle ones, and requests waiting for one.",
        list(rows.items()),
        ("origin", "state"),
    )
    room = upstreams.room
    yield gauge("pointsman_upstream_connections_limit", "Connections to providers there is room for.", room.limit)


def _target(engine: Engine, name: str) -> tuple[str, str]:
    """Return provider and model as labels, like those of attempts."""
    provider, _, model = name.partition("/")
    return provider, engine.request_metrics.model_label(provider, model)
