"""Images by their addresses before a provider that takes none: the gateway fetches them from public hosts only."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest

from fakes.gemini import answer, text
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.dialects import JSON, ScriptedProvider, Served
from integration.gateway import Gateway, run, serving
from pointsman.domain import network
from pointsman.domain.network import is_public
from pointsman.simulate import Settings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


class Pictures:
    """A server of images, which counts the requests for them."""

    def __init__(self, body: bytes = PNG) -> None:
        self.body = body
        self.requests = 0

    async def script(self, peer: Peer) -> None:
        while True:
            await peer.request()
            self.requests += 1
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(self.body), self.body))


@asynccontextmanager
async def scene(
    setting: bool | str, body: bytes = PNG, **more: Any
) -> AsyncIterator[tuple[Gateway, ScriptedProvider, Pictures, str]]:
    provider, pictures = ScriptedProvider("chat"), Pictures(body)
    provider.answer = Served(json.dumps(answer(text("A cat."), finish="STOP")).encode(), kind=JSON)
    async with serving_script(provider.script) as fake, serving_script(pictures.script) as host:
        given = {"google": {"type": "gemini", "base_url": f"{fake.origin}/v1beta"}}
        sections: dict[str, Any] = {"models": {"chat": ["google/gemini-2.5-flash"]}, **more}
        sections["routing"] = {"fetch_media": setting}
        async with serving(provider_settings=given, is_alone=False, **sections) as gateway:
            yield gateway, provider, pictures, f"{host.origin}/cat.png"


def asked(address: str) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": address}}
    return {"model": "chat", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, image, image]}]}


@pytest.fixture
def _loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "is_public", lambda address: address == "127.0.0.1" or is_public(address))


@pytest.mark.usefixtures("_loopback_is_public")
def test_image_is_fetched_once_and_sent_inside_the_request() -> None:
    async def main() -> None:
        async with scene("http") as (gateway, provider, pictures, address):
            answered = await gateway.ask(asked(address))
            assert answered.json["choices"][0]["message"]["content"] == "A cat."
            (content,) = provider.last_body["contents"]
            inline = {"inlineData": {"mimeType": "image/png", "data": b64encode(PNG).decode()}}
            assert content["parts"] == [{"text": "?"}, inline, inline]
            assert pictures.requests == 1
            (record,) = await gateway.wait_for_records(1)
            assert len(record["attempts"]) == 1

    run(main())


@pytest.mark.usefixtures("_loopback_is_public")
def test_content_of_another_type_is_rejected_before_any_attempt() -> None:
    async def main() -> None:
        async with scene("http", b"<html>no image</html>") as (gateway, provider, pictures, address):
            answered = await gateway.ask(asked(address))
            assert answered.status == 400
            assert "its content is no image of a known type" in answered.json["error"]["message"]
            assert (pictures.requests, provider.requests) == (1, [])

    run(main())


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("http", "no public address"), (True, "does not begin with https"), (False, "does not begin with https")],
)
def test_private_hosts_and_plain_http_are_not_fetched(setting: bool | str, reason: str) -> None:
    async def main() -> None:
        async with scene(setting) as (gateway, provider, pictures, address):
            answered = await gateway.ask(asked(address))
            assert answered.status == 400
            assert reason in answered.json["error"]["message"]
            assert (pictures.requests, provider.requests) == (0, [])

    run(main())


@pytest.mark.usefixtures("_loopback_is_public")
@pytest.mark.parametrize(("tools", "status"), [([], 403), (["remote_urls"], 200)])
def test_key_that_may_send_no_addresses_has_none_fetched(tools: list[str], status: int) -> None:
    async def main() -> None:
        keys = {"ward": {"value": "sha256:" + sha256(b"pm-ward").hexdigest(), "provider_tools": tools}}
        async with scene("http", governance={"virtual_keys": keys}) as (gateway, _, pictures, address):
            answered = await gateway.ask(asked(address), headers={"authorization": "Bearer pm-ward"})
            assert answered.status == status
            assert pictures.requests == (1 if status == 200 else 0)

    run(main())


@pytest.mark.usefixtures("_loopback_is_public")
def test_disconnected_client_ends_the_fetching() -> None:
    async def main() -> None:
        async with scene("http") as (gateway, provider, pictures, _):
            reached = asyncio.Event()

            async def never(peer: Peer) -> None:
                await peer.request()
                reached.set()
                await asyncio.sleep(3600)

            async with serving_script(never) as slow:
                task = asyncio.create_task(gateway.ask(asked(f"{slow.origin}/slow.png")))
                await reached.wait()
                task.cancel()
                (record,) = await gateway.wait_for_records(1)
                assert record.get("attempts", []) == []
                assert (pictures.requests, provider.requests) == (0, [])

    run(main())


@asynccontextmanager
async def two_targets(fault: str | None = None) -> AsyncIterator[tuple[Gateway, ScriptedProvider, Pictures, str]]:
    """A target that takes addresses, before one that takes none."""
    provider, pictures = ScriptedProvider("chat"), Pictures()
    provider.answer = Served(json.dumps(answer(text("A cat."), finish="STOP")).encode(), kind=JSON)
    async with (
        serving_script(provider.script) as fake,
        serving_script(pictures.script) as host,
        serving(
            providers={"first": Settings()},
            provider_settings={"google": {"type": "gemini", "base_url": f"{fake.origin}/v1beta"}},
            models={"chat": {"targets": ["first/gpt-4o-mini", "google/gemini-2.5-flash"], "strategy": "priority"}},
            routing={"fetch_media": "http"},
            is_alone=False,
        ) as gateway,
    ):
        gateway.providers["first"].set_fault(fault)
        yield gateway, provider, pictures, f"{host.origin}/cat.png"


@pytest.mark.usefixtures("_loopback_is_public")
def test_fallback_that_takes_only_bytes_serves_after_a_target_that_takes_addresses() -> None:
    async def main() -> None:
        async with two_targets("status=500") as (gateway, provider, pictures, address):
            answered = await gateway.ask(asked(address))
            assert answered.json["choices"][0]["message"]["content"] == "A cat."
            assert b"inlineData" in json.dumps(provider.last_body).encode()
            assert pictures.requests == 1
            (record,) = await gateway.wait_for_records(1)
            assert [one["provider"] for one in record["attempts"]] == ["first", "google"]

    run(main())


@pytest.mark.usefixtures("_loopback_is_public")
def test_nothing_is_fetched_if_a_target_takes_the_address() -> None:
    async def main() -> None:
        async with two_targets() as (gateway, provider, pictures, address):
            assert (await gateway.ask(asked(address))).headers["x-pointsman-provider"] == "first"
            assert (pictures.requests, provider.requests) == (0, [])

    run(main())


@pytest.mark.usefixtures("_loopback_is_public")
def test_media_that_cannot_be_fetched_leave_the_failure_of_the_plan() -> None:
    async def main() -> None:
        async with two_targets("status=500") as (gateway, provider, _, address):
            answered = await gateway.ask(asked(address.replace("cat.png", "x").replace("http://", "http://a@")))
            assert answered.status >= 500
            assert provider.requests == []

    run(main())
