"""Listing the models of providers. A failure keeps the last list."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.origin import Peer, run, serving
from fakes.routing import provider_key
from pointsman.config.catalog import Lists, read_catalog, write_lists
from pointsman.control.fetch import AnswerError
from pointsman.control.listing import JITTER, Listing, ask, can_list
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin
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
