"""Listing the models of providers. A failure keeps the last list."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.origin import Peer, run, serving
from fakes.routing import provider_key
from pointsman.config.catalog import Lists, read_catalog, write_lists
from pointsman.control.fetch import AnswerError
from pointsman.control.listing import JITTER, MAX_PAGES, Listing, ask, can_list
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import AwsKeys, GoogleSource, Origin, Secret
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint

PAGE = b'{"object":"list","data":[{"id":"b","object":"model"},{"id":"a"},{"id":"a"}]}'


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def endpoint(name: str, origin: Origin, type_: str = "openai") -> Endpoint:
    keys = (provider_key("drained", 0), provider_key("k"))
    return Endpoint(name=name, type=type_, origin=origin, base_path="/v1", keys=keys, operations=frozenset(OPERATIONS))


def test_request_for_a_list_and_its_response() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(PAGE))

        async with serving(script) as fake:
            assert await ask(endpoint("a", fake.origin)) == ["a", "b"]
            received = fake.peers[0].received
            assert received.startswith(b"GET /v1/models HTTP/1.1\r\n")
            assert b"authorization: Bearer secret of k\r\n" in received

    run(main())


def test_list_of_gemini_has_its_own_path_and_shape() -> None:
    page = (
        b'{"models":[{"name":"models/gemini-x","supportedGenerationMethods":["generateContent","countTokens"]},'
        b'{"name":"models/embed","supportedGenerationMethods":["embedContent"]}]}'
    )

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(page))

        async with serving(script) as fake:
            assert await ask(endpoint("a", fake.origin, "gemini")) == ["gemini-x"]
            received = fake.peers[0].received
            assert received.startswith(b"GET /v1/models?pageSize=1000 HTTP/1.1\r\n")
            assert b"x-goog-api-key: secret of k\r\n" in received

    run(main())


BEDROCK = {
    "/foundation-models": {
        "modelSummaries": [
            {"modelId": "amazon.nova-pro-v1:0", "outputModalities": ["TEXT"], "inferenceTypesSupported": ["ON_DEMAND"]},
            {"modelId": "by-profile", "outputModalities": ["TEXT"], "inferenceTypesSupported": ["INFERENCE_PROFILE"]},
            {"modelId": "canvas", "outputModalities": ["IMAGE"], "inferenceTypesSupported": ["ON_DEMAND"]},
        ]
    },
    "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED": {
        "inferenceProfileSummaries": [{"inferenceProfileId": "eu.amazon.nova-pro-v1:0", "status": "ACTIVE"}],
        "nextToken": "a/b+c=",
    },
    "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED&nextToken=a%2Fb%2Bc%3D": {
        "inferenceProfileSummaries": [{"inferenceProfileId": "us.amazon.nova-pro-v1:0", "status": "ACTIVE"}],
    },
}


def by_target(pages: dict[str, Any], base_path: str = "/v1") -> Callable[[Peer], Awaitable[None]]:
    """Return a script that answers each target with its page, and all others with 404."""

    async def script(peer: Peer) -> None:
        while True:
            target = (await peer.request()).split(b" ")[1].decode().removeprefix(base_path)
            found = target in pages
            peer.send(answer(json.dumps(pages.get(target, {})).encode(), b"200 OK" if found else b"404 Not Found"))

    return script


def test_lists_of_bedrock_are_signed_and_read_to_their_last_page() -> None:
    async def main() -> None:
        async with serving(by_target(BEDROCK, "")) as fake:
            keys = AwsKeys("AKIDEXAMPLE", Secret("very-secret-0123456789"), None)
            there = replace(
                endpoint("a", fake.origin, "bedrock"),
                base_path="",
                region="eu-west-1",
                keys=(replace(provider_key("k"), credential=keys),),
            )
            assert can_list(there)
            assert await ask(there) == ["amazon.nova-pro-v1:0", "eu.amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0"]
            sent = b"".join(peer.received for peer in fake.peers)
            assert sent.count(b"/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, ") == 3
            assert b"very-secret" not in sent

    run(main())


def test_token_is_fetched_for_the_lists_of_vertex(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def page(*names: str, **fields: str) -> dict[str, Any]:
        return {"publisherModels": [{"name": f"publishers/{name}"} for name in names], **fields}

    pages = {
        "/publishers/google/models?pageSize=1000": page("google/models/gemini-9", "google/models/imagen-9"),
        "/publishers/anthropic/models?pageSize=1000": page("anthropic/models/claude-9", nextPageToken="b"),
        "/publishers/anthropic/models?pageSize=1000&pageToken=b": page("anthropic/models/claude-8"),
        "/publishers/qwen/models?pageSize=1000": page("qwen/models/qwen9-maas", "qwen/models/qwen9"),
        "/token": {"access_token": "ya29.of-the-tests", "expires_in": 3600},
    }

    async def main() -> None:
        async with serving(by_target(pages, "/v1beta1")) as fake:
            account = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
            (tmp_path / "adc.json").write_text(json.dumps({**account, "token_uri": f"{fake.origin}/token"}))
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
            there = replace(
                endpoint("a", fake.origin, "vertex"), keys=(replace(provider_key("k"), credential=GoogleSource(None)),)
            )
            assert await ask(there) == ["claude-8", "claude-9", "gemini-9", "qwen/qwen9-maas"]
            sent = [peer.received for peer in fake.peers]
            assert sum(one.count(b"authorization: Bearer ya29.of-the-tests\r\n") for one in sent) == 11

    run(main())


def test_list_without_an_end_is_an_error() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                peer.send(answer(b'{"models":[],"nextPageToken":"again"}'))

        async with serving(script) as fake:
            with pytest.raises(AnswerError, match=f"more than {MAX_PAGES} pages"):
                await ask(endpoint("a", fake.origin, "gemini"))

    run(main())


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b'[{"id":"x"}]', b"200 OK", None),
        (b"<html>", b"200 OK", "not a list of models"),
        (b'{"data":[{"name":"x"}]}', b"200 OK", "not a list of models"),
        (PAGE, b"401 Unauthorized", "has status 401"),
        (b"[" * 100_000, b"200 OK", "not a list of models"),
    ],
)
def test_malformed_responses_are_rejected(body: bytes, status: bytes, expected: str | None) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(body, status))

        async with serving(script) as fake:
            if expected is None:
                assert await ask(endpoint("a", fake.origin)) == ["x"]
            else:
                with pytest.raises(AnswerError, match=expected):
                    await ask(endpoint("a", fake.origin))

    run(main())


def test_list_survives_a_failure_and_goes_with_its_provider(tmp_path: Path) -> None:
    changes: list[Lists] = []

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer(PAGE))

        async def on_change() -> None:
            changes.append(read_catalog(tmp_path).lists)

        async with serving(script) as fake:
            nobody = Origin("http", "127.0.0.1", 1)
            endpoints = {"here": endpoint("here", fake.origin), "gone": endpoint("gone", nobody)}
            endpoints["told"] = replace(endpoint("told", nobody), serves=("x",), serves_only=True)
            write_lists(tmp_path, Lists({"gone": ["old"], "former": ["older"]}))
            listing = Listing(
                60,
                tmp_path,
                lambda: Snapshot(digest="", endpoints=endpoints, models={}, virtual_keys={}),
                on_change,
                lambda: 0.5,
            )
            await listing.ask_all()
            await listing.ask_all()
            assert len(fake.peers) == 2

    run(main())
    assert changes == [Lists({"gone": ["old"], "here": ["a", "b"]})], "an unchanged list is no change"


def test_faulty_list_of_one_provider_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def faulty(endpoint: Endpoint) -> list[str]:
        if endpoint.name == "bad":
            raise RuntimeError("a defect")
        return ["m"]

    async def on_change() -> None:
        pass

    monkeypatch.setattr("pointsman.control.listing.ask", faulty)
    endpoints = {name: endpoint(name, Origin("http", "127.0.0.1", 1)) for name in ("bad", "good")}
    listing = Listing(
        60,
        tmp_path,
        lambda: Snapshot(digest="", endpoints=endpoints, models={}, virtual_keys={}),
        on_change,
        lambda: 0.5,
    )
    assert asyncio.run(listing.ask_all()) == Lists({"good": ["m"]})


def test_only_eligible_providers_are_listed() -> None:
    origin = Origin("http", "127.0.0.1", 1)
    assert can_list(endpoint("a", origin))
    assert not can_list(endpoint("a", origin, "of-no-known-type"))
    assert can_list(replace(endpoint("a", origin), serves=("x",)))
    assert not can_list(replace(endpoint("a", origin), serves=("x",), serves_only=True))
    assert not can_list(replace(endpoint("a", origin), keys=(provider_key("k", 0),)))


def test_listing_repeats_with_jitter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    dice = iter((0.0, 0.0, 1.0, 0.5))

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    async def on_change() -> None:
        raise AssertionError("nothing changes")

    monkeypatch.setattr("pointsman.control.listing.asyncio.sleep", sleep)
    listing = Listing(
        1000,
        tmp_path,
        lambda: Snapshot(digest="", endpoints={}, models={}, virtual_keys={}),
        on_change,
        lambda: next(dice),
    )
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(listing.run())
    assert pauses[1:] == pytest.approx([1000 * (1 - JITTER), 1000 * (1 + JITTER), 1000])
