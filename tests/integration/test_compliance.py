"""A request that requires a region reaches no provider elsewhere, whatever fails and whatever its client asks for. The
simulated provider outside the region counts the connections that it accepts."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import Gateway, run, serving
from integration.governance import bearer, governance
from integration.wire import Received, ask
from pointsman.simulate import Settings

TAGS = {"eu": {"tags": {"region": "eu"}}, "us": {"tags": {"region": "us"}}}
TWO = {"eu": Settings(), "us": Settings()}
MODELS = {
    "talk": {"strategy": "weighted", "targets": ["us/gpt-4o", "eu/gpt-4o"]},
    "ears": ["us/whisper-1", "eu/whisper-1"],
    "safe": {"targets": ["us/gpt-4o", "eu/gpt-4o"], "require": {"region": ["eu"]}},
    "numbers": {"targets": ["eu/text-embedding-3-small"], "fallbacks": ["us/text-embedding-3-small"]},
}
KEYS: dict[str, dict[str, Any]] = {
    "notebook": {"team": "lab", "require": {"region": ["eu"]}},
    "free": {"team": "lab"},
    "ours": {"team": "strict"},
    "theirs": {"customer": "acme"},
    "tools": {"require": {"region": "eu"}, "provider_tools": ["web_search", "remote_urls"]},
}
OWNERS = {
    "teams": {"lab": {}, "strict": {"require": {"region": "eu"}}},
    "customers": {"acme": {"require": {"region": {"all": ["eu"]}}}},
}
FORM = {"content-type": "multipart/form-data; boundary=B"}
PART = b'--B\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
FILE = PART % (b"purpose", b"", b"user_data") + PART % (b"file", b'; filename="a.jsonl"', b"{}") + b"--B--\r\n"
SPEECH = PART % (b"model", b"", b"ears") + PART % (b"file", b'; filename="a.wav"', b"RIFF") + b"--B--\r\n"
HELLO = [{"role": "user", "content": "Hello"}]

Ask = tuple[str, str, Any, Mapping[str, str]]  # method, path, body, headers


def requests() -> Iterator[Ask]:
    """Yield requests of every kind that could be served in both regions, or outside of the required one alone."""
    to_us = {"x-pointsman-provider": "us"}
    for fields in ({}, {"stream": True}, {"fallbacks": ["us/gpt-4o", "us/gpt-4o-mini"]}):
        for headers in ({}, to_us):
            for model in ("talk", "us/gpt-4o", "gpt-4o", "safe"):
                yield "POST", "/v1/chat/completions", {"model": model, "messages": HELLO, **fields}, headers
    yield "POST", "/v1/messages", {"model": "talk", "messages": HELLO, "max_tokens": 9, "fallbacks": ["us/gpt-4o"]}, {}
    yield "POST", "/v1/responses", {"model": "talk", "input": "x", "store": True}, {}
    yield "POST", "/v1/responses", {"model": "talk", "input": "x", "store": False}, {}
    yield "POST", "/v1/embeddings", {"model": "numbers", "input": "x"}, {}
    yield "POST", "/v1/embeddings", {"model": "us/text-embedding-3-small", "input": "x"}, {}
    yield "POST", "/v1/moderations", {"model": "us/omni-moderation-latest", "input": "x"}, {}
    yield "POST", "/v1/images/generations", {"model": "us/gpt-image-1", "prompt": "x"}, {}
    for headers in ({}, to_us):
        yield "POST", "/v1/audio/transcriptions", SPEECH, {**FORM, **headers}
        yield "POST", "/v1/files", FILE, {**FORM, **headers}
        yield "GET", "/v1/files", b"", headers
        yield "GET", "/v1/files/file-1", b"", headers
        yield "POST", "/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}, headers
        yield "GET", "/v1/batches", b"", headers
        yield "POST", "/v1/vector_stores", {"name": "shelf"}, headers
        yield "POST", "/v1/fine_tuning/jobs", {"model": "us/gpt-4o", "training_file": "file-1"}, headers
        yield "GET", "/v1/responses/resp_1", b"", headers


ALL = list(requests())


def gateway(**fields: Any) -> Any:
    sections = {
        "providers": TWO,
        "provider_settings": TAGS,
        "models": MODELS,
        "governance": governance(KEYS, **OWNERS),
        "server": {"default_provider": "us"},
        "routing": {"max_attempts": 2},
    }
    return serving(**{**sections, **fields})


async def send(to: Gateway, one: Ask, key: str, **headers: str) -> Received:
    method, path, body, more = one
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(to.base_url, method, path, data, {**bearer(key), **more, **headers})


@pytest.mark.parametrize("key", ["notebook", "ours", "theirs"])
def test_provider_outside_gets_no_connection_while_the_one_inside_is_down(key: str) -> None:
    async def main() -> None:
        async with gateway() as running:
            eu, us = running.providers["eu"], running.providers["us"]
            for fault in ("refuse", "status=500"):
                eu.set_fault(fault)
                answers = await asyncio.gather(*(send(running, one, key) for one in ALL))
                for one, received in zip(ALL, answers, strict=True):
                    assert received.status in (400, 403, 404, 500, 502, 503), (one, received)
                    names = (b"no_compliant_provider", b"provider_tool_not_allowed", b"permission_error")
                    assert received.status != 403 or any(name in received.body for name in names), one
                assert us.counters.connections_accepted == 0
            assert {received.status for received in answers} >= {403, 502}

    run(main())


def test_header_narrows_and_memos_that_other_keys_have_warmed_change_nothing() -> None:
    strict = {"x-pointsman-require": "region=eu"}

    async def main() -> None:
        async with gateway() as running:
            eu, us = running.providers["eu"], running.providers["us"]
            for one in ALL:
                await send(running, one, "free")
                before = us.counters.requests_received
                for key, headers in (
                    ("free", strict),
                    ("notebook", {}),
                    ("notebook", {"x-pointsman-require": "region=us"}),
                ):
                    received = await send(running, one, key, **headers)
                    assert us.counters.requests_received == before, (one, key, headers)
                    assert received.headers.get("x-pointsman-provider", "eu") == "eu"
                await send(running, one, "free")
            assert us.counters.requests_received > len(ALL) / 2
            assert eu.counters.requests_received > 10

    run(main())


def test_rejection_names_the_requirement_its_origin_and_what_each_candidate_lacks() -> None:
    async def main() -> None:
        async with gateway() as running:
            body = {"model": "us/gpt-4o", "messages": HELLO}
            received = await send(running, ("POST", "/v1/chat/completions", body, {}), "notebook")
            assert (received.status, received.error()["code"]) == (403, "no_compliant_provider")
            lacks = "us/gpt-4o: it lacks region=eu (required by virtual key notebook): its region is us"
            assert lacks in str(received.error()["message"])
            for bad in ("region", "region=eu|us+de", "=eu"):
                one = (
                    "POST",
                    "/v1/chat/completions",
                    {"model": "talk", "messages": HELLO},
                    {"x-pointsman-require": bad},
                )
                received = await send(running, one, "free")
                assert (received.status, received.error()["param"]) == (400, "x-pointsman-require")
            assert all(not one.counters.connections_accepted for one in running.providers.values())

    run(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_a_compliant_provider_is_not_followed(status: int) -> None:
    async def main() -> None:
        async with gateway() as running:
            us = running.providers["us"]
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {us.base_url}/chat/completions\r\nContent-Length: 0\r\n\r\n"

            async def script(peer: Peer) -> None:
                while True:
                    await peer.answer(head.encode())

            async with serving_script(script) as fake:
                settings = {**TAGS, "eu": {**TAGS["eu"], "base_url": f"{fake.origin}/v1"}}
                async with gateway(providers={"us": Settings()}, provider_settings=settings, is_alone=False) as moved:
                    outside = moved.providers["us"]
                    answers = await asyncio.gather(*(send(moved, one, "notebook") for one in ALL))
                    for one, received in zip(ALL, answers, strict=True):
                        assert received.status >= 400, (one, received)
                        assert "location" not in received.headers
                    assert outside.counters.connections_accepted == us.counters.connections_accepted == 0
                    assert fake.peers
                await fake.stop()

    run(main())


def test_object_stored_outside_is_out_of_reach() -> None:
    async def main() -> None:
        async with gateway() as running:
            us = running.providers["us"]
            made = await send(running, ("POST", "/v1/files", FILE, FORM), "free")
            assert (made.status, made.headers["x-pointsman-provider"]) == (200, "us")
            name = str(made.json()["id"])
            before = us.counters.requests_received
            for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
                received = await send(running, (method, f"/v1/files/{name}{path}", b"", {}), "notebook")
                assert (received.status, received.error()["code"]) == (403, "no_compliant_provider")
            body = {"input_file_id": name, "endpoint": "/v1/chat/completions"}
            assert (await send(running, ("POST", "/v1/batches", body, {}), "notebook")).status == 403
            assert us.counters.requests_received == before
            assert (await send(running, ("GET", f"/v1/files/{name}", b"", {}), "free")).status == 200

    run(main())


def test_model_list_shows_only_what_a_compliant_provider_serves() -> None:
    async def main() -> None:
        async with gateway() as running:

            async def listed(key: str, **headers: str) -> set[str]:
                received = await send(running, ("GET", "/v1/models", b"", {}), key, **headers)
                data: Any = received.json()["data"]
                return {one["id"] for one in data}

            assert {"talk", "us/gpt-4o", "us/whisper-1"} <= await listed("free")
            for key, headers in (("notebook", {}), ("ours", {}), ("free", {"x-pointsman-require": "region=eu"})):
                found = await listed(key, **headers)
                assert {"talk", "ears", "safe", "numbers"} <= found
                assert not any(name.startswith("us/") for name in found)

    run(main())


def test_tools_of_a_provider_and_addresses_need_the_permission_of_the_key() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "https://pictures.test/x.png"}}]
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/responses", {"model": "eu/gpt-4o", "input": "x", "tools": [{"type": "web_search"}], "store": False}),
        ("/v1/chat/completions", {"model": "talk", "messages": [{"role": "user", "content": picture}]}),
    ]

    async def main() -> None:
        async with gateway() as running:
            for path, body in bodies:
                one: tuple[str, str, Any, dict[str, str]] = ("POST", path, body, {})
                for _ in range(2):
                    received = await send(running, one, "notebook")
                    assert (received.status, received.error()["code"]) == (403, "provider_tool_not_allowed")
                    assert (await send(running, one, "tools")).headers["x-pointsman-provider"] == "eu"
                    assert (await send(running, one, "free")).status == 200
            server = {"type": "mcp", "server_url": "https://mcp.test/sse", "server_label": "x"}
            body = {"model": "eu/gpt-4o", "input": "x", "tools": [server], "store": False}
            received = await send(running, ("POST", "/v1/responses", body, {}), "tools")
            assert received.status == 403
            assert "mcp:mcp.test (field 'tools', https://mcp.test/sse)" in str(received.error()["message"])
            assert msgspec.json.decode(running.providers["eu"].requests[-1].body)

    run(main())
