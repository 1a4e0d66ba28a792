"""Secrets stay secret: no output of the gateway contains one, plain or encoded."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.origin import FakeOrigin, Peer
from fakes.origin import serving as serving_script
from integration.client import Client
from integration.databases import database
from integration.gateway import ADMIN_TOKEN, Gateway, chat, run, serving, until
from integration.governance import governance, prices, settings, usd, virtual_key

SECRETS = {
    "PROVIDER_KEY": "sk-proj-canary-of-a-provider/key+4711",
    "ECHOED_KEY": "sk-proj-canary-that-is-repeated/back+0815",
    "VIRTUAL_KEY": "pm-canary-of-a-virtual-key-1234567890",
    "HASHED_KEY": "pm-key-of-the-tests-canary",  # of which the file has the SHA-256 only
    "POINTSMAN_ADMIN_TOKEN": ADMIN_TOKEN,
    "STORE_PASSWORD": "canary-of-a-password-2342",
}
PAGES = ["/metrics", "/readyz", "/", "/console.js", "/api/v1/status", "/api/v1/budgets?past=true", "/api/v1/unsettled"]
PAGES += ["/api/v1/usage", "/api/v1/usage?group_by=key&group_by=provider&format=csv", "/api/v1/requests?limit=1000"]
PAGES += ["/api/v1/records?limit=500"]


def disguises(secret: str) -> Iterator[bytes]:
    """Return the secret in every form that could appear: plain, in JSON and addresses, in hexadecimal, and in Base64 at
    any offset."""
    data = secret.encode()
    yield from (data, secret.replace("/", "\\/").encode(), quote(secret, safe="").encode())
    yield from (data.hex().encode(), data.hex().upper().encode())
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + data).rstrip(b"=")
        inner = coded[(0, 2, 3)[offset] : -1]  # without characters that depend on the neighbouring bytes
        yield from (inner, inner.translate(bytes.maketrans(b"+/", b"-_")))


def find(text: bytes, where: str) -> list[str]:
    return [
        f"{name} is in {where}: {text[max(0, text.find(form) - 100) : text.find(form) + 20]!r}"
        for name, secret in SECRETS.items()
        for form in disguises(secret)
        if form in text
    ]


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[FakeOrigin]:
    """Return a provider that rejects every key and repeats it."""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            key = request.partition(b"Bearer ")[2].partition(b"\r\n")[0]
            body = b'{"error":{"message":"Incorrect API key provided: %b","code":"%b"}}' % (key, key)
            peer.send(b"HTTP/1.1 401 X\r\nx-key: %b\r\ncontent-length: %d\r\n\r\n" % (key, len(body)), body)

    async with serving_script(script) as fake:
        yield fake
        await fake.stop()


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_no_secret_is_written_or_returned(where: str) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            environ = dict(SECRETS)
            store: dict[str, Any] = {}
            if where == "postgresql":
                # A server that trusts its own machine accepts any password.
                parts = urlsplit(await stack.enter_async_context(database()))
                user, _, place = f"postgres@{parts.netloc}".rpartition("@")
                name = user.rpartition("@")[2].partition(":")[0]
                password = parts.password or SECRETS["STORE_PASSWORD"]
                with_password = f"{name}:{password}@{place}"
                environ["STORE"] = urlunsplit(parts._replace(netloc=with_password))
                store = {"store": {"url": "env.STORE"}}
            fake = await stack.enter_async_context(echoing())
            keys = {
                "hashed": virtual_key("canary", budgets=usd(1)),
                "named": {"value": "env.VIRTUAL_KEY", "budgets": usd("0.000001", "day")},
            }
            gateway = await stack.enter_async_context(
                serving(
                    providers={"alpha": settings(keys={SECRETS["PROVIDER_KEY"]: ""})},
                    provider_settings={
                        "alpha": {"keys": {"one": "env.PROVIDER_KEY"}},
                        "echo": {"base_url": f"{fake.origin}/v1", "keys": {"one": "env.ECHOED_KEY"}, "serves": ["*"]},
                    },
                    models={
                        "chat": ["echo/gpt-4o-mini", "alpha/gpt-4o-mini"],
                        "lost": ["echo/gpt-4o-mini"],
                        "dear": ["alpha/gpt-4o-mini"],
                    },
                    governance=governance({}, virtual_keys=keys),
                    pricing=prices("alpha/gpt-4o-mini", "echo/gpt-4o-mini"),
                    logging={"level": "debug"},
                    environ=environ,
                    as_process=True,
                    **store,
                )
            )
            found = await send_all_kinds_of_requests(gateway)
            found += await read_all_pages(gateway)
            folder = gateway.config_file.parent
            written = [path for path in folder.rglob("*") if path.is_file()]
            names = {path.name for path in written} | {path.suffix for path in written}
            assert {"snapshot", ".seg", "requests.log"} <= names
            assert (where == "postgresql") != ("pointsman.db" in names)
            for path in written:
                found += find(path.read_bytes(), str(path.relative_to(folder)))
            found += find("".join(gateway.stderr).encode(), "the output of the processes")
            for pid in gateway.children.values():  # every user of the machine can read these
                found += find(Path(f"/proc/{pid}/cmdline").read_bytes(), "the arguments of a process")
            known = Path(f"/proc/{gateway.children['admin']}/environ").read_bytes()
            needed = ("STORE_PASSWORD is", "POINTSMAN_ADMIN_TOKEN is")
            found += [one for one in find(known, "the environment of admin") if not one.startswith(needed)]
            if where == "postgresql":
                found += find(await dump(environ["STORE"]), "the database")
            assert not found, "\n".join(found)

    run(main())


@pytest.mark.parametrize("is_openai", [True, False])
def test_quoted_prompt_is_returned_to_the_client_only(is_openai: bool) -> None:
    prompt = "canary-of-a-prompt-4812"

    async def script(peer: Peer) -> None:
        while await peer.request():
            fields = b'"message":"cannot read %b","param":"messages"' % prompt.encode()
            body = b'{"error":{%b}}' % fields if is_openai else b"{%b}" % fields
            peer.send(b"HTTP/1.1 400 X\r\ncontent-length: %d\r\n\r\n" % len(body), body)

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            fake = await stack.enter_async_context(serving_script(script))
            provider = {
                "base_url": f"{fake.origin}/v1",
                "serves": ["*"],
                "type": "openai-compatible",
                "keys": {"k": ""},
            }
            gateway = await stack.enter_async_context(serving(provider_settings={"quoting": provider}, as_process=True))
            body = {"model": "quoting/m", "messages": [{"role": "user", "content": prompt}]}
            answer = await gateway.ask(body)
            assert answer.status == 400
            assert prompt in answer.json["error"]["message"]
            (record,) = await gateway.wait_for_records(1)
            assert record["message"] == record["attempts"][0]["message"] == "the provider returned 400 (param messages)"
            for path in gateway.config_file.parent.rglob("*"):
                assert not path.is_file() or prompt.encode() not in path.read_bytes(), path
            await fake.stop()

    run(main())


PROMPT, KEY = "canary-of-a-prompt-4812", "sk-proj-canary-of-a-key-that-is-quoted-in-parts"
ERROR = {
    "message": f"cannot serve {PROMPT} with {KEY[:12]}****{KEY[-4:]} or {KEY[8:30]}",
    "type": PROMPT,
    "code": KEY[:20],
    "param": f"messages.{PROMPT}",
}
WHOLE = b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
DELTA = b'data: {"type":"response.output_text.delta","delta":"hi","sequence_number":1}\n\n'


def replies() -> Iterator[tuple[str, str, bool, int, bytes, bytes]]:
    """Yield name, path, stream, status, content type and body for every place in which a provider may quote a prompt or
    a key."""
    error = json.dumps({"error": ERROR}).encode()
    shapes = {"openai": error, "bare": json.dumps(ERROR).encode(), "html": b"<html>%b</html>" % PROMPT.encode()}
    shapes["text"] = ERROR["message"].encode()
    for path in ("chat/completions", "responses", "embeddings"):
        for status in (400, 401, 403, 404, 413, 422, 429, 500, 503):
            for shape, body in shapes.items():
                yield f"{path}-{status}-{shape}", path, False, status, b"application/json", body
        for shape, body in {**shapes, "cut": WHOLE[:40] + PROMPT.encode()}.items():
            yield f"{path}-200-{shape}", path, False, 200, b"application/json", body
    for path, content in (("chat/completions", CHUNK), ("responses", DELTA)):
        failed = json.dumps({"type": "response.failed", "response": {"status": "failed", "error": ERROR}}).encode()
        events = {
            "error": b"event: error\ndata: %b\n\n" % error,
            "flat": b"event: error\ndata: %b\n\n" % json.dumps({**ERROR, "type": "error"}).encode(),
            "failed": b"event: response.failed\ndata: %b\n\n" % failed,
            "unreadable": b"data: %b\n\n" % PROMPT.encode() * 2,
        }
        if path == "chat/completions":
            del events["failed"]  # is not of its dialect
        for name, event in events.items():
            for where, before in (("first", b""), ("later", content)):
                yield f"{path}-stream-{name}-{where}", path, True, 200, b"text/event-stream", before + event


def test_provider_messages_are_not_stored_and_returned_only_for_client_faults() -> None:
    """This covers every failure of a provider, in every form of answer."""
    cases = {name: (path, stream, status, kind, body) for name, path, stream, status, kind, body in replies()}

    origin = ""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            name = json.loads(request.partition(b"\r\n\r\n")[2])["model"]
            _, _, status, kind, body = cases[name]
            body = body.replace(b"4812", b"4812 of %b" % origin.encode())
            head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\nx-echo: %b\r\n" % (status, kind, PROMPT.encode())
            peer.send(head + b"content-length: %d\r\n\r\n" % len(body), body)

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nonlocal origin
            fake = await stack.enter_async_context(serving_script(script))
            origin = str(fake.origin)
            provider = {"base_url": f"{origin}/v1", "type": "openai-compatible", "keys": {"one": "env.KEY"}}
            names = {name: f"p{number}" for number, name in enumerate(cases)}  # no breaker or block may interfere
            gateway = await stack.enter_async_context(
                serving(
                    provider_settings=dict.fromkeys(names.values(), provider),
                    routing={"max_attempts": 1},
                    environ={"KEY": KEY},
                    as_process=True,
                )
            )
            for name, (path, stream, _, _, _) in cases.items():
                body = {"model": f"{names[name]}/{name}", "stream": stream, "input": PROMPT, "store": False}
                if path == "chat/completions":
                    body["messages"] = [{"role": "user", "content": PROMPT}]
                answer = await gateway.ask(body, path=f"/v1/{path}")
                text = answer.body.decode()
                for part in (KEY[:12], KEY[-12:], KEY[8:20], origin.partition("//")[2]):
                    assert part not in text, (name, text)
                if PROMPT in text:
                    assert answer.status in (400, 404, 413, 422), (name, text)
            await gateway.wait_for_records(len(cases))
            for record in gateway.records:
                assert PROMPT not in json.dumps(record), record
            for page in PAGES:
                assert PROMPT.encode() not in (await gateway.admin(page)).body, page
            for path_of_file in gateway.config_file.parent.rglob("*"):
                if path_of_file.is_file():
                    written = path_of_file.read_bytes()
                    assert PROMPT.encode() not in written, path_of_file
                    assert KEY[:12].encode() not in written, path_of_file
            await fake.stop()

    run(main())


async def send_all_kinds_of_requests(gateway: Gateway) -> list[str]:
    """Send requests that are served, rejected, invalid, and rejected by a provider that repeats the key."""
    found: list[str] = []
    admitted = 0
    for key in (SECRETS["HASHED_KEY"], SECRETS["VIRTUAL_KEY"], SECRETS["PROVIDER_KEY"], ADMIN_TOKEN):
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"authorization": f"Basic {key}"}):
            for body in (chat(), chat(stream=True), chat("lost"), chat("dear"), chat("unknown"), b'{"model":'):
                answer = await gateway.ask(body, headers=headers)
                admitted += answer.status not in (401, 429)  # only a few rejections per second are logged
                found += find(str(answer.headers).encode() + answer.body, "an answer")
    await until(
        lambda: sum(one["status"] not in (401, 429) for one in gateway.records) >= admitted,
        "all requests are in the log",
    )
    assert {200, 400, 401, 402} <= {record["status"] for record in gateway.records}
    return found


async def read_all_pages(gateway: Gateway) -> list[str]:
    """Read every page of the console's listener, as the admin and without a token."""
    found: list[str] = []

    def is_caught_up() -> bool:
        return len(gateway.records) > 0

    await until(is_caught_up, "requests are in the log")
    port = int(gateway.console_url.rpartition(":")[2])
    ids = [record["request_id"] for record in gateway.records[:20]]
    for page in [*PAGES, *(f"/api/v1/requests/{name}" for name in ids)]:
        answer = await gateway.admin(page)
        assert answer.status in (200, 404), (page, answer)
        found += find(str(answer.headers).encode() + answer.body, page)
        for token in (ADMIN_TOKEN[:-1], SECRETS["VIRTUAL_KEY"], ADMIN_TOKEN + "x"):
            client = await Client.connect(port)
            headers = {"host": "127.0.0.1", "authorization": f"Bearer {token}"}
            answer = await client.ask(path=page, method="GET", headers=headers)
            await client.close()
            assert (answer.status == 401) == page.startswith("/api/"), (page, answer)
            found += find(str(answer.headers).encode() + answer.body, page)
    return found


async def dump(url: str) -> bytes:
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    pages = [str(await connection.fetch(f"select * from {table['tablename']}")) for table in tables]
    records = await connection.fetch("select record from requests")
    await connection.close()
    assert records
    return "\n".join(pages).encode() + b"\n".join(row["record"] for row in records)
