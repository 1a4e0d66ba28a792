"""A worker's metrics: its counters, and its present state."""

from collections.abc import Iterator
from time import monotonic, time

from pointsman.engine.engine import Engine
from pointsman.engine.upstreams import Upstreams
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, HealthRow, MetricsPage, counter, gauge
from pointsman.telemetry.process import process_use, use_metrics
from pointsman.transport.http_server import HttpServer

EVERY_MODEL = "*"
_READINGS = {
    "duration_s": "Moving average of the seconds to the end of an answer, at the slowest worker; 0 if unknown.",
    "content_s": "Moving average of the seconds to the first content of a stream, at the slowest worker; 0 if unknown.",
    "first_byte_s": "Moving average of the seconds to the first byte, at the slowest worker; 0 if unknown.",
    "token_s": "Moving average of the seconds for each output token, at the slowest worker; 0 if unknown.",
    "error_rate": "Moving average of the share of attempts that the provider failed, at the worst worker.",
}


def metrics_page(engine: Engine, public: HttpServer) -> MetricsPage:
    """Return the counters, histograms and gauges of one worker."""
    request_metrics = engine.request_metrics
    cpu, memory = use_metrics([("worker", process_use())])
    return MetricsPage(
        [*request_metrics.counters, *_counters(engine), cpu],
        list(request_metrics.histograms),
        [*_gauges(engine, public), memory],
        list(_health(engine)),
    )


def _counters(engine: Engine) -> Iterator[CounterFamily]:
    billing = engine.billing
    yield counter("pointsman_log_dropped_total", "Log records dropped.", engine.request_metrics.log_dropped)
    yield counter(
        "pointsman_overruns_total", "Attempts that used more than their reservation.", billing.ledger.overruns
    )
    yield counter(
        "pointsman_prompts_counted_total",
        "Prompts counted because their bytes had no room in a limit.",
        engine.prompts.counted,
    )
    yield counter(
        "pointsman_upstream_connections_refused_total",
        "Attempts rejected at the limit of connections to providers.",
        engine.upstreams.room.rejected,
    )
    kept, dropped = engine.bodies.kept, engine.bodies.dropped
    yield counter("pointsman_bodies_kept_total", "Requests whose bodies were kept.", kept)
    yield counter("pointsman_bodies_dropped_total", "Requests whose bodies were lost for lack of space.", dropped)
    if billing.journal is not None:
        yield counter(
            "pointsman_journal_dropped_total", "Journal records dropped for lack of space.", billing.journal.dropped
        )
        yield counter(
            "pointsman_attempts_unkept_total",
            "Attempts without a limit that were served although the journal could not record them.",
            billing.unrecorded,
        )


def _gauges(engine: Engine, public: HttpServer) -> Iterator[GaugeFamily]:
    live, billing, now = engine.live, engine.billing, monotonic()
    yield gauge("pointsman_connections", "Open client connections.", public.connections)
    yield gauge("pointsman_requests_in_progress", "Requests in progress.", public.requests)
    yield gauge("pointsman_body_bytes", "Bytes of memory that request bodies occupy.", public.body_memory)
    yield gauge(
        "pointsman_attempts_in_progress",
        "Attempts in progress.",
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
    yield gauge(
        "pointsman_breakers_frozen",
        "Workers that suspect themselves, since most providers failed together: no breaker opens.",
        int(live.faults.suspicion.until > now),
    )
    yield gauge(
        "pointsman_canary_aborted",
        "Workers that have aborted this canary.",
        [
            ((arm.model, arm.variant, *_target(engine, arm.target)), 1)
            for arm, one in live.aborted.items()
            if one.until > now
        ],
        ("public_model", "variant", "provider", "model"),
    )
    yield gauge(
        "pointsman_key_blocked_seconds",
        "Seconds until a blocked provider key is tried again, for a model or for all (*).",
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
    yield from _learned_gauges(engine, now)
    yield from _upstream_gauges(engine.upstreams)
    yield gauge("pointsman_reservations", "Attempts with an open reservation.", billing.ledger.open_attempts)
    if billing.journal is not None:
        has_problem = billing.journal.problem is not None
        yield gauge("pointsman_journal_trouble", "Workers whose journal cannot grow.", int(has_problem))
    yield gauge("pointsman_cut_off", "Workers that cannot reach control.", int(live.is_cut_off))
    yield gauge(
        "pointsman_config_info",
        "Configurations in force at workers, by digest.",
        [((live.snapshot.digest[:12],), 1)],
        ("digest",),
        is_maximum=True,
    )


def _learned_gauges(engine: Engine, now: float) -> Iterator[GaugeFamily]:
    """Yield the gauges of what attempts have shown."""
    live = engine.live
    for name, description in _READINGS.items():
        values = [(_subject(engine, target), getattr(reading, name)) for target, reading in live.readings.items()]
        metric = f"pointsman_target_{name.removesuffix('_s')}{'_seconds' if name.endswith('_s') else ''}"
        yield gauge(metric, description, values, ("provider", "model", "operation"), is_maximum=True)
    yield gauge(
        "pointsman_key_quota_used_ratio",
        "Used part of a provider key's scarcest rate limit, at the worker where it is largest, for a model or for all "
        "(*). Only limits that are nearly used, or learned from 429s, are known.",
        [
            ((provider, key, _blocked_model(engine, provider, model)), 1.0 - mirror.headroom(now))
            for (provider, key, model), mirror in live.quotas.mirrors.items()
        ],
        ("provider", "key", "model"),
        is_maximum=True,
    )
    yield gauge(
        "pointsman_target_concurrency_limit",
        "Learned limit of attempts in progress (`max_concurrency: auto`), of all workers together.",
        [(_target(engine, name), int(one.limit)) for name, one in live.concurrency.learned.items()],
        ("provider", "model"),
    )


def _health(engine: Engine) -> Iterator[HealthRow]:
    """Yield the states of all operations of targets and of all keys that had a fault, the last transitions first."""
    faults, now, unix_s = engine.live.faults, monotonic(), time()
    for name in reversed(faults.standings):
        standing = faults.standing(name, now)
        if standing is not None:
            since = unix_s + standing.since - now
            if isinstance(name, str):
                provider, model, operation = _subject(engine, name)
                yield HealthRow(provider, model, operation, "", standing.state, since=since, reason=standing.reason)
            else:
                model = _blocked_model(engine, name[0], name[2])
                yield HealthRow(name[0], model, "", name[1], standing.state, since=since, reason=standing.reason)


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
        "Busy and idle connections to providers, and requests waiting for a connection.",
        list(rows.items()),
        ("origin", "state"),
    )
    room = upstreams.room
    yield gauge("pointsman_upstream_connections_limit", "Limit of open connections to providers.", room.limit)


def _target(engine: Engine, name: str) -> tuple[str, str]:
    """Return provider and model as labels, like those of attempts."""
    provider, _, model = name.partition("/")
    return provider, engine.request_metrics.model_label(provider, model)
