"""What the gateway says to a head, to a request, and to what is no request at all."""

import json
from collections.abc import Callable
from hashlib import sha256
from time import time

import pytest
from msgspec.structs import replace

from fakes.engine import Rig, engine_before
from fakes.exchange import FakeClient, exchange_of, request_head
from fakes.origin import Peer, run
from fakes.wire import refused
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.identity import VirtualKey
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing, Snapshot, Timeouts
from pointsman.domain.targets import Strategy
from pointsman.engine.handle import PublicApi
from pointsman.transport.http_head import BodyMode, Head

CHAT = b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}'
FORM = {b"content-type": b"multipart/form-data; boundary=B"}
SAID = b'{"text":"x","choices":[{"message":{"content":"x"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(SAID), SAID)


async def answer(peer: Peer) -> None:
    while True:
        await peer.answer(ANSWER)


def locked(rig: Rig, *values: bytes) -> None:
    """Have the configuration in force ask for one of these keys."""
    keys = {sha256(value).digest(): VirtualKey(name=value.decode(), digest=sha256(value).digest()) for value in values}
    rig.live.swap(replace(rig.snapshot, require_key=True, virtual_keys=keys))


def bearer(value: bytes) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + value}


def handle(gateway: PublicApi, head: Head, body: bytes = b"") -> FakeClient:
    """As the server does: `accept` once for each head, then `handle`."""
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
def test_only_uploads_are_passed_on_as_they_arrive(head: Head, mode: BodyMode) -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
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
def test_a_head_that_is_refused_is_refused_before_and_after_its_body(head: Head, kind: Kind) -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"right")
            assert refused(lambda: gateway.accept(head)).kind is kind
            head.mode = BodyMode.BUFFER  # a request that came in one read is handled without asking
            client = handle(gateway, head, CHAT)
            record = await rig.log.next()
            assert (client.status, error_of(client)) == (kind.status, kind.code)
            assert (record.status, record.code, record.attempts) == (kind.status, kind.code, ())
            assert client.headers[b"x-pointsman-request-id"].decode() == record.request_id
            assert rig.asked == [0]

    run(main())


def test_a_request_is_served() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            locked(rig, b"right")
            client = handle(PublicApi(rig.engine), request_head(headers=bearer(b"right")), CHAT)
            record = await rig.log.next()
            assert (client.status, client.body) == (200, SAID)
            assert (record.virtual_key, record.path, record.bytes_in) == ("right", "/v1/chat/completions", len(CHAT))
            assert client.headers[b"x-pointsman-request-id"].decode() == record.request_id

    run(main())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_a_key_that_has_expired_is_told_so_and_named_in_the_log(path: str) -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
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
            assert rig.asked == [0]

    run(main())


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"model":"chat","model":"x","messages":[]}'])
def test_a_body_that_cannot_be_read_asks_nobody(body: bytes) -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            locked(rig, b"right")
            headers = {b"x-request-id": b"mine", **bearer(b"right")}
            client = handle(PublicApi(rig.engine), request_head(headers=headers), body)
            record = await rig.log.next()
            assert record.virtual_key == "right"
            assert (client.status, client.ended, record.code) == (400, "finished", error_of(client))
            assert record.client_request_id == "mine"
            assert rig.asked == [0]

    run(main())


def test_health_and_readiness() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"right")  # health asks for no key

            def status(path: str) -> tuple[int, str]:
                client = handle(gateway, request_head("GET", path))
                return client.status, json.loads(client.body)["status"]

            assert (status("/healthz"), status("/readyz")) == ((200, "ok"), (200, "ok"))
            digest = json.loads(handle(gateway, request_head("GET", "/readyz")).body)["config"]
            assert rig.snapshot.digest.startswith(digest)
            gateway.is_draining = True
            assert (status("/healthz"), status("/readyz")) == ((200, "ok"), (503, "draining"))
            assert rig.log.records == [], "probes are no requests"

    run(main())


# A request keeps the configuration that it was admitted under.


def test_a_reload_between_two_attempts_changes_nothing_for_the_request() -> None:
    def configured(rig: Rig, nano: int, routing: Routing) -> Snapshot:
        price = PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=0), request_nano=nano))
        return replace(rig.snapshot, pricing=Pricing("deny", (price,)), routing=routing)

    async def main() -> None:
        async def reloading(peer: Peer) -> None:
            await peer.request()
            rig.live.swap(replace(later, endpoints={}, models={}, limit_headers=True))
            peer.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            await peer.gone()

        async with engine_before(reloading, answer) as rig:
            later = configured(
                rig, 900, Routing(strategy=Strategy("weighted"), max_attempts=1, timeouts=Timeouts(commit_s=0.001))
            )
            rig.live.swap(configured(rig, 7, Routing()))
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
    """Begin an upload; the second part is its client going away."""
    head = request_head("POST", "/v1/audio/transcriptions", FORM)
    head.mode = gateway.accept(head)
    exchange, client = exchange_of(head, length=len(FIELD + FILE))
    gateway.handle(exchange)
    return client, lambda: client.leave(exchange)


def test_an_upload_that_fits_is_served_once_it_is_whole() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FIELD[:20], FIELD[20:])
            client.upload(FILE[:10])
            assert rig.live.in_progress == {}, "more of what is acted on may follow"
            client.upload(FILE[10:], ends=True)
            assert rig.live.in_progress == {"alpha/m": 1}
            record = await rig.log.next()
            assert (client.status, record.model, record.upstream_model) == (200, "chat", "m")
            (peer,) = rig.origins["alpha"].peers
            assert peer.received.endswith(FIELD.replace(b"chat", b"m") + FILE)

    run(main())


def test_a_reload_while_an_upload_arrives_changes_nothing_for_it() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FIELD)
            rig.live.swap(replace(rig.snapshot, models={}))
            client.upload(FILE, ends=True)
            record = await rig.log.next()
            assert (client.status, record.model, record.upstream_model) == (200, "chat", "m")

    run(main())


def test_an_upload_that_names_no_model_is_refused() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            client, _ = upload(PublicApi(rig.engine))
            client.upload(FILE, ends=True)
            record = await rig.log.next()
            assert (client.status, client.ended, record.code) == (400, "finished", "invalid_request")
            assert rig.asked == [0]

    run(main())


def test_an_upload_that_the_gateway_ends_before_its_model_is_known_is_told_so() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
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


def test_a_client_that_leaves_before_its_model_is_known_is_accounted_for() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            client, leave = upload(PublicApi(rig.engine))
            client.upload(FIELD[:20])
            leave()
            record = await rig.log.next()
            assert (record.status, record.code, record.attempts) == (499, "client_disconnected", ())
            assert rig.asked == [0]

    run(main())
