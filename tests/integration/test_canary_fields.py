"""A secret in any field of a request, of an answer or of the configuration is in nothing that the gateway writes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pointsman
from fakes.collector import FakeCollector, collecting
from fakes.object_store import FakeObjectStore, storing
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from fakes.receiver import FakeReceiver, receiving
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

MARK = "xyzzy"
CANARY = f"sk-{MARK}-0123456789abcdef"
KEY = f"pm-{MARK}-of-the-client-0123456789"
SECRETS = {
    "PROVIDER_KEY": f"sk-{MARK}-of-the-provider",
    "CLIENT_KEY": KEY,
    "HOOK": "whsec_" + "eHl6enl4eXp6eXh5enp5eHl6enl4eXp6eXh5enp5",
    "HEADER": f"Bearer {MARK}-of-a-receiver",
    "S3_KEY": "canary-of-the-store",
    "DEAD": f"http://user:{MARK}-password@127.0.0.1:9",
}
FORMS = (MARK.encode(), b"eHl6enl4eXp6", MARK.encode().hex().encode(), b"eHl6en", b"canary-of-the-store")

_NAME = re.compile(r'b?"((?:x|anthropic|openai)-[a-z][a-z-]+)"')
_OTHERS = ("user-agent", "cookie", "referer", "accept", "accept-language", "from", "proxy-authorization", "x-other")
_TEXTS = ("user", "safety_identifier", "prompt_cache_key", "service_tier", "reasoning_effort", "verbosity", "unknown")
PATHS = ("chat/completions", "responses", "messages", "embeddings", f"{CANARY}", f"chat/completions?key={CANARY}")
PAGES: tuple[str, ...] = (
    "/metrics",
    "/readyz",
    "/api/v1/status",
    "/api/v1/requests?limit=1000",
    "/api/v1/records?limit=500",
)
PAGES += ("/api/v1/requests/export?format=csv", "/api/v1/requests/export?format=jsonl", "/api/v1/sessions")
PAGES += ("/api/v1/usage?group_by=model&group_by=tag:a", "/api/v1/usage?group_by=key&format=csv", "/api/v1/health")
PAGES += ("/api/v1/alerts", "/api/v1/alerts/history", "/api/v1/budgets?past=true", "/api/v1/requests/follow")


def read_headers() -> set[str]:
    """Return the names of all headers of clients that the source names."""
    folder = Path(pointsman.__file__).parent
    found: set[str] = set()
    for package in ("wire", "engine", "transport", "domain"):
        for path in (folder / package).rglob("*.py"):
            found |= {name.rstrip("-") for name in _NAME.findall(path.read_text())}
    return found - {"x-api-key", "x-gzip"}


def requests() -> Iterator[tuple[str, dict[str, str], Any]]:
    """Yield path, headers and body for a canary in each field."""
    plain = {"authorization": f"Bearer {KEY}"}
    for name in sorted({*read_headers(), *_OTHERS, "x-pointsman-tag-a"}):
        yield "chat/completions", {**plain, name: CANARY}, chat()
    yield "chat/completions", {**plain, f"x-pointsman-tag-{CANARY}": "a"}, chat()
    yield (
        "chat/completions",
        {**plain, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": f"a={CANARY}"},
        chat(),
    )
    for value in (f"Bearer {CANARY}", f"Basic {CANARY}", CANARY):
        yield "chat/completions", {"authorization": value}, chat()
    for name in _TEXTS:
        yield "chat/completions", plain, chat(**{name: CANARY})
    fields: list[dict[str, Any]] = [
        {"metadata": {CANARY: CANARY}},
        {"fallbacks": [f"echo/{CANARY}"]},
        {"stop": [CANARY]},
        {"tools": [{"type": "function", "function": {"name": CANARY, "description": CANARY}}]},
        {"messages": [{"role": "user", "content": CANARY, "name": CANARY}]},
        {CANARY: 1},
        {"temperature": CANARY},
    ]
    for one in fields:
        yield "chat/completions", plain, chat(**one)
    for model in (CANARY, f"echo/{CANARY}", f"steady/{CANARY}", "chat", "failing", "breaking"):
        for path in PATHS:
            for stream in (False, True):
                body = {**chat(model, stream=stream), "input": CANARY, "max_tokens": 10}
                yield path, plain, body
    yield "chat/completions", plain, f'{{"model": "{CANARY}", '.encode()
    yield "feedback", plain, {"request_id": CANARY, "score": 1, "comment": CANARY}
    name = "0197c5e0-aaaa-7bbb-8ccc-1234567890ab"
    yield "feedback", plain, {"request_id": name, "score": 1, "comment": f"see {CANARY}"}


async def echo(peer: Peer) -> None:
    """Repeat the whole request in an error, or in an answer."""
    while request := await peer.request():
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        text = request.decode("latin-1")
        status, head = 400, f"x-echo: {CANARY}\r\n"
        answer: dict[str, Any] = {"error": {"message": text, "type": CANARY, "code": CANARY, "param": CANARY}}
        if body.get("model") == "answer":
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            status, answer = 200, {"id": "resp-1", "model": CANARY, "choices": [choice], "usage": usage}
        elif body.get("model") == "fail":
            status = 500
        data = json.dumps(answer).encode()
        head = (
            f"HTTP/1.1 {status} {CANARY}\r\n{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        peer.send(head.encode(), data)


def sections(
    folder: Path, echo_url: str, receiver: FakeReceiver, store: FakeObjectStore, collector: FakeCollector
) -> dict[str, Any]:
    """Return a configuration with a secret in every field that may have one, and in labels and attributes."""
    to = {"type": "webhook", "url": receiver.url, "secrets": ["env.HOOK"], "headers": {"x-token": "env.HEADER"}}
    keys = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "env.S3_KEY"}
    objects = {"type": "s3", "url": store.receiver.url, "bucket": "logs", "region": "eu-central-1", "batch_s": 1}
    otlp = {"endpoint": collector.url, "signals": ["traces", "logs", "metrics"], "metrics_interval_s": 1}
    return {
        "providers": {"steady": Settings(models=("sim-1",))},
        "provider_settings": {
            "steady": {"keys": {"only": "env.PROVIDER_KEY"}, "serves": ["*"]},
            "echo": {"base_url": f"{echo_url}/v1", "keys": {"only": "env.PROVIDER_KEY"}, "serves": ["*"]},
            "dead": {
                "base_url": "http://127.0.0.1:9/v1",
                "keys": {"only": "env.PROVIDER_KEY"},
                "serves": ["*"],
                "egress": {"proxy": "env.DEAD"},
            },
        },
        "models": {
            "chat": ["steady/sim-1"],
            "failing": ["echo/fail", "echo/bad"],
            "breaking": ["dead/m", "echo/answer"],
        },
        "governance": {
            "virtual_keys": {
                "me": {
                    "value": "env.CLIENT_KEY",
                    "labels": {"note": CANARY},
                    "end_users": "trusted",
                    "budgets": [{"limit_usd": 0.001, "per": "day", "soft": True}],
                }
            },
            "defaults": [
                {"each": "end_user", "end_user_from": "user", "budgets": [{"limit_usd": 5, "per": "day", "soft": True}]}
            ],
        },
        "pricing": {
            "overrides": [
                {"model": "*", "input_usd_per_million": 100, "output_usd_per_million": 100, "max_output_tokens": 9}
            ]
        },
        "routing": {
            "rules": [{"name": "r", "when": 'headers["x-other"] == "a"', "targets": [{"model": "steady/sim-1"}]}]
        },
        "logging": {"level": "debug"},
        "bodies": {"all": True},
        "egress": {"allow_private": ["127.0.0.0/8"]},
        "telemetry": {
            "otlp": {**otlp, "headers": {"authorization": "env.HEADER"}},
            "traces": {"ratio": 1.0},
        },
        "sinks": {
            "file": {"type": "file", "path": str(folder / "r.jsonl"), "bodies": True},
            "hook": {**to, "bodies": True},
            "objects": {**objects, **keys, "bodies": True},
        },
        "alerts": {"channels": {"hook": to}, "rules": [{"name": "b", "kind": "budget", "labels": {"note": "a"}}]},
        "environ": SECRETS,
        "as_process": True,
    }


def test_no_canary_is_in_anything_that_the_gateway_writes(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving_script(echo) as origin:
            with receiving() as receiver, storing() as store, collecting() as collector:
                given = sections(tmp_path, str(origin.origin), receiver, store, collector)
                async with serving(**given) as gateway:
                    data = gateway.config_file.parent / "data"
                    names = ("file", "hook", "objects")
                    await until(lambda: all((data / f"sink-{one}.position").exists() for one in names), "sinks began")
                    statuses = set()
                    for path, headers, body in requests():
                        statuses.add((await gateway.ask(body, path=f"/v1/{path}", headers=headers)).status)
                    assert {200, 400, 401, 404} <= statuses
                    found = await everything(gateway, receiver, store, collector)
                    found["the sink's file"] = (tmp_path / "r.jsonl").read_bytes()
            await origin.stop()
        bad = [
            f"{where}: {text[max(0, text.find(form) - 200) : text.find(form) + 40]!r}"
            for where, text in found.items()
            for form in FORMS
            if form in text
        ]
        assert not bad, "\n".join(bad)
        assert b"[secret]" in found["the sink's file"]

    run(main())


async def everything(
    gateway: Gateway, receiver: FakeReceiver, store: FakeObjectStore, collector: FakeCollector
) -> dict[str, bytes]:
    """Return all that the gateway has written, by its place."""
    count = len(gateway.records)
    await until(lambda: len(store.records) >= count, "all records have arrived at the store of objects")
    await until(lambda: len(collector.logs) >= count, "all log records have arrived at the collector")
    await until(lambda: b"alert.fired" in receiver.raw, "the alert has arrived")
    found = {page: (await gateway.admin(page)).body for page in PAGES}
    assert all(found.values()), [page for page, text in found.items() if not text]
    record = gateway.records[0]
    for page in (f"/api/v1/requests/{record['request_id']}", f"/api/v1/requests/{record['request_id']}/bodies"):
        found[page] = (await gateway.admin(page)).body
    folder = gateway.config_file.parent
    for path in folder.rglob("*"):
        if path.is_file() and path != gateway.config_file and path.name != "snapshot":
            found[str(path.relative_to(folder))] = path.read_bytes()
    found["the output of the processes"] = "".join(gateway.stderr).encode()
    found["messages of webhooks"] = b"\n".join(one.target.encode() + one.body for one in receiver.received)
    found["objects"] = json.dumps([list(store.objects), store.records]).encode()
    found["OTLP"] = collector.raw
    return found
