"""The gateway's answers to heads, to requests, and to bytes that are not a request."""

import json
from collections.abc import Callable
from hashlib import sha256
from time import time

import pytest
from msgspec.structs import replace

from fakes.engine import Rig, running_engine
from fakes.exchange import FakeClient, exchange_of, request_head
from fakes.origin import Peer, run
from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.holds import Hold
from pointsman.domain.identity import VirtualKey
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing, Snapshot, Timeouts
from pointsman.domain.targets import Strategy
from pointsman.engine.handle import PublicApi
from pointsman.routing.shared_view import SharedView
from pointsman.transport.http_head import BodyMode, Head

CHAT = b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}'
FORM = {b"content-type": b"multipart/form-data; boundary=B"}
SAID = b'{"text":"x","choices":[{"message":{"content":"x"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(SAID), SAID)


async def answer(peer: Peer) -> None:
    while True:
        await peer.answer(ANSWER)


def locked(rig: Rig, *values: bytes) -> None:
    """Put a configuration in force that requires one of these keys."""
    keys = {sha256(value).digest(): VirtualKey(name=value.decode(), digest=sha256(value).digest()) for value in values}
    rig.live.swap(replace(rig.snapshot, require_key=True, virtual_keys=keys))


def bearer(value: bytes) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + value}


def handle(gateway: PublicApi, head: Head, body: bytes = b"") -> FakeClient:
    """Call `accept` once for each head, then `handle`, like the server."""
    if head.mode is None:
        head.mode = gateway.accept(head)
    exchange, client = exchange_of(head, body)
    gateway.handle(exchange)
    return client


def error_of(client: FakeClient) -> str:
    return str(json.loads(client.body)["error"]["code"])


@pytest.mark.parametrize(
    ("head", "mode"),
    [
        (request_head(), BodyMode.BUFFER),
        (request_head("GET", "/healthz"), BodyMode.BUFFER),
        (request_head("GET", "/v1/models"), BodyMode.BUFFER),
        (request_head("GET", "/v1/files/file-1/content"), BodyMode.BUFFER),
        (request_head("POST", "/v1/audio/speech", {b"content-type": b"application/json"}), BodyMode.BUFFER),
        (request_head("POST", "/v1/files", FORM), BodyMode.STREAM),
        (request_head("POST", "/v1/audio/transcriptions", FORM), BodyMode.STREAM),
        (request_head("PUT", "/v1/uploads/u1", {b"content-type": b"application/octet-stream"}), BodyMode.STREAM),
    ],
    ids=lambda value: value.target.decode() if isinstance(value, Head) else "",
)
def test_only_uploads_are_streamed(head: Head, mode: BodyMode) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            assert PublicApi(rig.engine).accept(head) is mode

    run(main())


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (request_head("GET", "/v1/unheard-of"), failures.UNKNOWN_PATH),
        (request_head("GET", "/metrics"), failures.UNKNOWN_PATH),
        (request_head("DELETE", "/v1/chat/completions"), failures.METHOD_NOT_ALLOWED),
        (request_head("GET", "/v1/files/../../admin"), failures.INVALID_REQUEST),
        (request_head(), failures.UNKNOWN_KEY),
        (request_head(headers=bearer(b"wrong")), failures.UNKNOWN_KEY),
    ],
    ids=lambda value: value.code if isinstance(value, Kind) else "",
)
def test_bad_head_is_rejected_before_and_after_its_body(head: Head, kind: Kind) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"right")
            assert rejected(lambda: gateway.accept(head)).kind is kind
            head.mode = BodyMode.BUFFER  # the server does not call `accept` for a request in one read
            client = handle(gateway, head, CHAT)
            record = await rig.log.next()
            assert (client.status, error_of(client)) == (kind.status, kind.code)
            assert (record.status, record.code, record.attempts) == (kind.status, kind.code, ())
            assert client.headers[b"x-pointsman-request-id"].decode() == record.request_id
            assert rig.request_counts == [0]

    run(main())


def test_valid_request_is_served() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"right")
            client = handle(PublicApi(rig.engine), request_head(headers=bearer(b"right")), CHAT)
            record = await rig.log.next()
            assert (client.status, client.body) == (200, SAID)
            assert (record.virtual_key, record.path, record.bytes_in) == ("right", "/v1/chat/completions", len(CHAT))
            assert client.headers[b"x-pointsman-request-id"].decode() == record.request_id

    run(main())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_expired_key_is_rejected_and_named_in_the_log(path: str) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"right")
            ((digest, key),) = rig.live.snapshot.virtual_keys.items()
            keys = {digest: replace(key, expires_at=time() - 1, team="red", customer="acme")}
            rig.live.swap(replace(rig.live.snapshot, virtual_keys=keys))
            client = handle(
                PublicApi(rig.engine), request_head("POST" if "chat" in path else "GET", path, bearer(b"right")), CHAT
            )
            record = await rig.log.next()
            assert (client.status, error_of(client)) == (401, "invalid_api_key")
            message = json.loads(client.body)["error"]["message"]
            assert message.startswith("the virtual key has expired; present another one")
            assert "right" not in message
            assert (record.status, record.message) == (401, "the virtual key has expired; present another one")
            assert (record.virtual_key, record.team, record.customer) == ("right", "red", "acme")
            assert rig.request_counts == [0]

    run(main())


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"model":"chat","model":"x","messages":[]}'])
def test_unreadable_body_reaches_no_provider(body: bytes) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"right")
            headers = {b"x-request-id": b"mine", **bearer(b"right")}
            client = handle(PublicApi(rig.engine), request_head(headers=headers), body)
            record = await rig.log.next()
            assert record.virtual_key == "right"
            assert (client.status, client.ended, record.code) == (400, "finished", error_of(client))
            assert record.client_request_id == "mine"
            assert rig.request_counts == [0]

    run(main())


def test_health_and_readiness() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"right")  # health needs no key

            def status(path: str) -> tuple[int, str]:
                client = handle(gateway, request_head("GET", path))
                return client.status, json.loads(client.body)["status"]

            assert (status("/healthz"), status("/readyz")) == ((200, "ok"), (200, "ok"))
            digest = json.loads(handle(gateway, request_head("GET", "/readyz")).body)["config"]
            assert rig.snapshot.digest.startswith(digest)
            gateway.is_draining = True
            assert (status("/healthz"), status("/readyz")) == ((200, "ok"), (503, "draining"))
            assert rig.log.records == [], "probes are not logged"

    run(main())


# A request keeps the configuration that it was admitted under.


def test_reload_between_two_attempts_does_not_affect_the_request() -> None:
    def configured(rig: Rig, nano: int, routing: Routing) -> Snapshot:
        price = PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=0), request_nano=nano))
        return replace(rig.snapshot, pricing=Pricing("deny", (price,)), routing=routing)

    async def main() -> None:
        async def reloading(peer: Peer) -> None:
            await peer.request()
            rig.live.swap(replace(later, endpoints={}, models={}, limit_headers=True))
            peer.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            await peer.wait_closed()

        async with running_engine(reloading, answer) as rig:
            later = configured(
                rig, 900, Routing(strategy=Strategy("weighted"), max_attempts=1, timeouts=Timeouts(commit_s=0.001))
            )
            rig.live.swap(configured(rig, 7, Routing(strategy=Strategy("priority"))))
            client = handle(PublicApi(rig.engine), request_head(), CHAT)
            record = await rig.log.next()
            assert (client.status, record.strategy, record.provider) == (200, "priority", "beta")
            assert [one.outcome for one in record.attempts] == ["upstream_error", "ok"]
            assert record.cost_nano == 7, "at the price it was admitted under"
            assert not any(name.startswith(b"x-ratelimit") for name in client.headers)

    run(main())


# Uploads.

FIELD = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nchat\r\n'
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\naudio\r\n--B--\r\n'


def upload(gateway: PublicApi) -> tuple[FakeClient, Callable[[], None]]:
    """Begin an upload. Return its client and a function that disconnects it."""
    head = request_head("POST", "/v1/audio/transcriptions", FORM)
    head.mode = gateway.accept(head)
    exchange, client = exchange_of(head, length=len(FIELD + FILE))
    gateway.handle(exchange)
    return client, lambda: client.disconnect(exchange)


def test_small_upload_is_served_when_it_is_complete() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FIELD[:20], FIELD[20:])
            client.upload(FILE[:10])
            assert rig.live.in_progress == {}, "more fields may follow"
            client.upload(FILE[10:], ends=True)
            assert rig.live.in_progress == {"alpha/m": 1}
            record = await rig.log.next()
            assert (client.status, record.model, record.upstream_model) == (200, "chat", "m")
            (peer,) = rig.origins["alpha"].peers
            assert peer.received.endswith(FIELD.replace(b"chat", b"m") + FILE)

    run(main())


def test_reload_during_an_upload_does_not_affect_it() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FIELD)
            rig.live.swap(replace(rig.snapshot, models={}))
            client.upload(FILE, ends=True)
            record = await rig.log.next()
            assert (client.status, record.model, record.upstream_model) == (200, "chat", "m")

    run(main())


def test_upload_without_a_model_is_rejected() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FILE, ends=True)
            record = await rig.log.next()
            assert (client.status, client.ended, record.code) == (400, "finished", "invalid_request")
            assert rig.request_counts == [0]

    run(main())


def test_upload_cancelled_by_a_shutdown_before_its_model_is_rejected() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway, head = PublicApi(rig.engine), request_head("POST", "/v1/audio/transcriptions", FORM)
            head.mode = gateway.accept(head)
            exchange, client = exchange_of(head, length=len(FIELD + FILE))
            gateway.handle(exchange)
            client.upload(FIELD[:20])
            assert exchange.on_cancel is not None
            exchange.on_cancel()
            record = await rig.log.next()
            assert (client.status, error_of(client), client.headers[b"retry-after"]) == (503, "shutting_down", b"1")
            assert (record.status, record.code, record.attempts) == (503, "shutting_down", ())

    run(main())


def test_disconnect_before_the_model_is_known_is_recorded() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            client, leave = upload(PublicApi(rig.engine))
            client.upload(FIELD[:20])
            leave()
            record = await rig.log.next()
            assert (record.status, record.code, record.attempts) == (499, "client_disconnected", ())
            assert rig.request_counts == [0]

    run(main())


@pytest.mark.parametrize(("peer", "status"), [("10.1.2.3", 200), ("192.0.2.1", 403)])
def test_key_is_bound_to_its_networks(peer: str, status: int) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"right")
            keys = {one: replace(key, networks=("10.0.0.0/8",)) for one, key in rig.live.snapshot.virtual_keys.items()}
            rig.live.swap(replace(rig.live.snapshot, virtual_keys=keys))
            gateway, head = PublicApi(rig.engine), request_head("GET", "/v1/models", bearer(b"right"))
            head.mode = gateway.accept(head)
            exchange, client = exchange_of(head, b"")
            client.peer = peer
            gateway.handle(exchange)
            assert client.status == status
            record = await rig.log.next()
            assert record.client == peer
            if status == 403:
                assert error_of(client) == "network_not_allowed"
                assert "10.0.0.0" not in client.body.decode()

    run(main())


def test_paused_team_is_rejected_until_the_pause_ends() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"right")
            keys = {one: replace(key, team="red") for one, key in rig.live.snapshot.virtual_keys.items()}
            rig.live.swap(replace(rig.live.snapshot, virtual_keys=keys))
            gateway, head = PublicApi(rig.engine), request_head("GET", "/v1/models", bearer(b"right"))
            assert handle(gateway, head).status == 200
            for holds, status in (([Hold("team=red")], 403), ([Hold("team=blue")], 200), ([], 200)):
                SharedView(rig.live).hold(holds, 0.0, 0.0)
                assert handle(gateway, head).status == status

    run(main())
