"""A gateway exports traces, logs and metrics to a collector that decodes them, and a failing one stops no request."""

import asyncio
import os
import signal
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.collector import FakeCollector, attributes, collecting
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.domain.tracing import span_id_of
from pointsman.simulate import Settings

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRETS = {
    "PROVIDER_KEY": "sk-xyzzy-of-the-provider",
    "CLIENT_KEY": "pm-xyzzy-of-the-client-0123456789",
    "OTLP_TOKEN": "Bearer xyzzy-of-the-collector",
}
PROMPT = "xyzzy-of-the-prompt"


def telemetry(collector: FakeCollector, *signals: str, **traces: Any) -> dict[str, Any]:
    otlp = {"endpoint": collector.url, "signals": signals, "headers": {"Authorization": "env.OTLP_TOKEN"}}
    return {"otlp": {**otlp, "metrics_interval_s": 1}, "traces": {"ratio": 1.0, **traces}}


def sections(collector: FakeCollector, *signals: str, **traces: Any) -> dict[str, Any]:
    return {
        "providers": {
            "a": Settings(models=("sim-1",), model_faults={"sim-1": "status=500"}),
            "b": Settings(models=("sim-1",)),
        },
        "provider_settings": {name: {"keys": {"only": "env.PROVIDER_KEY"}} for name in "ab"},
        "models": {"chat": ["a/sim-1", "b/sim-1"]},
        "governance": {"virtual_keys": {"me": "env.CLIENT_KEY"}},
        "telemetry": telemetry(collector, *signals, **traces),
        "environ": SECRETS,
        "as_process": True,
    }


def headers(**others: str) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS['CLIENT_KEY']}", **others}


def requests_in(collector: FakeCollector) -> list[dict[str, Any]]:
    found = [attributes(span) for span in collector.spans]
    return [one for one in found if "pointsman.request.id" in one]


async def started(collector: FakeCollector) -> None:
    """Wait until the collector was tested, and the positions are kept."""
    await until(lambda: collector.messages, "the collector has got a message")
    await asyncio.sleep(0.2)


def test_requests_reach_the_collector_without_secrets_and_bodies() -> None:
    async def main() -> None:
        with collecting() as collector:
            async with serving(**sections(collector, "traces", "logs", "metrics")) as gateway:
                await until(lambda: len(collector.messages) >= 3, "all signals were tested")
                await asyncio.sleep(0.3)
                body = chat(messages=[{"role": "user", "content": PROMPT}])
                traced = headers(traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
                answers = [await gateway.ask(body, headers=traced), await gateway.ask(body, headers=headers())]
                answers.append(await gateway.ask(body, headers={"authorization": "Bearer pm-wrong-xyzzy-0123456789"}))
                assert [one.status for one in answers] == [200, 200, 401]
                await until(lambda: len(requests_in(collector)) == 3, "the spans have arrived")
                await until(lambda: len(collector.logs) == 3, "the log records have arrived")
                wanted = "gen_ai.client.operation.duration"
                await until(lambda: wanted in {one.name for one in collector.metrics}, "the attempts are counted")
                names = {metric.name for metric in collector.metrics}
                assert {"pointsman.requests", "pointsman.gateway", "pointsman.otlp_sent"} <= names
                first = next(one for one in collector.spans if one.trace_id.hex() == TRACE)
                assert (first.parent_span_id.hex(), first.trace_state) == (PARENT, "vendor=1")
                request_id = answers[0].headers["x-request-id"]
                assert first.span_id.hex() == span_id_of(request_id)
                attempts = [one for one in collector.spans if one.parent_span_id == first.span_id]
                outcomes = [attributes(one)["pointsman.attempt.outcome"] for one in attempts]
                assert outcomes == ["upstream_error", "ok"]
                assert collector.headers[0]["authorization"] == SECRETS["OTLP_TOKEN"]
                for xyzzy in (*SECRETS.values(), PROMPT, "xyzzy"):
                    assert xyzzy.removeprefix("Bearer ").encode() not in collector.raw
                assert (await gateway.admin("/readyz")).json == {"status": "ok"}
                assert (await gateway.metrics())['pointsman_otlp_up{signal="traces"}'] == 1

    run(main())


def test_failing_collector_costs_no_request_and_gets_everything_later() -> None:
    """The collector fails, and admin is killed meanwhile."""
    count = 60

    async def ask_all(gateway: Gateway) -> None:
        for answer in await gateway.ask_many(count // 3, 4, chat(), headers=headers()):
            assert answer.status == 200

    async def main() -> None:
        with collecting() as collector:
            async with serving(**sections(collector, "traces")) as gateway:
                await started(collector)
                await ask_all(gateway)
                collector.mode = 503
                await ask_all(gateway)
                began_at = asyncio.get_running_loop().time()
                async with asyncio.timeout(PATIENCE_S):
                    while (await gateway.admin("/readyz")).json.get("otlp_traces") != "status 503":
                        await asyncio.sleep(0.1)
                assert asyncio.get_running_loop().time() - began_at < gateway.within_s(10)
                assert (await gateway.metrics())['pointsman_otlp_up{signal="traces"}'] == 0
                os.kill(gateway.children["admin"], signal.SIGKILL)
                await ask_all(gateway)
                collector.mode = "ok"
                ids = {record["request_id"] for record in await gateway.wait_for_records(count)}
                async with asyncio.timeout(PATIENCE_S):
                    while {one["pointsman.request.id"] for one in requests_in(collector)} < ids:
                        await asyncio.sleep(0.1)
                assert {one["pointsman.request.id"] for one in requests_in(collector)} == ids
                spans: dict[bytes, int] = {}
                for span in collector.spans:
                    spans[span.span_id] = spans.get(span.span_id, 0) + 1
                assert set(spans.values()) == {1}, "nothing was accepted between the kill and the last position"

    run(main())


@pytest.mark.parametrize("follows", [True, False])
def test_head_decides_on_the_sample(follows: bool) -> None:
    async def main() -> None:
        with collecting() as collector:
            settings = sections(collector, "traces", ratio=0.0, errors=False, follow_clients=follows)
            async with serving(**settings) as gateway:
                await started(collector)
                for flags in ("00", "01"):
                    traced = headers(traceparent=f"00-{TRACE}-{PARENT}-{flags}")
                    assert (await gateway.ask(chat(), headers=traced)).status == 200
                records = await gateway.wait_for_records(2)
                assert ["traceparent" in one for one in records] == [follows, follows]
                if follows:
                    await until(lambda: requests_in(collector), "the sampled request has arrived")
                await asyncio.sleep(1.5)
                sent = [one["pointsman.request.id"] for one in requests_in(collector)]
                assert sent == ([records[1]["request_id"]] if follows else [])

    run(main())
