"""The page of metrics, each line of which Prometheus can read."""

import asyncio
from collections.abc import Callable
from random import Random
from time import monotonic, time

import pytest

from fakes.engine import FakeLog
from fakes.metrics import samples
from fakes.origin import run
from fakes.routing import endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.targets import candidate
from pointsman.engine.billing import Billing
from pointsman.engine.engine import Engine
from pointsman.engine.handle import PublicApi
from pointsman.engine.live import Live
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.status import metrics_page
from pointsman.engine.upstreams import Upstreams
from pointsman.money.charges import Charge
from pointsman.money.ledger import Ledger
from pointsman.routing.concurrency import FIRST
from pointsman.routing.health import LIMITS, KeyBlock
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_server import HttpServer, Limits

A = candidate(endpoint("alpha"), "m")


class Page:
    """The page of metrics of a worker, and the worker's state."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        self.live = Live(snapshot([A.endpoint]))
        self.request_metrics = RequestMetrics(FakeLog())
        billing = Billing(self.live, Ledger(), None, None)
        upstreams = Upstreams(loop, deadlines)
        engine = Engine(
            live=self.live,
            upstreams=upstreams,
            request_metrics=self.request_metrics,
            billing=billing,
            rng=Random(1),
        )
        self.engine = engine
        self.public = HttpServer(loop, PublicApi(engine), Limits(), deadlines)

    def samples(self) -> dict[str, float]:
        return samples(metrics_page(self.engine, self.public))


def on_page(main: Callable[[Page], None]) -> None:
    """Run `main` on a new page."""

    async def inside() -> None:
        main(Page())

    run(inside())


def test_page_has_gauges_and_counters() -> None:
    def main(page: Page) -> None:
        page.request_metrics.attempt(A, "ok", 0.1, 0.1, Charge(0, 0, "none"))
        page.live.begin(A, monotonic(), is_retry=False)
        found = page.samples()
        assert found['pointsman_attempts_total{model="m",outcome="ok",provider="alpha"}'] == 1
        assert found['pointsman_attempts_in_progress{model="m",provider="alpha"}'] == 1
        assert found['pointsman_config_info{digest="digest"}'] == 1
        for gauge in ("pointsman_connections", "pointsman_requests_in_progress", "pointsman_body_bytes"):
            assert found[gauge] == 0

    on_page(main)


def test_page_shows_the_readings_of_targets() -> None:
    def main(page: Page) -> None:
        page.live.begin(A, 10.0, is_retry=False)
        page.live.finish(A, A.keys[0], None, 12.0, began_at=10.0, first_byte_at=10.5, tokens_out=100)
        labels, found = '{model="m",operation="chat",provider="alpha"}', page.samples()
        shown = [found[f"pointsman_target_{name}_seconds{labels}"] for name in ("duration", "first_byte", "token")]
        assert shown == pytest.approx([2.0, 0.5, 0.02])
        assert found[f"pointsman_target_error_rate{labels}"] == 0

    on_page(main)


def test_unhealthy_targets_and_blocked_keys_are_shown_while_they_last() -> None:
    def main(page: Page) -> None:
        def problems() -> set[str]:
            return {
                name
                for name in page.samples()
                if name.startswith(("pointsman_target_unhealthy", "pointsman_key_blocked"))
            }

        assert problems() == set()
        now = monotonic()
        for state in ["degraded"] * (LIMITS.failures - 1) + ["failed"]:
            page.live.begin(A, now, is_retry=False)
            page.live.finish(A, A.keys[0], failure(), now)
            assert problems() == {
                f'pointsman_target_unhealthy{{model="m",operation="chat",provider="alpha",state="{state}"}}'
            }
        page.live.begin(A, now, is_retry=False)
        page.live.finish(A, A.keys[0], failure(failures.UPSTREAM_RATE_LIMITED, retry_after_s=30), now)
        blocked = 'pointsman_key_blocked_seconds{key="k1",model="m",provider="alpha",reason="upstream_rate_limited"}'
        assert blocked in problems()
        assert page.samples()[blocked] == pytest.approx(30, abs=1)
        page.live.conditions.clear()
        page.live.key_blocks["alpha", "k1", "m"] = KeyBlock(until=now - 1, failure=failure())
        assert problems() == set(), "an expired block is not shown"

    on_page(main)


def test_learned_limits_are_shown() -> None:
    def main(page: Page) -> None:
        names = ("pointsman_key_quota_used_ratio", "pointsman_target_concurrency_limit")
        assert not [name for name in page.samples() if name.startswith(names)]
        now = monotonic()
        page.live.note_quota(A, A.keys[0], Quota(requests=Allowance(100, 10, 6.0)), now, at=now)
        page.live.concurrency.note(A, (1.0, False), 1)
        found = page.samples()
        assert found['pointsman_key_quota_used_ratio{key="k1",model="m",provider="alpha"}'] == pytest.approx(
            0.9, abs=0.05
        )
        assert found['pointsman_target_concurrency_limit{model="m",provider="alpha"}'] == FIRST

    on_page(main)


def test_page_has_the_last_transitions_of_targets_and_keys() -> None:
    def main(page: Page) -> None:
        now, unix_s = monotonic(), time()
        assert metrics_page(page.engine, page.public).health == []
        for kind in (failures.UPSTREAM_ERROR, failures.CREDENTIAL_REJECTED):
            page.live.begin(A, now, is_retry=False)
            page.live.finish(A, A.keys[0], failure(kind), now)
        key, target = metrics_page(page.engine, page.public).health
        assert (target.provider, target.model, target.operation, target.key) == ("alpha", "m", "chat", "")
        assert (target.state, target.reason) == ("degraded", "said upstream_error")
        assert abs(target.since - unix_s) < 60
        assert (key.model, key.operation, key.key, key.state) == ("*", "", "k1", "failed")

    on_page(main)


def test_suspicion_is_shown_while_it_lasts() -> None:
    def main(page: Page) -> None:
        assert page.samples()["pointsman_breakers_frozen"] == 0
        page.live.faults.suspicion.until = monotonic() + 60
        assert page.samples()["pointsman_breakers_frozen"] == 1

    on_page(main)
