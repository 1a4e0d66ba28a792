"""What operators ask of a worker: its metrics, and how it is. Served on the console's address only."""

from collections.abc import Iterator
from time import monotonic

from pointsman.domain.failures import METHOD_NOT_ALLOWED, UNKNOWN_PATH, Failure
from pointsman.domain.plans import Health
from pointsman.engine.serving import Engine
from pointsman.telemetry.metrics import gauge_lines
from pointsman.transport.http_head import BodyMode, Head
from pointsman.transport.http_server import Exchange, HttpServer
from pointsman.wire.errors import error_body, error_headers

_TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class StatusPage:
    """The handler of the console's listener."""

    is_draining = False

    def __init__(self, engine: Engine, public: HttpServer) -> None:
        self._engine = engine
        self._public = public

    def accept(self, head: Head) -> BodyMode:  # noqa: ARG002
        return BodyMode.BUFFER

    def handle(self, exchange: Exchange) -> None:
        head = exchange.head
        if head.path == b"/readyz" and self.is_draining:
            exchange.send(503, b"content-type: application/json\r\n", b'{"status":"draining"}')
        elif head.path in (b"/healthz", b"/readyz"):
            exchange.send(200, b"content-type: application/json\r\n", b'{"status":"ok"}')
        elif head.path != b"/metrics":
            self._refuse(exchange, Failure(UNKNOWN_PATH, "only /metrics, /healthz and /readyz are here"))
        elif head.method not in (b"GET", b"HEAD"):
            self._refuse(exchange, Failure(METHOD_NOT_ALLOWED, "use GET"))
        else:
            text = "\n".join([*self._engine.accounts.lines(), *self._gauges(), ""])
            exchange.send(200, _TEXT, text.encode())

    def refuse(self, failure: Failure, head: Head | None) -> tuple[int, bytes, bytes]:  # noqa: ARG002
        return failure.kind.status, error_headers(failure), error_body(failure, "")

    def _refuse(self, exchange: Exchange, failure: Failure) -> None:
        exchange.send(*self.refuse(failure, exchange.head))

    def _gauges(self) -> Iterator[str]:
        live, public, now = self._engine.live, self._public, monotonic()
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
            "pointsman_config_info", "The configuration in force.", [({"digest": live.snapshot.digest[:12]}, 1)]
        )
