"""Credentials, cookies, addresses and ids never pass the gateway, in either direction or into logs."""

from hashlib import sha256
from uuid import UUID

import msgspec
import pytest

from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import Gateway, run, serving
from integration.wire import ask, chat
from pointsman.admin.metrics import render
from pointsman.simulate import Settings

VIRTUAL_KEY = "pm-virtual-key-of-a-client-4242424242"
PROVIDER_KEYS = {"KEY_A": "sk-proj-the-first-key-9999999999", "KEY_B": "sk-proj-the-other/key+8888888888"}
CANARY = "canary7f3a"
CHAT = "/v1/chat/completions"
MODELS = {"chat": ["a/sim-1"]}
GOVERNANCE = {
    "require_key": True,
    "virtual_keys": {"notebook": {"value": f"sha256:{sha256(VIRTUAL_KEY.encode()).hexdigest()}"}},
}
KEYS = {"a": {"keys": {"first": "env.KEY_A"}}}

# Headers that no provider may see. Hop-by-hop headers are sent one by one, because some are rejected if sent together.
CLIENT_HEADERS = {
    "cookie": f"session={CANARY}",
    "x-api-key": VIRTUAL_KEY,
    "x-goog-api-key": CANARY,
    "api-key": CANARY,
    "openai-organization": CANARY,
    "openai-project": CANARY,
    "proxy-authorization": f"Basic {CANARY}",
    "x-forwarded-for": f"10.0.0.1, {CANARY}",
    "x-forwarded-host": CANARY,
    "x-forwarded-proto": CANARY,
    "x-real-ip": CANARY,
    "forwarded": f"for={CANARY}",
    "via": f"1.1 {CANARY}",
    "cf-connecting-ip": CANARY,
    "true-client-ip": CANARY,
    "referer": f"http://{CANARY}/",
    "origin": f"http://{CANARY}",
    "user-agent": CANARY,
    "host": CANARY,
    "te": f"trailers, {CANARY}",
    "trailer": CANARY,
    "keep-alive": f"timeout={CANARY}",
    "proxy-connection": CANARY,
    "upgrade": f"h2c, {CANARY}",
    "http2-settings": CANARY,
    "accept-encoding": f"br, {CANARY}",
    "accept-language": CANARY,
    "x-request-id": CANARY,
    "x-client-request-id": CANARY,
    "x-pointsman-attempt-id": CANARY,
    "traceparent": CANARY,
    "baggage": f"a={CANARY}",
    "x-stainless-lang": CANARY,
    "x-simulate-fault": f"status=500,{CANARY}",
    "x-pointsman-session": CANARY,
    "x-pointsman-tag-team": CANARY,
    "x-pointsman-attempts": CANARY,
    "x-amz-security-token": CANARY,
    "x-custom": CANARY,
}
PASSED_ON = {"openai-beta": "assistants=v2", "idempotency-key": "id-1", "accept": "application/json"}
SENT_ALWAYS = {"host", "user-agent", "content-type", "authorization", "content-length", "accept-encoding", "connection"}
# The gateway's id of the attempt, by which the provider's bill can be compared with ours.
SENT_ALWAYS |= {"x-client-request-id"}


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/files", "/v1/moderations"])
def test_only_listed_client_headers_go_upstream(path: str) -> None:
    body = chat() if path == CHAT else msgspec.json.encode({"model": "chat", "input": "x"})

    async def main() -> None:
        settings = Settings(models=("sim-1",), kept_requests=1000)
        async with serving(
            providers={"a": settings},
            models=MODELS,
            governance=GOVERNANCE,
            provider_settings=KEYS,
            environ=PROVIDER_KEYS,
            # If no key is required, other hosts and origins are rejected.
            server={"allowed_hosts": ["gateway.test", CANARY], "cors": {"origins": [f"http://{CANARY}"]}},
        ) as gateway:
            own = {"authorization": f"Bearer {VIRTUAL_KEY}", **PASSED_ON, "x-pointsman-provider": "a"}
            everything = {**CLIENT_HEADERS, "connection": "keep-alive"}
            options = [everything, *({name: value} for name, value in CLIENT_HEADERS.items())]
            options += [
                {"connection": f"upgrade, http2-settings, {CANARY}", "upgrade": "h2c", "http2-settings": CANARY},
                {"connection": f"close, x-custom, {CANARY}", "x-custom": CANARY},
            ]
            for headers in options:
                if path == "/v1/files":
                    received = await ask(gateway.base_url, "GET", path, headers={**own, **headers})
                else:
                    received = await ask(gateway.base_url, "POST", path, body, {**own, **headers})
                assert received.status in (200, 404), (headers, received)
            sent = gateway.providers["a"].requests
            assert len(sent) == len(options)
            for request in sent:
                text = b"\n".join(b": ".join(line) for line in request.raw_headers).decode("latin-1")
                assert CANARY not in text
                assert VIRTUAL_KEY not in text
                assert CANARY.encode() not in request.target.encode()
                assert request.headers["authorization"] == f"Bearer {PROVIDER_KEYS['KEY_A']}"
                request_id, _, ordinal = request.headers["x-client-request-id"].rpartition("-")
                assert (UUID(request_id).version, ordinal) == (7, "1")
                assert request.headers["host"] == f"127.0.0.1:{gateway.providers['a'].port}"
                assert request.headers.keys() <= SENT_ALWAYS | PASSED_ON.keys(), request.headers
                assert {name: request.headers.get(name) for name in PASSED_ON} == PASSED_ON
                assert len(request.raw_headers) == len(request.headers), "a header was sent twice"

    run(main())


PROVIDER_HEADERS = {
    "set-cookie": f"a={CANARY}",
    "server": CANARY,
    "x-request-id": CANARY,
    "request-id": CANARY,
    "cf-ray": CANARY,
    "openai-organization": CANARY,
    "openai-project": CANARY,
    "anthropic-organization-id": CANARY,
    "x-ratelimit-limit-requests": CANARY,
    "x-ratelimit-remaining-tokens": CANARY,
    "retry-after": "7",
    "via": CANARY,
    "alt-svc": CANARY,
    "location": f"http://{CANARY}/",
    "www-authenticate": CANARY,
    "proxy-authenticate": CANARY,
    "authorization": CANARY,
    "strict-transport-security": CANARY,
    "access-control-allow-origin": CANARY,
    "x-pointsman-provider": CANARY,
    "x-should-retry": CANARY,
    "trailer": CANARY,
    "keep-alive": CANARY,
    "x-custom": CANARY,
}
OWN = {
    "x-request-id",
    "x-pointsman-request-id",
    "x-pointsman-provider",
    "x-pointsman-model",
    "x-pointsman-attempts",
    "server-timing",
}
FRAMING = {"content-type", "content-length", "transfer-encoding", "connection", "x-should-retry"}
PASSED_BACK = {"cache-control": "no-cache", "openai-version": "2020-10-01", "openai-processing-ms": "5", "etag": '"x"'}


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
@pytest.mark.parametrize("stream", [False, True])
def test_only_listed_provider_headers_come_back(path: str, status: int, stream: bool) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**PROVIDER_HEADERS, **PASSED_BACK}.items())
    if stream and status == 200:
        kind, body = "text/event-stream", b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
        body += b'data: {"type":"response.completed"}\n\ndata: [DONE]\n\n'
    else:
        kind = "application/json"
        body = (
            b'{"choices":[{"message":{"content":"x"}}],"output":[]}'
            if status == 200
            else b'{"error":{"message":"no","type":"x","param":null,"code":null}}'
        )
    answer = (
        f"HTTP/1.1 {status} X\r\n{lines}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    )

    async def script(peer: Peer) -> None:
        while await peer.request():
            peer.send(answer)

    async def main() -> None:
        async with serving_script(script) as fake:
            given = {"a": {"base_url": f"{fake.origin}/v1"}}
            once = {"max_attempts": 1}
            async with serving(provider_settings=given, models=MODELS, routing=once) as gateway:
                content = chat(stream=stream)
                if path != CHAT:
                    content = msgspec.json.encode({"model": "chat", "input": "x", "stream": stream})
                received = await ask(gateway.base_url, "POST", path, content)
                assert (received.status < 300) == (status < 300)
                allowed = OWN | FRAMING | PASSED_BACK.keys() | ({"retry-after"} if status != 200 else set())
                allowed |= {"x-accel-buffering"} if stream and status == 200 else set()
                assert received.headers.keys() <= allowed, received.headers
                assert CANARY not in str(received.lines)
                assert received.headers["x-pointsman-provider"] == "a"
                assert len(received.lines) == len(received.headers), "a header was returned twice"
                if status == 200:
                    assert {name: received.headers.get(name) for name in PASSED_BACK} == PASSED_BACK
                    assert (received.headers.get("x-accel-buffering") == "no") is stream
                assert received.headers["x-request-id"] == received.headers["x-pointsman-request-id"]
                await fake.stop()

    run(main())


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_provider_key_that_an_answer_quotes_stays_secret(status: int) -> None:
    async def script(peer: Peer) -> None:
        while request := await peer.request():
            key = request.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()
            text = msgspec.json.encode({"error": {"message": f"Incorrect API key provided: {key}.", "code": key}})
            head = (
                f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-key: {key}\r\ncontent-length: {len(text)}"
            )
            peer.send(f"{head}\r\n\r\n".encode(), text)

    async def main() -> None:
        async with serving_script(script) as fake:
            base = {"base_url": f"{fake.origin}/v1"}
            given = {"a": {**base, "keys": {"one": "env.KEY_A", "two": "env.KEY_B"}}}
            async with serving(
                provider_settings=given,
                models=MODELS,
                governance=GOVERNANCE,
                environ=PROVIDER_KEYS,
                routing={"max_attempts": 2},
            ) as gateway:
                seen = ""
                for key in (VIRTUAL_KEY, VIRTUAL_KEY[:-1], "", f"{VIRTUAL_KEY}x"):
                    for path, body in (
                        (CHAT, chat()),
                        (CHAT, chat(stream=True)),
                        ("/v1/responses", msgspec.json.encode({"model": "chat", "input": "x"})),
                        ("/v1/embeddings", msgspec.json.encode({"model": "chat", "input": "x"})),
                        (CHAT, b"{"),
                        ("/v1/nothing", b"{}"),
                    ):
                        if path == "/v1/responses" and status == 200:
                            continue  # passed through unchanged, because it is the answer
                        received = await ask(gateway.base_url, "POST", path, body, {"authorization": f"Bearer {key}"})
                        seen += str(received.lines) + received.body.decode()
                        gateway.live.key_blocks.clear()
                        gateway.live.conditions.clear()
                        gateway.live.change()
                seen += await _written_text(gateway)
                for secret in (VIRTUAL_KEY[:-1], *PROVIDER_KEYS.values()):
                    for form in (secret, secret.replace("/", "\\/")):
                        assert form not in seen, seen[max(0, seen.find(form) - 300) : seen.find(form) + 100]
                assert "notebook" in seen
                await fake.stop()

    run(main())


async def _written_text(gateway: Gateway) -> str:
    """Return the request log, the metrics, and the captured logging output."""
    assert gateway.worker is not None
    await gateway.wait_for_records(1)
    return render(gateway.worker.metrics()).decode() + gateway.log_file.read_text() + "".join(gateway.errors)
