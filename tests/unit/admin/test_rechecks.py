"""Checks of sessions: an identity provider that is away delays the end, and does not prevent it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.control import control_plane
from fakes.identity_provider import IdentityServer, identity_server, signed_on
from integration.gateway import run
from pointsman.admin import rechecks
from pointsman.admin.sign_on.client import ProviderAwayError
from unit.admin.api.test_sign_on import config


@pytest.fixture(scope="module")
def server() -> Iterator[IdentityServer]:
    with identity_server() as running:
        running.set_user("rita", groups=["platform"])
        yield running


def age(folder: Path, seconds: float) -> None:
    with sqlite3.connect(folder / "pointsman.db") as database:
        database.execute("UPDATE console_sessions SET checked_at = checked_at - ?", (seconds,))


def test_provider_that_is_away_is_asked_seldom_and_not_for_ever(
    server: IdentityServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "rita")
            asked = []

            async def away(*_: object) -> None:
                asked.append(1)
                raise ProviderAwayError("it is away")

            monkeypatch.setattr(plane.services.logins.sign_on, "again", away)
            for _ in range(3):
                assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200
            assert not asked
            age(tmp_path, 901)
            for _ in range(3):
                assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 200
            assert len(asked) == 1
            age(tmp_path, 900)
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401

    run(main())


def test_requests_at_once_check_a_session_once(
    server: IdentityServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "rita")
            calls, again = [], plane.services.logins.sign_on.again

            async def counted(*arguments: object) -> object:
                calls.append(1)
                return await again(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(plane.services.logins.sign_on, "again", counted)
            age(tmp_path, 901)
            requests = (plane.client.get("/api/v1/me", headers=session.headers) for _ in range(8))
            assert {one.status_code for one in await asyncio.gather(*requests)} == {200}
            assert len(calls) == 1
            assert not plane.services.logins.sign_on.checking
            assert rechecks.RETRY_S > 0

    run(main())


def test_session_of_a_removed_provider_is_over(server: IdentityServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=config(server)) as plane:
            session = await signed_on(plane, "rita")
            settings = await plane.services.login_settings()
            settings = type(settings)(public_url=settings.public_url)
            plane.services.logins.known = (1e12, settings)
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401

    run(main())
