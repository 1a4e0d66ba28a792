"""What a worker says of itself: its metrics, in the text format of Prometheus."""

from collections.abc import Iterator
from time import monotonic

from pointsman.domain.plans import Health
from pointsman.engine.serving import Engine
from pointsman.telemetry.metrics import gauge_lines
from pointsman.transport.http_server import HttpServer


def metrics_lines(engine: Engine, public: HttpServer) -> list[str]:
    """Counters, histograms and gauges of one worker."""
    return [*engine.accounts.lines(), *_gauges(engine, public)]


def _gauges(engine: Engine, public: HttpServer) -> Iterator[str]:
    live, billing, now = engine.live, engine.billing, monotonic()
    yield from gauge_lines("pointsman_connections", "Client connections open.", [({}, public.connections)])
    yield from gauge_lines("pointsman_requests_in_progress", "Requests being served.", [({}, public.requests)])
    yield from gauge_lines("pointsman_body_bytes", "Memory held in request bodies.", [({}, public.body_memory)])
    yield from gauge_lines(
        "pointsman_attempts_in_progress",
        "Attempts running, by provider and model.",
        [({"candidate": name}, count) for name, count in live.in_progress.items()],
    )
    yield from gauge_lines(
        "pointsman_unhealthy",
        "1 for every provider and model that is not healthy, with its state.",
        [
            ({"candidate": name, "state": condition.health(now).value}, 1)
            for name, condition in live.conditions.items()
            if condition.health(now) is not Health.HEALTHY
        ],
    )
    yield from gauge_lines(
        "pointsman_key_blocked_seconds",
        "How much longer a provider key is left alone.",
        [
            ({"provider": provider, "key": key, "reason": block.failure.kind.code}, block.until - now)
            for (provider, key), block in live.key_blocks.items()
            if block.until > now
        ],
    )
    yield from gauge_lines(
        "pointsman_reservations", "Attempts that hold a reservation.", [({}, billing.ledger.open_attempts)]
    )
    yield from gauge_lines(
        "pointsman_overruns", "Attempts that used more than they had reserved.", [({}, billing.ledger.overruns)]
    )
    if billing.journal is not None:
        trouble = billing.journal.trouble is not None
        yield from gauge_lines("pointsman_journal_trouble", "1 while the journal cannot grow.", [({}, int(trouble))])
        yield from gauge_lines(
            "pointsman_journal_dropped", "Records the journal had no room for.", [({}, billing.journal.dropped)]
        )
        yield from gauge_lines(
            "pointsman_attempts_unkept",
            "Attempts without a limit that were served though the journal could not take them.",
            [({}, billing.unkept)],
        )
    yield from gauge_lines("pointsman_cut_off", "1 while control cannot be reached.", [({}, int(live.is_cut_off))])
    yield from gauge_lines(
        "pointsman_config_info", "The configuration in force.", [({"digest": live.snapshot.digest[:12]}, 1)]
    )
