"""Access by web pages, proxies, clients with wrong keys or other protocols, and very slow clients."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, chat, run, serving, until
from integration.wire import connect, request
from pointsman.engine.rejections import FAILURES
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
KEY = "sk-pm-0123456789abcdef0123456789abcdef"
PAGE = "https://app.example.com"
KEYS: dict[str, Any] = {
    "require_key": True,
    "virtual_keys": {"one": {"value": "sha256:" + sha256(KEY.encode()).hexdigest()}},
}
STARTED: dict[str, Any] = {
    "providers": {"a": Settings(models=("sim-1",), output_tokens=2)},
    "models": {"chat": ["a/sim-1"]},
}


async def _ask(gateway: Gateway, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Return the status and the whole text of the answer."""
    data = head.replace("\n", "\r\n").encode() + b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        len(body),
        body,
    )
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(data)
        answer = await reader.read(-1)
        writer.close()
    return int(answer[9:12]), answer


def _chat(host: str = "localhost", *lines: str) -> str:
    return f"POST {CHAT} HTTP/1.1\nHost: {host}\nContent-Type: text/plain\n" + "".join(f"{line}\n" for line in lines)


def test_web_pages_are_rejected_if_no_key_is_required() -> None:
    body = json.dumps(chat()).encode()

    async def main() -> None:
        async with serving(**STARTED, server={"cors": {"origins": [PAGE]}, "allowed_hosts": []}) as gateway:
            assert (await _ask(gateway, _chat("attacker.example"), body))[
                0
            ] == 421  # a host name that resolves to loopback
            assert (await _ask(gateway, _chat("localhost", "Origin: https://attacker.example"), body))[0] == 403
            assert (await _ask(gateway, _chat("localhost", "Origin: null"), body))[0] == 403
            assert not gateway.providers["a"].bill.entries
            status, answer = await _ask(gateway, _chat("localhost", f"Origin: {PAGE}"), body)
            assert status == 200
            assert f"access-control-allow-origin: {PAGE}".encode() in answer
            # An earlier allowed request does not allow other pages.
            assert (await _ask(gateway, _chat("localhost", "Origin: https://attacker.example"), body))[0] == 403
            assert (await _ask(gateway, _chat("127.0.0.1"), body))[0] == 200

    run(main())


def test_preflight_is_answered_for_listed_origins() -> None:
    asking = f"OPTIONS {CHAT} HTTP/1.1\nHost: localhost\nAccess-Control-Request-Method: POST\n"

    async def main() -> None:
        async with serving(**STARTED, server={"cors": {"origins": [PAGE]}}, governance=KEYS) as gateway:
            status, answer = await _ask(
                gateway, asking + f"Origin: {PAGE}\nAccess-Control-Request-Headers: authorization\n"
            )
            assert status == 204
            assert b"access-control-allow-headers: authorization" in answer
            status, answer = await _ask(gateway, asking + "Origin: https://attacker.example\n")
            assert status == 405
            assert b"allow: POST" in answer
            assert b"access-control" not in answer

    run(main())


def test_websockets_are_rejected_with_a_message() -> None:
    upgrade = "Host: localhost\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x\n"

    async def main() -> None:
        async with serving(**STARTED, governance=KEYS) as gateway:
            status, answer = await _ask(gateway, f"GET /v1/realtime?model=chat HTTP/1.1\n{upgrade}")
            assert status == 400
            assert b"WebSocket" in answer

    run(main())


def test_wrong_keys_cost_little_while_known_keys_are_served() -> None:
    async def main() -> None:
        async with serving(**STARTED, governance=KEYS) as gateway:
            client = await gateway.connect()
            wrong = {"authorization": "Bearer wrong", "x-stainless-retry-count": "2"}
            statuses = [(await client.ask(chat(), headers=wrong)).status for _ in range(3 * FAILURES)]
            assert statuses == [401] * FAILURES + [429] * (2 * FAILURES)
            answer = await client.ask(chat(), headers=wrong)
            assert answer.headers["retry-after"]
            assert (await client.ask(chat(), headers={"authorization": f"Bearer {KEY}"})).status == 200
            await client.close()
            await until(lambda: any(one["status"] == 200 for one in gateway.records), "the request is in the log")
            records = gateway.records
            refused = [record for record in records if record["status"] != 200]
            assert sha256(b"wrong").hexdigest()[:8] in refused[0]["message"]
            assert (refused[0]["client"], refused[0]["client_retries"]) == ("127.0.0.1", "2")
            assert len(refused) < 3 * FAILURES
            metrics = await gateway.metrics()
            counted = sum(value for name, value in metrics.items() if name.startswith("pointsman_requests_total"))
            assert counted == 3 * FAILURES + 2
            assert "wrong" not in json.dumps(records)

    run(main())


def test_trusted_proxy_passes_on_its_clients_address() -> None:
    async def main() -> None:
        async with serving(**STARTED, server={"trusted_proxies": ["127.0.0.0/8"]}, governance=KEYS) as gateway:
            client = await gateway.connect()
            for number in range(2 * FAILURES):
                headers = {"authorization": "Bearer wrong", "x-forwarded-for": f"203.0.113.{number}"}
                assert (await client.ask(chat(), headers=headers)).status == 401
            assert [(await client.ask(chat(), headers={"authorization": "Bearer x"})).status for _ in range(30)] == [
                401
            ] * 30
            headers = {"authorization": f"Bearer {KEY}", "x-forwarded-for": "1.2.3.4, 198.51.100.7"}
            assert (await client.ask(chat(), headers=headers)).status == 200
            await client.close()
            await until(lambda: any(one["status"] == 200 for one in gateway.records), "the request is in the log")
            records = gateway.records
            assert records[0]["client"] == "203.0.113.0"
            assert next(one["client"] for one in records if one["status"] == 200) == "198.51.100.7"

    run(main())


def test_long_request_targets_of_unknown_clients_are_not_stored() -> None:
    async def main() -> None:
        async with serving(**STARTED, governance=KEYS) as gateway:
            assert gateway.worker is not None
            async with connect(gateway.base_url) as wire:
                for number in range(200):
                    path = f"/v1/files/{number}" + "a" * 30_000
                    assert (await wire.ask("GET", path)).status in (401, 429)
                for number in range(50):
                    headers = {"authorization": f"Bearer {KEY}", "x-pointsman-provider": "a"}
                    await wire.ask("GET", f"/v1/files/{number}" + "a" * 8_000, headers=headers)
            kept = gateway.worker.plane.api._heads._entries
            assert sum(len(part) for key in kept for part in key if part) < 100_000

    run(main())


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_body_that_arrives_too_slowly_is_rejected(path: str) -> None:
    timeouts = {"limits": {"timeouts": {"body_s": 0.4}}}

    async def main() -> None:
        async with serving(**STARTED, server=timeouts) as gateway, connect(gateway.base_url) as wire:
            headers = {"content-type": "x/y", "x-pointsman-provider": "a", "content-length": "100000"}
            wire.write(request("POST", path, headers=headers))
            sending = asyncio.create_task(_trickle(wire))
            async with asyncio.timeout(PATIENCE_S):
                received = await wire.answer()
            sending.cancel()
            assert received.status == 408

    run(main())


async def _trickle(wire: Any) -> None:
    while True:
        wire.write(b"a")
        await asyncio.sleep(0.05)
