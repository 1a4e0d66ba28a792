"""Events are streamed as they happen, and a client that connects again continues."""

import asyncio
from pathlib import Path

import pytest

from fakes.control import control_plane
from fakes.resources import CONFIG, call, made
from integration.gateway import run
from pointsman.admin.api import events as route
from pointsman.admin.api.events import _stream


def test_change_of_a_resource_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "BEAT_S", 0.05)

    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            followers: set[object] = set()
            stream = _stream(plane.services, None, followers)
            assert await anext(stream) == b"retry: 1000\n\n"
            assert await anext(stream) == b": still here\n\n"
            assert len(followers) == 1
            made_one = asyncio.create_task(made(plane, "teams", "sales", {}))
            while (first := await anext(stream)).startswith(b":"):
                pass
            await made_one
            assert b"event: configuration\n" in first
            second = await anext(stream)
            assert b"event: resources\n" in second
            assert b'"changes":[{"kind":"team","name":"sales","action":"created"}]' in second
            await stream.aclose()  # type: ignore[attr-defined]
            assert not followers
            number = int(first.split(b"\n")[0].removeprefix(b"id: "))
            again = _stream(plane.services, number, followers)
            assert [await anext(again), await anext(again)][1] == second

    run(main())


def test_number_of_followers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "MAX_FOLLOWERS", 0)

    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            answer = await call(plane, "GET", "events")
            assert (answer.status_code, answer.json()["code"]) == (503, "too_many_followers")

    run(main())
