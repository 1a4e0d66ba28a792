"""A gateway sends the records of its requests to sinks, and a failing one stops no request."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.collector import attributes, collecting
from fakes.object_store import FakeObjectStore, storing
from fakes.receiver import FakeReceiver, receiving
from integration.gateway import chat, run, serving, until
from pointsman.simulate import Settings

SECRETS = {
    "PROVIDER_KEY": "sk-xyzzy-of-the-provider",
    "CLIENT_KEY": "pm-xyzzy-of-the-client-0123456789",
    "HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "S3_KEY": "canary-of-the-store",
}
CANARY = "sk-xyzzy0123456789abcdef"


def sections(folder: Path, receiver: FakeReceiver, store: FakeObjectStore, **others: Any) -> dict[str, Any]:
    hook = {"type": "webhook", "url": receiver.url, "secrets": ["env.HOOK"]}
    objects = {"type": "s3", "url": store.receiver.url, "bucket": "logs", "region": "eu-central-1", "batch_s": 1}
    keys = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "env.S3_KEY"}
    return {
        "providers": {
            "a": Settings(models=("sim-1",), model_faults={"sim-1": "status=500"}),
            "b": Settings(models=("sim-1",)),
        },
        "provider_settings": {name: {"keys": {"only": "env.PROVIDER_KEY"}} for name in "ab"},
        "models": {"chat": ["a/sim-1", "b/sim-1"]},
        "governance": {"virtual_keys": {"me": "env.CLIENT_KEY"}},
        "egress": {"allow_private": ["127.0.0.0/8"]},
        "sinks": {
            "file": {"type": "file", "path": str(folder / "r.jsonl")},
            "hook": hook,
            "objects": {**objects, **keys},
            "elsewhere": {"type": "file", "path": str(folder / "us.jsonl"), "tags": {"region": "us"}},
        },
        "environ": SECRETS,
        "as_process": True,
        **others,
    }


def headers(**others: str) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS['CLIENT_KEY']}", **others}


def ids(folder: Path, receiver: FakeReceiver, store: FakeObjectStore) -> list[list[str]]:
    """Return the ids of the requests that arrived at the file, the webhook and the store."""
    file = folder / "r.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    messages = [one for each in receiver.received for one in json.loads(each.body)["data"]]
    return [[one["request_id"] for one in records] for records in (map(json.loads, lines), messages, store.records)]


async def begun(folder: Path, *names: str) -> None:
    """Wait until the sinks have begun."""
    await until(lambda: all((folder / f"sink-{name}.position").exists() for name in names), "the sinks have begun")


def test_records_reach_every_sink_without_canaries(tmp_path: Path) -> None:
    """A client puts a secret into every field that it fills, and the providers repeat it."""

    async def main() -> None:
        with receiving() as receiver, storing() as store, collecting() as collector:
            otlp = {"otlp": {"endpoint": collector.url, "signals": ["traces", "logs"]}, "traces": {"ratio": 1.0}}
            async with serving(**sections(tmp_path, receiver, store, telemetry=otlp)) as gateway:
                await begun(gateway.config_file.parent / "data", "file", "hook", "objects", "elsewhere")
                await until(lambda: len(collector.messages) >= 2, "the collector was tested")
                body = chat(messages=[{"role": "user", "content": CANARY}], user=CANARY, metadata={"a": CANARY})
                named = {"x-pointsman-session": CANARY, "x-pointsman-tag-a": CANARY, "x-request-id": CANARY}
                answers = [await gateway.ask(body, headers=headers(**named))]
                answers.append(await gateway.ask({**body, "model": CANARY}, headers=headers(**named)))
                answers.append(await gateway.ask(body, headers={"authorization": f"Bearer {CANARY}"}))
                eu = headers(**{"x-pointsman-require": "region=eu"})
                answers.append(await gateway.ask(body, headers=eu))
                assert [one.status for one in answers] == [200, 404, 401, 403]
                await until(lambda: {len(one) for one in ids(tmp_path, receiver, store)} == {3}, "records have arrived")
                await until(lambda: len(collector.logs) == 3, "the log records have arrived")
                metrics = await gateway.metrics()
                for name in ("file", "hook", "objects", "elsewhere"):
                    assert metrics[f'pointsman_sink_withheld_total{{sink="{name}"}}'] == 1, "of the one for the EU"
                    assert metrics[f'pointsman_sink_up{{sink="{name}"}}'] == 1
                assert metrics['pointsman_otlp_withheld_total{signal="traces"}'] == 1
                page = (await gateway.admin("/metrics")).body
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        for place in (written, receiver.raw, json.dumps(store.records).encode(), collector.raw, page):
            assert b"xyzzy" not in place
        assert b"[secret]" in written

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_are_kept_masked_and_sent_to_sinks_that_want_them(stream: bool, tmp_path: Path) -> None:
    """The answer repeats the prompt in pieces."""

    async def main() -> None:
        with receiving() as receiver, storing() as store:
            given = sections(tmp_path, receiver, store, bodies={"max_bytes": 4096})
            given["sinks"]["file"] |= {"bodies": "keep", "only": {"virtual_keys": ["me"], "when": "status < 500"}}
            given["sinks"]["objects"]["bodies"] = True
            async with serving(**given) as gateway:
                await begun(gateway.config_file.parent / "data", "file", "hook", "objects")
                prompt = f"my key is {CANARY}, and my address is xyzzy@mail.example"
                body = chat(messages=[{"role": "user", "content": prompt}], stream=stream)
                answer = await gateway.ask(body, headers=headers())
                assert answer.status == 200
                name = answer.headers["x-request-id"]
                await until(lambda: {len(one) for one in ids(tmp_path, receiver, store)} == {1}, "records have arrived")
                shown = (await gateway.admin(f"/api/v1/requests/{name}/bodies")).json
                assert json.loads(shown["request"])["messages"][0]["content"].startswith("my key is [secret], and")
                assert json.loads(shown["answer"])
                assert shown["request_bytes"] > len(shown["request"])
                assert "cut" not in shown
                (of_file,) = [json.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
                assert of_file["bodies"] == shown == store.records[0]["bodies"]
                assert b"my key is" not in receiver.raw
                assert (await gateway.metrics())["pointsman_bodies_kept_total"] == 1
                data = gateway.config_file.parent / "data"
                written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
                assert CANARY.encode() not in written
                assert b"xyzzy@mail" not in written
            assert b"xyzzy0" not in (tmp_path / "r.jsonl").read_bytes()
            assert "xyzzy" not in json.dumps(store.records)

    run(main())


@pytest.mark.parametrize(
    ("of_receivers", "of_collector"), [("cut", 503), ("slow", "slow"), ("lying", "html")], ids=["dead", "slow", "lying"]
)
def test_failing_receivers_cost_no_request_and_get_everything_later(
    of_receivers: str, of_collector: str | int, tmp_path: Path
) -> None:
    """A webhook, a store of objects and a collector fail together, and admin is killed meanwhile."""
    count = 40

    async def main() -> None:
        with receiving() as receiver, storing() as store, collecting() as collector:
            otlp = {"otlp": {"endpoint": collector.url, "signals": ["logs"]}}
            async with serving(**sections(tmp_path, receiver, store, telemetry=otlp)) as gateway:
                await begun(gateway.config_file.parent / "data", "file", "hook", "objects")
                await until(lambda: collector.messages, "the collector was tested")
                receiver.mode = store.receiver.mode = of_receivers
                collector.mode = of_collector
                for answer in await gateway.ask_many(count // 2, 4, chat(), headers=headers()):
                    assert answer.status == 200
                began_at = asyncio.get_running_loop().time()
                wanted = {"sink_hook", "sink_objects", "otlp_logs"}
                async with asyncio.timeout(PATIENCE_S):
                    while not wanted <= set((await gateway.admin("/readyz")).json):
                        await asyncio.sleep(0.1)
                assert asyncio.get_running_loop().time() - began_at < gateway.within_s(10)
                os.kill(gateway.children["admin"], signal.SIGKILL)
                for answer in await gateway.ask_many(count // 2, 4, chat(), headers=headers()):
                    assert answer.status == 200
                receiver.mode = store.receiver.mode = collector.mode = "ok"
                expected = {record["request_id"] for record in await gateway.wait_for_records(count)}
                async with asyncio.timeout(PATIENCE_S):
                    while [set(one) for one in ids(tmp_path, receiver, store)] != [expected] * 3:
                        await asyncio.sleep(0.1)
                    while {attributes(one)["pointsman.request.id"] for one in collector.logs} != expected:
                        await asyncio.sleep(0.1)

    run(main())
