"""The request log and the metrics agree with the providers' bills, and a failing log stops no request."""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from fakes.metrics import samples
from integration.client import Answer, Client
from integration.gateway import Gateway, run, serving, until
from integration.wire import ask, chat, connect
from pointsman.config.compile import compile_file
from pointsman.runtime.worker import Worker
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
MODELS = {
    "chat": ["a/sim-1", "b/sim-1"],
    "split": {
        "strategy": "weighted",
        "targets": [
            {"model": "a/sim-1", "weight": 1, "variant": "control"},
            {"model": "b/sim-1", "weight": 1, "variant": "trial"},
        ],
    },
}


def _requests(count: int) -> list[tuple[str, bytes]]:
    """Build a mixture: streamed and not, several operations, some that fail at `a`, some that fail everywhere."""
    found = []
    for number in range(count):
        stream = number % 2 == 0
        match number % 10:
            case 0 | 1 | 2 | 3:
                found.append((CHAT, chat("chat", stream=stream, max_tokens=5 + number % 7)))
            case 4 | 5:
                found.append((CHAT, chat("split", stream=stream)))
            case 6:
                found.append(("/v1/embeddings", msgspec.json.encode({"model": "chat", "input": "x" * number})))
            case 7:
                found.append(("/v1/completions", msgspec.json.encode({"model": "chat", "prompt": "x" * number})))
            case 8:
                found.append((CHAT, chat("chat", stream=stream, metadata={"fault": "context_length"})))
            case _:
                found.append((CHAT, chat("chat", n=0)))
    return found


def _sum(metrics: dict[str, float], name: str, **labels: str) -> float:
    """Sum the samples of a family that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(value for key, value in metrics.items() if key.startswith(name + "{") and all(w in key for w in wanted))


def test_log_and_metrics_agree_with_the_bills() -> None:
    count = 200

    async def main() -> None:
        settings = Settings(models=("sim-1",), cached_share=0.5, bill_failed="none")
        async with serving(providers={"a": settings, "b": settings}, models=MODELS) as gateway:
            for number, (path, body) in enumerate(_requests(count)):
                gateway.providers["a"].set_fault("status=500" if number % 5 == 0 else None)
                async with connect(gateway.base_url) as wire:
                    received = await wire.ask("POST", path, body, {"x-request-id": f"client-{number}"})
                gateway.live.conditions.clear()
                gateway.live.change()
                assert received.status == {8: 400, 9: 400}.get(number % 10, 200), received
            records = await gateway.wait_for_records(count)
            metrics = await gateway.metrics()

            assert len(records) == count
            assert len({UUID(record["request_id"]) for record in records}) == count
            assert {record["client_request_id"] for record in records} == {f"client-{n}" for n in range(count)}
            attempts = [attempt for record in records for attempt in record.get("attempts", ())]
            for name, provider in gateway.providers.items():
                entries = provider.bill.entries
                of_log = [attempt for attempt in attempts if attempt["provider"] == name]
                assert Counter(attempt["status"] for attempt in of_log) == Counter(entry.status for entry in entries)
                assert _sum(metrics, "pointsman_attempts_total", provider=name) == len(entries)
                good = [entry for entry in entries if entry.status == 200]
                assert _sum(metrics, "pointsman_attempts_total", provider=name, outcome="ok") == len(good)
                served = [record for record in records if record.get("provider") == name and record["status"] == 200]
                for field, direction in (("tokens_in", "in"), ("tokens_out", "out")):
                    billed = sum(getattr(entry, field) for entry in good)
                    assert sum(record[field] for record in served) == billed
                    assert _sum(metrics, "pointsman_tokens_total", provider=name, direction=direction) == billed
                assert sum(record.get("tokens_cached", 0) for record in served) == sum(
                    entry.tokens_cached for entry in good if "embeddings" not in entry.path
                )
            _check_records(records)
            statuses = Counter(str(record["status"]) for record in records)
            for status, number in statuses.items():
                assert _sum(metrics, "pointsman_requests_total", status=status) == number
            assert _sum(metrics, "pointsman_requests_total") == count
            variants = Counter(record["variant"] for record in records if "variant" in record)
            assert set(variants) == {"control", "trial"}
            for variant, number in variants.items():
                assert _sum(metrics, "pointsman_variant_requests_total", variant=variant) == number
            assert _sum(metrics, "pointsman_request_duration_seconds_count") == count
            assert metrics["pointsman_gateway_seconds_count"] == count
            assert metrics["pointsman_log_dropped_total"] == 0

    run(main())


def _check_records(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert record["event"] == "request"
        assert record["method"] == "POST"
        attempts = record.get("attempts", [])
        if record["status"] == 200:
            assert "code" not in record
            assert attempts[-1]["outcome"] == "ok"
            assert attempts[-1]["provider"] == record["provider"]
            assert record["strategy"] == ("weighted" if record["model"] == "split" else "priority")
        else:
            assert record["code"] in {"context_length_exceeded", "invalid_request"}
            assert record["message"]
        assert all(attempt["outcome"] == "upstream_error" for attempt in attempts[:-1])
        assert len(attempts) <= 3


async def _console(gateway: Gateway, path: str, method: str = "GET") -> Answer:
    """Send one request to the console's address, without a token."""
    client = await Client.connect(int(gateway.console_url.rpartition(":")[2]))
    answer = await client.ask({} if method == "POST" else None, path=path, method=method, headers={"host": "127.0.0.1"})
    await client.close()
    return answer


def test_metrics_and_log_have_their_own_places() -> None:
    async def main() -> None:
        settings = Settings(models=("sim-1",))
        async with serving(providers={"a": settings}, models={"chat": ["a/sim-1"]}, as_process=True) as gateway:
            for path in ("/metrics", "/v1/metrics", "/v1/../metrics", "/METRICS", "/api/v1/usage"):
                received = await ask(gateway.base_url, "GET", path)
                assert received.status in (400, 404), path
            # On loopback, a metrics collector needs no token.
            assert (await _console(gateway, "/metrics")).headers["content-type"].startswith("text/plain")
            assert (await _console(gateway, "/healthz")).status == 200
            assert (await _console(gateway, "/metrics", "POST")).status == 405
            for path, status in ((CHAT, 404), ("/v1/models", 404), ("/", 405)):
                assert (await _console(gateway, path, "POST")).status == status
            assert not gateway.providers["a"].bill.entries

    run(main())


def test_metrics_page_is_readable_by_prometheus() -> None:
    async def main() -> None:
        settings = Settings(models=("sim-1",))
        async with serving(
            providers={"a": settings}, models={"chat": ["a/sim-1"]}, server={"workers": 2}, as_process=True
        ) as gateway:
            for _ in range(10):  # so that each worker serves some
                await gateway.ask(msgspec.json.decode(chat()))
            await gateway.ask(msgspec.json.decode(chat(model='a/new\nline "quoted" back\\slash')))
            text = (await _console(gateway, "/metrics")).body.decode()
            typed = set()
            for line in text.splitlines():
                if line.startswith("# TYPE "):
                    _, _, name, kind = line.split(" ")
                    assert kind in {"counter", "gauge", "histogram"}
                    assert name not in typed, f"{name} occurs twice"
                    typed.add(name)
                elif not line.startswith("# HELP "):
                    name = line.partition("{")[0].partition(" ")[0]
                    base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
                    assert name in typed or base in typed, line
                    float(line.rpartition(" ")[2])
            assert text.endswith("\n")
            assert "\npointsman_workers 2.0\n" in text
            assert _sum(await gateway.metrics(), "pointsman_requests_total") == 11

    run(main())


@pytest.mark.parametrize("target", ["a full disk", "a closed pipe", "a pipe without a reader"])
def test_unwritable_log_stops_no_request(target: str, caplog: pytest.LogCaptureFixture) -> None:
    reader = -1
    if target == "a full disk":
        if not Path("/dev/full").exists():
            pytest.skip("there is no /dev/full here")
        log = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, log = os.pipe()
        if target == "a closed pipe":
            os.close(reader)

    async def main() -> None:
        async with serving(providers={"a": Settings(models=("sim-1",))}, models={"chat": ["a/sim-1"]}) as gateway:
            compiled = compile_file(gateway.config_file, {}).compiled
            assert compiled is not None
            worker = Worker(compiled.snapshot, compiled.settings, log)
            await worker.start()
            url = f"http://127.0.0.1:{worker.plane.server.port}"
            async with connect(url) as wire, asyncio.timeout(PATIENCE_S):
                for _ in range(400):  # more than a pipe buffers
                    assert (await wire.ask("POST", CHAT, chat())).status == 200
                if target != "a pipe without a reader":
                    await until(lambda: "log cannot be written" in caplog.text, "the error is reported")
                    assert samples(worker.metrics())["pointsman_log_dropped_total"] > 0
                assert (await wire.ask("POST", CHAT, chat())).status == 200
            if target == "a pipe without a reader":
                os.set_blocking(reader, False)
                await asyncio.get_running_loop().run_in_executor(None, _read_all, reader)
            await worker.stop()

    try:
        run(main())
    finally:
        os.close(log)
        if target == "a pipe without a reader":
            os.close(reader)


def _read_all(reader: int) -> None:
    while True:
        try:
            if not os.read(reader, 1 << 16):
                return
        except BlockingIOError:
            return


def test_process_continues_without_standard_output() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings(models=("sim-1",))}, models={"chat": ["a/sim-1"]}) as gateway:
            reader, writer = os.pipe()
            process = await _start(gateway, writer)
            os.close(writer)
            assert process.stderr is not None
            port = ""
            while not port:
                line = (await process.stderr.readline()).decode()
                assert line, "the gateway did not start"
                port = line.partition("http://127.0.0.1:")[2].partition("/v1")[0]
            os.close(reader)
            draining = asyncio.create_task(process.stderr.read())
            for _ in range(20):
                assert (await ask(f"http://127.0.0.1:{port}", "POST", CHAT, chat())).status == 200
                await asyncio.sleep(0.02)
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0
            text = (await draining).decode()
            assert "the request log cannot be written" in text
            assert "Traceback" not in text
            assert text.count("the request log cannot be written") <= 10, "the error is reported for every batch"

    run(main())


async def _start(gateway: Gateway, writer: int) -> asyncio.subprocess.Process:
    arguments = ("-m", "pointsman", "serve", "--config", str(gateway.config_file))
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=writer, stderr=asyncio.subprocess.PIPE
    )
