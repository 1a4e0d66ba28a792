"""Tokens through a whole gateway: fetched from a token service, sent to the provider, renewed and refused."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest

from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import chat, run, serving, until
from pointsman.engine import credentials
from pointsman.simulate import Settings

SECRET = "client-secret-of-the-tests"
ENVIRON = {"ENTRA_SECRET": SECRET}


class TokenService:
    """A token service of Entra ID. While it `is_held`, it answers nobody. It refuses any other secret than `secret`."""

    def __init__(self, secret: str = SECRET) -> None:
        self.origin = ""
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self._secret = secret

    async def script(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            self.asked += 1
            number = self.asked
            await self.open.wait()
            fields = parse_qs(request.partition(b"\r\n\r\n")[2].decode())
            if fields["client_secret"] == [self._secret]:
                status, body = "200 OK", json.dumps({"access_token": f"token-{number}", "expires_in": 3600})
            else:
                words = f"AADSTS7000215: Invalid client secret provided: {fields['client_secret'][0]}"
                status, body = "401 No", json.dumps({"error": "invalid_client", "error_description": words})
            peer.send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def keys(self) -> dict[str, Any]:
        entra = {"tenant": "t1", "client_id": "c1", "client_secret": "env.ENTRA_SECRET", "authority": self.origin}
        return {"only": {"entra": entra}}


@asynccontextmanager
async def token_service(secret: str = SECRET) -> AsyncIterator[TokenService]:
    service = TokenService(secret)
    async with serving_script(service.script) as fake:
        service.origin = str(fake.origin)
        yield service
        await fake.stop()


def gateway(service: TokenService, **more: Any) -> Any:
    azure = {"type": "azure", "keys": service.keys(), "serves": ["gpt-4o-mini"]}
    given = {
        "providers": {"azure": Settings(), "spare": Settings()},
        "provider_settings": {"azure": azure, "spare": {"serves": ["gpt-4o-mini"]}},
        "models": {"chat": ["azure/gpt-4o-mini", "spare/gpt-4o-mini"]},
        "environ": ENVIRON,
        "is_alone": False,
    }
    return serving(**{**given, **more})


def test_token_is_sent_instead_of_a_key() -> None:
    async def main() -> None:
        async with token_service() as service, gateway(service) as running:
            answer = await running.ask(chat())
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "azure")
            (sent,) = running.providers["azure"].requests
            assert sent.headers["authorization"] == "Bearer token-1"
            assert "api-key" not in sent.headers

    run(main())


def test_token_is_fetched_before_the_first_request() -> None:
    async def main() -> None:
        async with token_service() as service, gateway(service):
            await until(lambda: service.asked, "the token is requested")

    run(main())


def test_no_request_waits_for_a_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "wait_before_renewal", lambda life_s, random: 0.02)
    monkeypatch.setattr(credentials, "LEAST_S", 0.0)

    async def main() -> None:
        async with token_service() as service, gateway(service) as running:
            assert (await running.ask(chat())).status == 200
            service.open.clear()
            before = service.asked
            await until(lambda: service.asked > before, "a renewal is in progress")
            client = await running.connect()
            for _ in range(50):  # each would hang if it waited for the renewal
                assert (await client.ask(chat())).headers["x-pointsman-provider"] == "azure"
            await client.close()
            assert service.asked == before + 1
            old = running.providers["azure"].requests[-1].headers["authorization"]
            service.open.set()
            await until(lambda: service.asked > before + 1, "another renewal follows")
            await running.ask(chat())
            assert running.providers["azure"].requests[-1].headers["authorization"] != old

    run(main())


def test_refused_secret_is_the_fault_of_the_key_and_another_provider_serves() -> None:
    async def main() -> None:
        async with token_service("another secret") as service, gateway(service) as running:
            answer = await running.ask(chat())
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "spare")
            assert (await running.ask(chat())).status == 200
            first, second = await running.wait_for_records(2)
            attempt = first["attempts"][0]
            assert attempt["outcome"] == "upstream_credential_rejected"
            assert "no credential for the key azure:only: Entra ID refused with status 401" in attempt["message"]
            assert "check tenant, client_id and client_secret" in attempt["message"]
            assert [one["provider"] for one in second["attempts"]] == ["spare"], "the key is blocked"
            assert not running.providers["azure"].requests
            assert SECRET not in running.log_file.read_text()

    run(main())


def test_unreachable_token_service_is_a_fault_that_another_provider_covers() -> None:
    async def main() -> None:
        async with token_service() as service:
            service.origin = "http://127.0.0.1:1"
            async with gateway(service) as running:
                answer = await running.ask(chat())
                assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "spare")
                (record,) = await running.wait_for_records(1)
                assert record["attempts"][0]["outcome"] == "upstream_credential_unavailable"


def test_key_without_a_credential_is_tried_once_for_a_request() -> None:
    async def main() -> None:
        async with token_service() as service:
            service.origin = "http://127.0.0.1:1"
            async with gateway(service) as running:
                answer = await running.ask(chat(), headers={"x-pointsman-provider": "azure"})
                assert answer.status == 502
                error = answer.json["error"]
                assert error["code"] == "upstream_credential_unavailable"
                assert (
                    "the credential of the key azure:only cannot be fetched: its service accepts no" in error["message"]
                )
                (record,) = await running.wait_for_records(1)
                assert [one["outcome"] for one in record["attempts"]] == ["upstream_credential_unavailable"]

    run(main())


def test_client_that_leaves_while_it_waits_for_a_token_ends_its_request() -> None:
    async def main() -> None:
        async with token_service() as service, gateway(service) as running:
            service.open.clear()
            client = await running.connect()
            task = asyncio.create_task(client.ask(chat()))
            await until(lambda: service.asked, "the first token is requested")
            await until(lambda: running.worker.plane.live.in_progress, "the attempt waits")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()
            (record,) = await running.wait_for_records(1)
            assert record["attempts"][0]["outcome"] == "client_disconnected"
            service.open.set()
            assert (await running.ask(chat())).headers["x-pointsman-provider"] == "azure"
            assert len(running.providers["azure"].requests) == 1

    run(main())


def test_temporary_keys_of_a_container_sign_requests_and_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "wait_before_renewal", lambda life_s, random: 0.02)
    monkeypatch.setattr(credentials, "LEAST_S", 0.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    given = 0

    async def container(peer: Peer) -> None:
        nonlocal given
        while True:
            await peer.request()
            given += 1
            keys = {
                "AccessKeyId": f"ASIA{given}",
                "SecretAccessKey": "s3cret-of-the-container",
                "Token": f"t0ken-{given}",
            }
            body = json.dumps({**keys, "Expiration": "2999-01-01T00:00:00Z"})
            peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    requests: list[bytes] = []

    async def bedrock(peer: Peer) -> None:
        while True:
            requests.append(await peer.request())
            message = {"message": {"role": "assistant", "content": [{"text": "signed"}]}}
            used = {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}
            body = json.dumps({"output": message, "stopReason": "end_turn", "usage": used})
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            peer.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    async def main() -> None:
        async with serving_script(container) as keys, serving_script(bedrock) as cloud:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{keys.origin}/v1/credentials")
            provider = {
                "type": "bedrock",
                "base_url": str(cloud.origin),
                "keys": {"only": {"aws": "ambient"}},
                "region": "eu-central-1",
            }
            async with serving(provider_settings={"bedrock": provider}, is_alone=False) as running:
                asked = chat("bedrock/amazon.nova-lite-v1:0")
                assert (await running.ask(asked)).text == "signed"
                before = given
                await until(lambda: given > before + 1, "the keys are renewed")
                assert (await running.ask(asked)).text == "signed"
                assert b"s3cret" not in running.log_file.read_bytes() + b"".join(requests)
            await asyncio.gather(keys.stop(), cloud.stop())
        found = [re.search(rb"Credential=(ASIA\d+)/\d{8}/eu-central-1/bedrock/", one) for one in requests]
        first, second = (one[1] for one in found if one is not None)
        assert first != second
        assert all(b"x-amz-security-token: t0ken-" in one for one in requests)

    run(main())


@pytest.mark.slow
def test_worker_that_is_killed_fetches_its_token_anew_and_no_file_has_a_secret() -> None:
    async def main() -> None:
        async with token_service() as service, gateway(service, as_process=True) as running:
            assert (await running.ask(chat())).headers["x-pointsman-provider"] == "azure"
            before = service.asked
            os.kill(running.children["worker 0"], signal.SIGKILL)
            await until(lambda: service.asked > before, "the new worker fetches a token")

            async def is_served() -> bool:
                try:
                    return int((await running.ask(chat())).status) == 200
                except (OSError, EOFError):
                    return False

            while not await is_served():
                await asyncio.sleep(0.01)
            files = [path for path in running.config_file.parent.rglob("*") if path.is_file()]
            assert any("snapshot" in path.name for path in files)
            for path in files:
                data = path.read_bytes()
                assert SECRET.encode() not in data, path
                assert b"token-1" not in data, path

    run(main())
